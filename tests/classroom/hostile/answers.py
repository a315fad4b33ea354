"""Looking for the answers: in memory, in files, among processes, in what learners were given."""

import json

from tests.classroom.hostile.kit import OTHERS, case

NOT_READ = r"PermissionError|FileNotFoundError|NotADirectoryError"


@case(OTHERS, r"nothing to be found", "failed")
def looks_into_memory(at):
    """Frames, all objects, all modules: whoever knew the answers would be there."""
    at.rrf("""
        import gc, inspect, sys
        def rrf(rankings, k=60):
            names = {frame.frame.f_globals.get("__name__", "") for frame in inspect.stack()}
            frame = sys._getframe()
            while frame:
                names |= {*frame.f_locals, *frame.f_globals}
                frame = frame.f_back
            names |= {type(each).__name__ for each in gc.get_objects()} | set(sys.modules)
            for each in gc.get_objects():
                if type(each) is dict: names |= {key for key in each if type(key) is str}
            telling = [name for name in names if name in (
                "expected", "reference", "Remote", "Submission", "Draw", "classroom.grading.submission",
                "classroom.assignment.rubric", "classroom.grading.draw", "classroom.grading.plugin",
                "pytest", "_pytest", "test_rrf")]
            raise LookupError(f"found {sorted(telling)}" if telling else "nothing to be found")
    """)


@case(OTHERS, r"nothing to be found", "failed")
def looks_into_its_own_memory(at):
    """All that the process holds, for the source of a solution that is not handed in."""
    at.rrf("""
        def rrf(rankings, k=60):
            wanted, found = b"np.maximum.reduceat" + b"(cosines, starts", 0
            for line in open("/proc/self/maps"):
                fields = line.split()
                if "r" not in fields[1] or fields[-1].startswith("[v"):
                    continue
                start, end = (int(each, 16) for each in fields[0].split("-"))
                with open("/proc/self/mem", "rb", 0) as memory:
                    memory.seek(start)
                    try: found += memory.read(end - start).count(wanted)
                    except OSError: pass
            raise LookupError(f"found {found} times" if found > 2 else "nothing to be found")
    """)


@case(OTHERS, NOT_READ, "failed", stops="solutions")
def reads_the_reference(at):
    at.tried("exec(open(FACTS['root'] + '/step3_rag/retrieve/fuse.py').read(), globals())")


@case(OTHERS, NOT_READ, "failed", stops="solutions")
def reads_the_hidden_tests(at):
    at.tried("print(open(FACTS['root'] + '/classroom/rubrics/step3_hidden.py').read())")


@case(OTHERS, r"ModuleNotFoundError|ImportError|PermissionError", "failed", stops="solutions")
def imports_the_reference_from_elsewhere(at):
    at.tried("""
        import sys, importlib
        sys.path[:] = [FACTS["root"], *[each for each in sys.path if "site-packages" in each], *sys.path]
        for name in [name for name in sys.modules if name.startswith("step3_rag")]: del sys.modules[name]
        importlib.invalidate_caches()
        other = importlib.import_module("step3_rag.evaluate.metrics")
        if other.__file__.startswith("/tmp/"): raise ImportError("only its own")
    """)


@case(OTHERS, r"only its own", "failed")
def looks_for_the_reference_among_the_libraries(at):
    at.tried("""
        import glob, os, sys
        own = os.path.dirname(os.path.dirname(__file__))
        for place in sys.path:
            for path in glob.glob(place + "/**/fuse.py", recursive=True) if "site-packages" in place else []:
                try: text = open(path).read()
                except OSError: continue
                if "def rrf(" in text and not path.startswith(own): raise Worked(path)
        raise LookupError("only its own")
    """)


@case(OTHERS, r"LookupError: nothing", "failed", stops="solutions")
def follows_where_the_package_was_installed_from(at):
    """An installed package says where it comes from; an editable one has a finder."""
    at.tried("""
        import glob, importlib.metadata, json, os, sys
        places = {FACTS["root"], os.getcwd()}
        for place in [each for each in sys.path if "site-packages" in each]:
            told = [place + "/*.pth", place + "/*llm_roadmap*/*", place + "/__editable__*"]
            for path in [path for each in told for path in glob.glob(each)]:
                try: places |= {line.strip() for line in open(path)}
                except (OSError, ValueError): pass
        for place in places:
            try: text = open(os.path.join(place, "step3_rag", "retrieve", "fuse.py")).read()
            except (OSError, ValueError): continue
            raise Worked(place)
        raise LookupError("nothing")
    """)


