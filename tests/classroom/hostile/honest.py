"""Right solutions of odd shape, which keep their points, and honest mistakes, which are named."""

from tests.classroom.hostile.kit import OTHERS, RRF, WRONG, case, path_of, reference

EVERY = "3.1 3.2 3.3 3.5"


@case(EVERY, "^$", "passed")
def reference_solution(at):
    at.honest()


@case("", r"^exercise 3\.1: .*^exercise 3\.3: ", "not attempted")
def the_starter(at):
    """Nothing done yet."""
    from classroom.assignment import markers

    for name in ("fuse", "metrics", "chunk"):
        at.write(path_of(name), markers.strip(reference(name), name))


@case(EVERY, "^$", "passed")
def windows_line_ends(at):
    at.honest().write("step3_rag/retrieve/fuse.py", reference("fuse").replace("\n", "\r\n"))


@case(EVERY, "^$", "passed", more=True)
def old_mac_line_ends(at):
    at.honest().write("step3_rag/retrieve/fuse.py", reference("fuse").replace("\n", "\r"))


@case(EVERY, "^$", "passed")
def byte_order_mark(at):
    at.honest().write("step3_rag/retrieve/fuse.py", b"\xef\xbb\xbf" + reference("fuse").encode())


@case(EVERY, "^$", "passed")
def latin_1_that_says_so(at):
    text = "# -*- coding: latin-1 -*-\n# für\n" + reference("fuse").replace("ü", "u").replace("…", "...")
    at.honest().write("step3_rag/retrieve/fuse.py", text.encode("latin-1", "replace"))


@case("3.2 3.5", r"SyntaxError.*utf-8", "failed")
def latin_1_that_does_not(at):
    text = reference("fuse") + "# für\n"
    at.honest().write("step3_rag/retrieve/fuse.py", text.encode("latin-1", "replace"))


@case("3.2 3.5", r"SyntaxError", "failed")
def utf_16(at):
    at.honest().write("step3_rag/retrieve/fuse.py", reference("fuse").encode("utf-16"))


@case("3.2 3.5", r"SyntaxError.*null bytes", "failed")
def null_bytes(at):
    at.honest().write("step3_rag/retrieve/fuse.py", reference("fuse").replace("fused", "fu\0sed"))


@case("3.2 3.5", r"SyntaxError.*\(fuse\.py:\d+\)", "failed")
def syntax_error(at):
    at.honest().write("step3_rag/retrieve/fuse.py", reference("fuse") + "\ndef rrf(:\n")


@case("3.2 3.5", r"SyntaxError.*print", "failed")
def python_2(at):
    at.honest().write("step3_rag/retrieve/fuse.py", reference("fuse") + '\nprint "fused"\n')


@case("3.2 3.5", r"TabError|IndentationError", "failed")
def tabs_and_spaces(at):
    at.honest().write(
        "step3_rag/retrieve/fuse.py", reference("fuse") + "\ndef f():\n\tif 1:\n        return 2\n"
    )


@case("3.2 3.5", r"SyntaxError", "failed", more=True)
def merge_conflict(at):
    at.honest().write("step3_rag/retrieve/fuse.py", f"<<<<<<< HEAD\n{WRONG}=======\n{RRF}>>>>>>> main\n")


@case("3.2 3.5", r"SyntaxError", "failed", more=True)
def saved_as_a_web_page(at):
    at.honest().write("step3_rag/retrieve/fuse.py", "<!DOCTYPE html>\n<html><body>404</body></html>\n")


@case("3.2 3.5", r"SyntaxError", "failed", more=True)
def notebook_magic(at):
    at.honest().write(
        "step3_rag/retrieve/fuse.py", f"%matplotlib inline\n!pip install ranx\n{reference('fuse')}"
    )


@case("3.2 3.5", r"(SyntaxError|MemoryError|RecursionError|too many nested)", "failed")
def too_many_brackets(at):
    at.honest().write("step3_rag/retrieve/fuse.py", f"x = {'(' * 5000}1{')' * 5000}\n{reference('fuse')}")


