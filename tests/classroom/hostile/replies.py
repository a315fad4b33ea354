"""Forged replies and callbacks, and what can be done to the pipes: all within reach of a submission."""

from tests.classroom.hostile.kit import OTHERS, RRF, case, reference

WORKER = """
import gc, json, os, threading, time
WORKER = next(each for each in gc.get_objects() if type(each).__name__ == "Worker")
PIPE = WORKER._replies.fileno()
def say(told):
    if not isinstance(told, bytes): told = json.dumps({"id": WORKER._now, **told}).encode() + b"\\n"
    os.write(PIPE, told)
"""
NO_REPLY = r"it sent what is no reply"
NOBODY = r"it sent a reply that nobody asked for"
ONES = '{"value": {"$": "dict", "v": [[each, 1.0] for each in sorted(set().union(*rankings))]}}'


def forged(at, code, then="time.sleep(99)", timeout=None):
    """`rrf` says something on the pipe itself, and does not come back."""
    at.rrf(f"{WORKER}\ndef rrf(rankings, k=60):\n    {code}\n    {then}\n")


@case(OTHERS, r"\]: 1\.0", "failed")
def answers_by_itself(at):
    """Its own reply for the answer, and the process goes: a wrong answer all the same."""
    forged(at, f"say({ONES})", "os._exit(0)")


@case(OTHERS, r"\]: 1\.0", "failed")
def answers_twice(at):
    """The second reply is one that nobody asked for: the next exercise gets a fresh worker."""
    forged(at, f"say({ONES})", "return {}")


@case("3.2 3.5", NOBODY, "crashed")
def answers_ahead(at):
    """Replies for requests that it has not seen, with numbers that it guesses."""
    at.first(
        f"{WORKER}\nfor i in range(500):\n"
        '    say(json.dumps({"id": f"{i:016x}", "value": {"$": "dict", "v": []}}).encode() + b"\\n")'
    )


@case("3.2 3.5", NOBODY, "crashed")
def answers_to_the_import(at):
    """A reply to the request that is being worked on, in the hope that the next one counts for the test."""
    at.first(f'{WORKER}\nsay({{"value": None}})\nsay({{"value": {{"$": "dict", "v": []}}}})')


@case(OTHERS, r"raised ValueError", "failed", more=True)
def says_that_it_raised_everything(at):
    forged(
        at,
        'say({"raised": {"type": "E", "kinds": ["ValueError", "Exception"], "text": "", "place": ""}})',
        "os._exit(0)",
    )


@case(OTHERS, r"exercise 3\.1", "not attempted")
def says_that_it_was_not_attempted(at):
    forged(
        at,
        'say({"raised": {"type": "E", "kinds": ["NotImplementedError"], "text": "exercise 3.1", '
        '"place": ""}})',
        "os._exit(0)",
    )


@case("", r"\]: 1|int|float|a key is missing")
def packs_what_it_likes(at):
    """Whatever was computed, `wire.encode` says something else: all later answers are wrong."""
    at.first("import classroom.protocol.wire\nclassroom.protocol.wire.encode = lambda *args, **kwargs: 1")


@case("3.2 3.5", r"no reply|nobody asked for|TypeError|ended")
def breaks_json(at):
    at.first('import json\njson.dumps = lambda *args, **kwargs: "{}"', wrong=False)


@case("3.2 3.5", r"raised|no reply|ended|TypeError", more=True)
def breaks_what_the_worker_uses(at):
    at.first(
        "import classroom.protocol.wire, dataclasses, base64\n"
        "classroom.protocol.wire.to_line = base64.b64encode = None",
        wrong=False,
    )


@case("", r"bool")
def replaces_the_worker(at):
    """A worker of its own that says True to everything."""
    at.first(f"""{WORKER}
def serve():
    while line := WORKER._requests.readline():
        say(json.dumps({{"id": json.loads(line)["id"], "value": True}}).encode() + b"\\n")
say(json.dumps({{"id": WORKER._now, "value": None}}).encode() + b"\\n")
serve()
""")


