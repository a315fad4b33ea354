"""Results that lie about what they are, or that are made to hurt who looks at them."""

from tests.classroom.hostile.kit import OTHERS, RRF, case


def returns(code):
    return f"{code}\ndef rrf(rankings, k=60): return made(rankings, k)\n"


@case(OTHERS, r"a step3_rag\.retrieve\.fuse:Equal$", "failed")
def equals_everything(at):
    at.rrf("""
        class Equal:
            def __eq__(self, other): return True
            def __ne__(self, other): return False
            def __hash__(self): return 0
            def __len__(self): return 3
            def __iter__(self): return iter(())
        def rrf(rankings, k=60): return Equal()
    """)


@case(OTHERS, r"a step3_rag\.retrieve\.fuse:Liar$", "failed")
def lies_about_its_class(at):
    at.rrf("""
        class Liar:
            __class__ = dict
            def __getattribute__(self, name): return dict if name == "__class__" else getattr({}, name)
        def rrf(rankings, k=60): return Liar()
    """)


@case(OTHERS, r"\]: a step3_rag\.retrieve\.fuse:Always$|a step3_rag\.retrieve\.fuse:Always", "failed")
def float_that_equals_all(at):
    at.rrf("""
        class Always(float):
            def __eq__(self, other): return True
            def __ne__(self, other): return False
            def __sub__(self, other): return 0.0
            def __rsub__(self, other): return 0.0
            def __le__(self, other): return True
            def __hash__(self): return 1
        def rrf(rankings, k=60): return {each: Always(1) for each in set().union(*rankings)}
    """)


@case(OTHERS, r"a step3_rag\.retrieve\.fuse:Dict", "failed", more=True)
def dict_that_has_all(at):
    at.rrf("""
        class Dict(dict):
            def __getitem__(self, name): return 1.0
            def __contains__(self, name): return True
            def __eq__(self, other): return True
        def rrf(rankings, k=60): return Dict()
    """)


@case(OTHERS, r"fuse:Str|a key is missing|something is missing|too much", "failed", more=True)
def str_that_equals_all(at):
    at.rrf("""
        class Str(str):
            def __eq__(self, other): return True
            def __hash__(self): return hash("a")
        def rrf(rankings, k=60): return {Str(each): 1.0 for each in set().union(*rankings)}
    """)


@case(OTHERS, r"\]: bool", "failed")
def bools_for_floats(at):
    at.rrf("def rrf(rankings, k=60): return dict.fromkeys(set().union(*rankings), True)")


@case(OTHERS, r"\]: int", "failed")
def ints_for_floats(at):
    at.rrf("def rrf(rankings, k=60): return dict.fromkeys(set().union(*rankings), 0)")


@case(OTHERS, r"\]: a numpy float64 number", "failed")
def numbers_of_numpy(at):
    at.rrf(
        f"{RRF}right = rrf\nimport numpy as np\n"
        "def rrf(rankings, k=60): return {n: np.float64(x) for n, x in right(rankings, k).items()}"
    )


@case(OTHERS, r"\]: a decimal:Decimal", "failed", more=True)
def decimals(at):
    at.rrf(
        f"{RRF}right = rrf\nfrom decimal import Decimal\n"
        "def rrf(rankings, k=60): return {n: Decimal(x) for n, x in right(rankings, k).items()}"
    )


@case(OTHERS, r"str", "failed", more=True)
def the_answer_as_text(at):
    at.rrf(f"{RRF}right = rrf\ndef rrf(rankings, k=60): return repr(right(rankings, k))")


@case(OTHERS, r"\]: nan", "failed")
def not_a_number(at):
    at.rrf("def rrf(rankings, k=60): return dict.fromkeys(set().union(*rankings), float('nan'))")


@case(OTHERS, r"\]: inf", "failed", more=True)
def infinity(at):
    at.rrf("def rrf(rankings, k=60): return dict.fromkeys(set().union(*rankings), float('inf'))")


@case(OTHERS, r"\]: -0\.0", "failed")
def negative_zero(at):
    at.rrf("def rrf(rankings, k=60): return dict.fromkeys(set().union(*rankings), -0.0)")


@case(OTHERS, r"whole number of 33\d\d\d bits", "failed")
def huge_int(at):
    at.rrf("def rrf(rankings, k=60): return dict.fromkeys(set().union(*rankings), 10 ** 10_000)")


@case(OTHERS, r"nested deeper than", "failed")
def deep_nesting(at):
    at.rrf("""
        def rrf(rankings, k=60):
            made = {}
            for _ in range(100_000): made = {"a": made}
            return made
    """)


@case(OTHERS, r"nested deeper than", "failed", more=True)
def list_that_holds_itself(at):
    at.rrf("""
        def rrf(rankings, k=60):
            made = []
            made.append(made)
            return made
    """)


@case(OTHERS, r"nested deeper than|MemoryError|bytes, where|memory|took too long", timeout=3)
def dict_that_holds_itself_twice(at):
    """Grows by 2 to the power of its depth."""
    at.rrf("""
        def rrf(rankings, k=60):
            made = {}
            made["a"] = made["b"] = made
            return made
    """)


