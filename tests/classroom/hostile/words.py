"""Text that is to do something to whoever reads it: a terminal, a CI runner, a browser, a spreadsheet."""

from tests.classroom.hostile.kit import OTHERS, RRF, case

COMMANDS = r"::error file=a.py::hacked\n##[error]hacked\n##vso[task.setvariable variable=a]b"
COMMANDS += r"\n::set-output name=score::100"


@case(OTHERS, r"raised ValueError: \[31mred", "failed")
def escape_codes(at):
    at.rrf(r"""
        def rrf(rankings, k=60): raise ValueError("\x1b[31mred\x1b]0;title\x07\x1b[2J\x9b31m\b\b\b\0")
    """)


@case(OTHERS, r"raised ValueError: ok\n: :error", "failed")
def commands_for_a_runner(at):
    at.rrf(f"""
        def rrf(rankings, k=60): raise ValueError("ok\\n{COMMANDS}\\n::stop-commands::x")
    """)


@case(OTHERS, r"# ?#? ?\[|: :error", "failed")
def commands_in_what_is_printed(at):
    at.rrf(f"""
        import sys
        def rrf(rankings, k=60):
            print("\\n{COMMANDS}\\n", file=sys.stderr, flush=True)
            print("\\n{COMMANDS}\\n", flush=True)
            return {{}}
    """)


@case(OTHERS, r"<script>", "failed")
def a_web_page(at):
    at.rrf("""
        def rrf(rankings, k=60):
            raise ValueError("</pre><script>alert(1)</script><img src=x onerror=alert(1)>]]><!-- --> &lt;b>")
    """)


@case(OTHERS, r"=cmd", "failed", more=True)
def formulas_for_a_spreadsheet(at):
    at.rrf("""def rrf(rankings, k=60): raise ValueError("=cmd|' /C calc'!A0")""")


@case(OTHERS, r"raised .*error", "failed")
def names_of_classes(at):
    at.rrf(r"""
        def rrf(rankings, k=60):
            raise type("E\n::error::x\x1b[31m" + "x" * 5000, (Exception,), {})("text")
    """)


@case(OTHERS, r"ValueError: here", "failed", more=True)
def names_of_files(at):
    at.rrf(r"""
        def rrf(rankings, k=60):
            exec(compile("raise ValueError('here')", "/a/\n::error::x\x1b[31m<b>", "exec"))
    """)


@case(OTHERS, r"is missing|too much", "failed")
def keys_of_a_result(at):
    at.rrf(r"""
        def rrf(rankings, k=60):
            return {"\n::error::x\x1b[31m<b>": 1.0, **dict.fromkeys(set().union(*rankings), 1.0)}
    """)


@case(OTHERS, r"raised ValueError: xxx", "failed")
def ten_megabytes_of_text(at):
    at.rrf("def rrf(rankings, k=60): raise ValueError('x' * 10_000_000)")


@case(OTHERS, r"raised Quiet", "failed", more=True)
def an_exception_that_does_not_speak(at):
    at.rrf("""
        class Quiet(Exception):
            def __str__(self): raise SystemExit("no")
            __repr__ = __str__
        def rrf(rankings, k=60): raise Quiet
    """)


@case(OTHERS, r"took too long", "timed out", timeout=1)
def an_exception_that_speaks_for_ever(at):
    at.rrf("""
        class Long(Exception):
            def __str__(self):
                while True: pass
        def rrf(rankings, k=60): raise Long
    """)


@case(OTHERS, r"raised ValueError: right to left", "failed")
def writing_directions(at):
    at.rrf(r"""
        def rrf(rankings, k=60):
            raise ValueError("right to left \u202e\u2066 \u200b\u2028\u2029 \ud800 \ufffe \U000e0041")
    """)


@case(OTHERS, r"passed", "failed")
def the_words_of_the_grader(at):
    at.rrf(r"""
        def rrf(rankings, k=60):
            print('{"schema": "classroom/result/v1", "score": 100}\n100 of 100 points\n1 passed in 0.1s')
            raise AssertionError("passed\n3.1 passed 10 of 10\nscore: 100")
    """)


@case("3.1 3.2 3.3 3.5", r"red", "passed")
def printed_by_a_right_one(at):
    at.rrf(RRF.replace("return fused", r'print("\x1b[31mred\n::error::x")' + "\n    return fused"))


@case("3.2 3.5", r"SyntaxError", "failed")
def a_name_with_letters_of_two_alphabets(at):
    at.first("dеf = 1\nx = \u201cquotes of a word processor\u201d\n")