@case(OTHERS, r"it called a function that it was not given", "crashed")
def calls_what_it_was_not_given(at):
    forged(at, 'say({"callback": 1, "args": [], "kwargs": {}})')


@case("3.1 3.2 3.3", r"it called a function that it was not given", more=True)
def calls_another_number(at):
    chunk(at, 'say({"callback": "1", "args": [], "kwargs": {}})\n    time.sleep(99)')


@case("3.1 3.2 3.3", r"it called back with what is no value")
def calls_back_with_junk(at):
    chunk(
        at,
        'say({"callback": tokens_number(tokens), "args": [{"$": "pickle", "v": "gASV"}], "kwargs": {}})\n'
        "    time.sleep(99)",
    )


@case("3.1 3.2 3.3", r"took too long", timeout=1)
def calls_back_for_ever(at):
    chunk(at, "while True: tokens('a b')")


@case("3.1 3.2 3.3", r"it called back with too much")
def calls_back_with_megabytes(at):
    """The answer is larger than what it asks with: a million tokens."""
    chunk(at, "tokens('a ' * 900_000)")


@case("3.1 3.2 3.3", r"raised TypeError|expected string", more=True)
def calls_back_with_another_type(at):
    chunk(at, "tokens(10 ** 300)")


@case("3.1 3.2 3.3", r"at |items|list|is over", more=True)
def keeps_the_function_for_later(at):
    """A function of the grader's, kept from call to call and asked from a thread."""
    chunk(
        at,
        """global kept
    kept.append(tokens)
    threading.Thread(target=lambda: [each(text) for each in kept]).start()
    time.sleep(0.1)
    return [(0, 1)]
kept = []""",
    )


@case("3.1 3.2 3.3", r"at |items|list|nobody asked|no reply|took too long", timeout=3)
def answers_its_own_question(at):
    """Takes the grader's answer to a callback from the pipe, and makes up another."""
    chunk(
        at,
        """class Pipe:
        def readline(self): return b'{"value": []}'
    WORKER._requests, kept = Pipe(), WORKER._requests
    tokens(text)
    WORKER._requests = kept
    return []""",
    )


def chunk(at, code):
    at.honest().write(
        "step3_rag/ingest/chunk.py",
        f"{reference('chunk')}{at.prelude()}{WORKER}\n"
        "def tokens_number(tokens): return tokens.__closure__[[v for v in tokens.__code__.co_freevars]"
        '.index("number")].cell_contents\n'
        f"def chunk(text, tokens, size=200, overlap=40):\n    {code}\n",
    )


@case(OTHERS, rf"{NO_REPLY}|no reply", "crashed")
def binary_junk(at):
    forged(at, 'say(os.urandom(5000).replace(b"\\n", b"") + b"\\n")')


@case(OTHERS, NO_REPLY, "crashed", more=True)
def a_reply_without_anything(at):
    forged(at, "say({})")


@case(OTHERS, NO_REPLY, "crashed", more=True)
def a_list_for_a_reply(at):
    forged(at, 'say(b"[1, 2]\\n")')


@case(OTHERS, NO_REPLY, "crashed", more=True)
def many_empty_lines(at):
    forged(at, 'say(b"\\n" * 5000)')


@case(OTHERS, NO_REPLY, "crashed")
def brackets_for_ever(at):
    forged(at, 'say(b"[" * 200_000 + b"\\n")')


@case(OTHERS, NO_REPLY, "crashed", more=True)
def digits_for_ever(at):
    forged(at, 'say(b\'{"id": "\' + WORKER._now.encode() + b\'", "value": \' + b"9" * 100_000 + b"}\\n")')


@case(OTHERS, r"it took too long", "timed out", timeout=1)
def half_a_line(at):
    forged(at, 'say(b\'{"id": "\')')


@case(OTHERS, r"it took too long", "timed out", timeout=1)
def drip_of_bytes(at):
    forged(at, "while True: say(b'{'); time.sleep(0.01)")


@case(OTHERS, r"its reply was too long", "crashed")
def a_line_without_end(at):
    forged(at, 'while True: say(b"a" * 65536)')


@case(OTHERS, NO_REPLY, "crashed")
def a_kind_that_is_none(at):
    forged(at, 'say({"value": {"$": "pickle", "v": "gASVAA=="}})')