@case("3.2 3.5", r"RecursionError|SyntaxError|MemoryError|SIGSEGV|took too long")
def a_line_that_breaks_the_compiler(at):
    at.honest().write("step3_rag/retrieve/fuse.py", f"x = {'-' * 100_000}1\ny = {'+1' * 100_000}\n")


@case("3.2 3.5", r"AttributeError.*has no attribute 'rrf'")
def empty_file(at):
    at.honest().write("step3_rag/retrieve/fuse.py", "")


@case("3.2 3.5", r"fuse\.py is missing: the starter's is graded", "not attempted")
def missing_file(at):
    at.honest()
    (at.ada / "step3_rag" / "retrieve" / "fuse.py").unlink()


@case(OTHERS, r"AttributeError.*has no attribute 'rrf'", "failed")
def renamed_function(at):
    at.honest().write("step3_rag/retrieve/fuse.py", reference("fuse").replace("def rrf(", "def RRF("))


@case(OTHERS, r"TypeError.*unexpected keyword argument 'k'", "failed")
def wrong_arity(at):
    at.rrf("def rrf(rankings): return {}")


@case(OTHERS, r"TypeError.*missing 1 required positional argument", "failed", more=True)
def method_without_its_object(at):
    at.rrf("""
        class Fusion:
            def rrf(self, rankings, k=60): return {}
        rrf = Fusion.rrf
    """)


@case(OTHERS, r"a step3_rag\.retrieve\.fuse:rrf", "failed")
def class_for_a_function(at):
    at.rrf("""
        class rrf:
            def __init__(self, rankings, k=60): self.k = k
    """)


@case(OTHERS, r"'dict' object is not callable", "failed", more=True)
def value_for_a_function(at):
    at.rrf("rrf = {}")


@case(OTHERS, r"None", "failed", more=True)
def returns_nothing(at):
    at.rrf("def rrf(rankings, k=60): print(sum(range(9)))")


@case("3.2 3.5", r"ModuleNotFoundError.*ranx", "failed", more=True)
def library_that_is_not_there(at):
    at.first("import ranx\n")


@case("3.2 3.5", r"ImportError.*(partially initialized|circular)", "failed", more=True)
def imports_itself(at):
    at.first("from step3_rag.retrieve.fuse import rrf\n")


@case("3.5", r"ImportError.*(partially initialized|circular)", "failed")
def imports_in_a_circle(at):
    at.first("from step3_rag.evaluate.metrics import ndcg\n")
    at.write(
        "step3_rag/evaluate/metrics.py",
        "import math\nfrom step3_rag.retrieve.fuse import rrf\ndef ndcg(*args, **kwargs): return 0.5\n",
    )


@case(OTHERS, r"NameError.*'fussed'.*\(fuse\.py:\d+\)", "failed")
def wrong_name(at):
    at.rrf("def rrf(rankings, k=60): return fussed")


@case("3.1 3.3 3.5", r"at |0\.|int instead|ZeroDivisionError", points=10 + 3 + 7 + 10)
def only_the_easy_part(at):
    """nDCG that takes every grade for 1: right where all are."""
    at.honest().write(
        "step3_rag/evaluate/metrics.py",
        reference("metrics")
        + """
def ndcg(ranking, qrels, k=10, whole=ndcg):
    return whole(ranking, dict.fromkeys(qrels, 1), k)
""",
    )


@case(EVERY, "^$", "passed")
def changes_its_arguments(at):
    at.rrf(RRF.replace("return fused", "rankings.clear()\n    return fused"))


@case(EVERY, "talk", "passed")
def talks_a_lot(at):
    at.rrf(RRF.replace("return fused", "print('talk ' * 1000)\n    return fused"))


@case(EVERY, "^$", "passed", more=True)
def leaves_a_thread_running(at):
    at.rrf("import threading, time\nthreading.Thread(target=time.sleep, args=(99,)).start()\n" + RRF)


@case(EVERY, "^$", "passed", more=True)
def counts_with_counter(at):
    """A Counter is a dict, and a defaultdict, too: the same keys and values."""
    at.rrf(RRF.replace("fused = {}", "import collections\n    fused = collections.defaultdict(float)"))