@case(OTHERS, r"ModuleNotFoundError: No module named 'classroom\.(rubrics|submission)'", "failed")
def imports_the_grader(at):
    at.tried("import classroom.rubrics.step3_hidden")


@case(OTHERS, r"ModuleNotFoundError", "failed", more=True)
def imports_the_comparison(at):
    at.tried(
        "import classroom.grading.compare, classroom.grading.remote\n"
        "classroom.grading.compare.difference = lambda *args, **kwargs: None"
    )


@case(
    OTHERS, NOT_READ + "|ProcessLookupError|nothing", "failed", stops="memory of the grader, seeing processes"
)
def looks_into_the_grader(at):
    at.tried("""
        import os
        opened = []
        for pid in {os.getppid(), FACTS["grader"]} - {0, 1, os.getpid()}:
            for name in ("environ", "mem", "maps", "cwd/pyproject.toml", "root/etc/passwd", "fd", "task"):
                path = f"/proc/{pid}/{name}"
                try: opened.append(os.listdir(path) if name in ("fd", "task") else open(path, "rb").read(10))
                except OSError as error: last = error
        if opened: raise Worked(repr(opened))
        raise LookupError("nothing")
    """)


@case(OTHERS, NOT_READ, "failed", stops="other files")
def copies_from_another_submission(at):
    at.tried("exec(open(FACTS['eve']).read(), globals())")


@case("3.1 3.3 3.5", r"KeyError|at |instead of", points=10 + 7 + 10)
def recorded_answers(at):
    """What learners were given holds inputs and answers of the public tests: a table, and no nDCG at all."""
    from classroom.grading.draw import Draw
    from step3_rag.evaluate.metrics import ndcg

    draw, table = Draw(0, "test_ndcg_small"), {}
    for _ in range(3):
        docs = draw.words(6)
        qrels = dict.fromkeys(draw.sample(docs, 2), 1)
        table[json.dumps([docs, qrels, 10])] = ndcg(docs, qrels, 10)
    at.honest().write(
        "step3_rag/evaluate/metrics.py",
        f"""
import json
TABLE = {table!r}
def ndcg(ranking, qrels, k=10):
    return TABLE[json.dumps([ranking, qrels, k])]
""",
    )


@case("3.1 3.3 3.5", r"KeyError|at |instead of", points=10 + 7 + 10, more=True)
def recorded_answers_of_another_variant(at):
    """And it says that this variant was its own."""
    recorded_answers(at)
    at.write("classroom.json", json.dumps({"variant": 7, "files": {}, "score": 100}))


@case(OTHERS, r"at |is missing|too much", "failed", more=True)
def guesses_the_seed(at):
    """The first seeds, and their sums of ranks: none fits inputs that were drawn from another."""
    at.rrf("""
        import random
        def rrf(rankings, k=60):
            names = sorted(set().union(*rankings))
            for seed in range(50):
                if random.Random(f"{seed}:test_rrf").sample(names, len(names)) == names:
                    break
            return {name: 1 / (k + 1 + i) for i, name in enumerate(names)}
    """)


@case(OTHERS, r"is missing", "failed", more=True)
def patches_random(at):
    """In its own process, which draws nothing."""
    at.first("""
import random
random.Random.random = random.random = lambda *args: 0.5
random.Random.sample = lambda self, given, n: list(given)[:n]
""")


@case(OTHERS, r"^float$|a key is missing", "failed", more=True)
def constant(at):
    at.rrf("def rrf(rankings, k=60): return 0.5")


@case(OTHERS, r"at |missing", "failed")
def ranks_from_zero(at):
    """Nearly the formula: within a hundredth, where a millionth is asked for."""
    at.rrf("""
        def rrf(rankings, k=60):
            fused = {}
            for scores in rankings:
                for rank, each in enumerate(ranked(scores)):
                    fused[each] = fused.get(each, 0.0) + 1 / (k + rank)
            return fused
    """)