@case(OTHERS, NO_REPLY, "crashed", more=True)
def a_name_to_import(at):
    """Only the grader may ask for an import."""
    forged(at, 'say({"value": {"$": "name", "v": "os:abort"}})')


@case(OTHERS, NO_REPLY, "crashed")
def an_array_of_a_petabyte(at):
    forged(
        at,
        """import base64
    head = b"{'descr': '<f8', 'fortran_order': False, 'shape': (1 << 47,), }"
    head = head.replace(b"1 << 47", str(1 << 47).encode()).ljust(117) + b"\\n"
    npy = b"\\x93NUMPY\\x01\\x00" + len(head).to_bytes(2, "little") + head
    say({"value": {"$": "array", "npy": base64.b64encode(npy).decode()}})""",
    )


@case(OTHERS, NO_REPLY, "crashed", more=True)
def an_array_with_a_program_in_it(at):
    """A header is a Python literal, and is to stay one."""
    forged(
        at,
        """import base64
    head = b"__import__('os').abort()".ljust(117) + b"\\n"
    npy = b"\\x93NUMPY\\x01\\x00" + len(head).to_bytes(2, "little") + head
    say({"value": {"$": "array", "npy": base64.b64encode(npy).decode()}})""",
    )


@case(OTHERS, r"a os:system|^a ", "failed")
def a_record_of_another_module(at):
    forged(
        at, 'say({"value": {"$": "record", "type": "os:system", "v": {"command": "true"}}})', "os._exit(0)"
    )


@case(OTHERS, r"\]: 1\.0", "failed")
def the_same_key_twice(at):
    forged(
        at,
        f"""told = json.dumps({ONES})[1:]
    say(('{{"id": "nobody", "id": "%s", "value": {{}}, ' % WORKER._now).encode() + told.encode() + b"\\n")""",
        "os._exit(0)",
    )


@case(OTHERS, r"float", "failed", more=True)
def numbers_that_json_has_not(at):
    forged(at, 'say(b\'{"id": "\' + WORKER._now.encode() + b\'", "value": NaN}\\n\')', "os._exit(0)")


@case(OTHERS, r"closed its pipes|took too long", timeout=2)
def closes_its_pipes(at):
    at.rrf("import os, time\ndef rrf(rankings, k=60):\n    os.closerange(0, 256)\n    time.sleep(99)\n")


@case(OTHERS, r"took too long|ended", timeout=1)
def becomes_another_program(at):
    at.rrf("""
        import os, sys
        def rrf(rankings, k=60):
            for each in range(3, 256):
                try: os.set_inheritable(each, True)
                except OSError: pass
            os.execv(sys.executable, [sys.executable, "-I", "-S", "-c", "import time; time.sleep(99)"])
    """)


@case(OTHERS, rf"{NO_REPLY}|nobody asked for", "crashed")
def writes_to_every_descriptor(at):
    at.rrf("""
        import os, time
        def rrf(rankings, k=60):
            for each in range(256):
                try: os.write(each, b'{"id": 1, "value": {"$": "dict", "v": []}}\\n')
                except OSError: pass
            time.sleep(99)
    """)


@case(OTHERS, r"nobody asked for|no reply|took too long", timeout=3)
def two_processes_answer(at):
    at.rrf(
        f"{RRF}right = rrf\nimport os\n"
        "def rrf(rankings, k=60):\n    os.fork()\n    return right(rankings, k)\n"
    )


@case(OTHERS, r"nobody asked for|no reply|is missing", timeout=3)
def threads_answer(at):
    """Eight threads, which write over each other."""
    forged(
        at,
        """def forge():
        while True: say({"value": {"$": "dict", "v": []}})
    for _ in range(8): threading.Thread(target=forge, daemon=True).start()""",
        "time.sleep(0.5); os._exit(0)",
    )


@case(OTHERS, r"took too long", "timed out", timeout=1, more=True)
def reads_the_requests(at):
    """Waits for more of what the grader says, which says nothing more."""
    forged(at, "WORKER._requests.readline()")