@case(OTHERS, r"is missing|too much", "failed")
def half_of_a_character(at):
    at.rrf("def rrf(rankings, k=60): return {'\\ud800\\udfff\\ud800': 1.0}")


@case(OTHERS, r"^str$", "failed")
def two_megabytes(at):
    at.rrf("def rrf(rankings, k=60): return 'a' * 2_000_000")


@case(OTHERS, r"bytes, where [\d,]+ are allowed|nested|memory|MemoryError", "failed")
def two_hundred_megabytes(at):
    at.rrf("def rrf(rankings, k=60): return 'a' * 200_000_000")


@case(OTHERS, r"more than 100,000 items", "failed")
def endless_iterator(at):
    at.rrf("import itertools\ndef rrf(rankings, k=60): return itertools.count()")


@case(OTHERS, r"took too long", "timed out", timeout=1)
def iterator_that_waits(at):
    at.rrf("""
        import time
        def rrf(rankings, k=60):
            yield 1
            time.sleep(3600)
    """)


@case(OTHERS, r"took too long", "timed out", timeout=1, more=True)
def awaits_for_ever(at):
    at.rrf("""
        import asyncio
        async def rrf(rankings, k=60):
            await asyncio.Event().wait()
    """)


@case(OTHERS, r"a builtins:dict$", "failed")
def named_as_what_was_asked_for(at):
    at.rrf("""
        import dataclasses
        @dataclasses.dataclass
        class Dict:
            a: float = 1.0
        Dict.__module__, Dict.__qualname__, Dict.__name__ = "builtins", "dict", "dict"
        def rrf(rankings, k=60): return Dict()
    """)


@case(OTHERS, r"took too long|memory", timeout=1)
def endless_fields(at):
    at.rrf("""
        import itertools
        class Row(tuple):
            _fields = property(lambda self: itertools.cycle(["a"]))
            a = 1
        def rrf(rankings, k=60): return Row()
    """)


@case(OTHERS, r"^bytes$", "failed")
def pickle(at):
    """Bytes that would delete the canaries, were they ever unpickled."""
    at.rrf("""
        import pickle, os
        class Evil:
            def __reduce__(self): return os.unlink, (FACTS["canaries"][0],)
        def rrf(rankings, k=60): return pickle.dumps(Evil())
    """)


@case(OTHERS, r"an array of object", "failed")
def array_of_objects(at):
    at.rrf("""
        import numpy, os
        class Evil:
            def __reduce__(self): return os.unlink, (FACTS["canaries"][0],)
        def rrf(rankings, k=60): return numpy.array([Evil()], dtype=object)
    """)


@case(OTHERS, r"it sent what is no reply \(ValueError\)", "crashed")
def keys_that_collide(at):
    at.rrf("def rrf(rankings, k=60): return {i * ((1 << 61) - 1): 0 for i in range(6_000)}")


@case(OTHERS, r"a collections:UserDict", "failed", more=True)
def nearly_a_dict(at):
    at.rrf(
        f"{RRF}right = rrf\nimport collections\n"
        "def rrf(rankings, k=60): return collections.UserDict(right(rankings, k))"
    )


@case(OTHERS, r"raised|a step3_rag", "failed", more=True)
def raises_whenever_it_is_looked_at(at):
    at.rrf("""
        class Trap:
            def __getattribute__(self, name): raise SystemExit(f"looked at {name}")
        def rrf(rankings, k=60): return Trap()
    """)


@case(OTHERS, r"is missing|too much", "failed", more=True)
def its_own_argument(at):
    at.rrf("def rrf(rankings, k=60): return rankings[0]")


@case("3.2 3.5", r"raised Everything: 'right'", "failed")
def an_exception_of_every_class(at):
    """Is of the class that is expected, wherever one is; where none is, it is an error."""
    at.rrf("""
        class Everything(ValueError, TypeError, KeyError, AssertionError, RuntimeError, EOFError):
            pass
        def rrf(rankings, k=60): raise Everything("right")
        def min_max(rankings, weights): raise Everything("right")
    """)


@case(OTHERS, r"a coroutine", "failed")
def coroutine_for_a_value(at):
    at.rrf(RRF.replace("def rrf", "async def rrf"))


@case("3.1 3.2 3.3", r"an iterator")
def generator_for_a_list(at):
    at.honest().write("step3_rag/ingest/chunk.py", _generator())


def _generator():
    from tests.classroom.hostile.kit import reference

    return (
        reference("chunk")
        + "\nwhole = chunk\ndef chunk(*args, **kwargs): yield from whole(*args, **kwargs)\n"
    )


@case(OTHERS, r"a step3_rag\.retrieve\.fuse:Enum|a step3_rag", "failed", more=True)
def enum_that_lies(at):
    at.rrf("""
        import enum
        class Enum(dict, enum.Enum):
            A = {}
        def rrf(rankings, k=60): return Enum.A
    """)
