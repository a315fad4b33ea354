"""Ends, hangs, and what is to stay behind."""

from tests.classroom.hostile.kit import OTHERS, RRF, WRONG, case

FUSE = "3.2 3.5"  # what is left where fuse.py can't be imported
LATE = r"it took too long"
IMPORTING = r"importing step3_rag\.retrieve\.fuse: "


@case(FUSE, IMPORTING + LATE, "timed out", imports=2)
def loops_at_import(at):
    at.first("while True: pass")


@case(OTHERS, LATE, "timed out", timeout=1)
def loops(at):
    at.rrf("def rrf(rankings, k=60):\n    while True: pass")


@case(OTHERS, LATE, "timed out", timeout=1)
def loops_and_heeds_no_signal(at):
    at.rrf("""
        import signal
        def rrf(rankings, k=60):
            for each in range(1, 65):
                try: signal.signal(each, signal.SIG_IGN)
                except (OSError, ValueError): pass
            while True:
                try:
                    while True: pass
                except BaseException: pass
    """)


@case(OTHERS, LATE, "timed out", timeout=1, more=True)
def blocks_all_signals(at):
    at.rrf("""
        import signal, time
        def rrf(rankings, k=60):
            signal.pthread_sigmask(signal.SIG_BLOCK, range(1, 65))
            time.sleep(3600)
    """)


@case(OTHERS, LATE, "timed out", timeout=1)
def stops_itself(at):
    at.rrf("import os, signal\ndef rrf(rankings, k=60): os.kill(os.getpid(), signal.SIGSTOP)")


@case(OTHERS, LATE, "timed out", timeout=1)
def waits_for_a_lock(at):
    at.rrf(
        "import threading\nlock = threading.Lock()\ndef rrf(rankings, k=60):\n    while True: lock.acquire()"
    )


@case(OTHERS, LATE, "timed out", timeout=1)
def bomb_of_a_pattern(at):
    """Holds the interpreter's lock all the time: no handler in the process would ever run."""
    at.rrf("import re\ndef rrf(rankings, k=60): return re.match(r'(a+)+$', 'a' * 64 + 'b')")


@case(OTHERS, LATE + "|memory", timeout=1, more=True)
def bomb_of_a_number(at):
    at.rrf("def rrf(rankings, k=60): return len(str(9 ** 9 ** 9))")


@case(OTHERS, LATE, "timed out", timeout=1, more=True)
def stops_the_clock(at):
    """Its own clock: the grader has another."""
    at.rrf("""
        import time
        time.monotonic = time.time = time.perf_counter = lambda: 0.0
        def rrf(rankings, k=60):
            while time.monotonic() < 1: time.sleep(0.01)
    """)


@case(OTHERS, LATE, "timed out", timeout=1, more=True)
def waits_at_every_call(at):
    """Each call for itself is quick enough; together they are not."""
    at.rrf(
        f"{RRF}right = rrf\nimport time\n"
        "def rrf(rankings, k=60):\n    time.sleep(0.7)\n    return right(rankings, k)\n"
    )


@case(FUSE, r"raised SystemExit", "failed")
def exits_at_import(at):
    at.first("import sys\nsys.exit(0)")


@case(FUSE, IMPORTING + r"its process ended \(exit code 0\)", "crashed")
def exits_hard_at_import(at):
    at.first("import os\nos._exit(0)")


@case(OTHERS, r"raised SystemExit: 0", "failed")
def exits(at):
    at.rrf("import sys\ndef rrf(rankings, k=60): sys.exit(0)")


@case(OTHERS, r"its process ended \(exit code 0\)", "crashed")
def exits_hard(at):
    at.rrf("import os\ndef rrf(rankings, k=60): os._exit(0)")


@case(OTHERS, r"ended by SIGABRT", "crashed", more=True)
def aborts(at):
    at.rrf("import os\ndef rrf(rankings, k=60): os.abort()")


@case(OTHERS, r"ended by SIGSEGV", "crashed")
def segfault(at):
    at.rrf("import ctypes\ndef rrf(rankings, k=60): ctypes.string_at(0)")


@case(OTHERS, r"ended by SIGKILL", "crashed", more=True)
def kills_itself(at):
    at.rrf("import os\ndef rrf(rankings, k=60): os.kill(os.getpid(), 9)")


@case(OTHERS, r"raised KeyboardInterrupt", "failed", more=True)
def interrupts(at):
    at.rrf("def rrf(rankings, k=60): raise KeyboardInterrupt")


@case(OTHERS, r"raised GeneratorExit", "failed", more=True)
def raises_what_is_no_exception(at):
    at.rrf("def rrf(rankings, k=60): raise GeneratorExit")


@case(OTHERS, r"raised StopIteration", "failed", more=True)
def stops_an_iteration(at):
    at.rrf("def rrf(rankings, k=60): next(iter(()))")


@case(OTHERS, r"raised ExceptionGroup", "failed", more=True)
def many_exceptions(at):
    at.rrf("def rrf(rankings, k=60): raise ExceptionGroup('all', [ValueError(i) for i in range(5000)])")


@case(OTHERS, r"raised RecursionError", "failed")
def recursion(at):
    at.rrf("def rrf(rankings, k=60): return rrf(rankings, k)")


@case(OTHERS, r"ended by SIG|memory|" + LATE, timeout=3)
def recursion_without_a_limit(at):
    at.rrf("""
        import sys
        class Deep:
            def __lt__(self, other): return sorted([Deep(), Deep()]) and True
        def rrf(rankings, k=60):
            sys.setrecursionlimit(10 ** 9)
            return Deep() < Deep()
    """)


@case(OTHERS, r"is missing|too much", "failed")
def exits_when_it_is_deleted(at):
    at.rrf("""
        import sys
        class Last:
            def __del__(self): sys.exit(3)
        def rrf(rankings, k=60):
            Last()
            return {}
    """)


@case(OTHERS, r"is missing|too much", "failed")
def rewrites_at_exit(at):
    at.rrf("""
        import atexit, threading
        def late():
            for path in FACTS["canaries"]:
                try: open(path, "w").write("late")
                except OSError: pass
        atexit.register(late)
        threading._register_atexit(late)
        def rrf(rankings, k=60): return {}
    """)


@case(OTHERS, r"raised TimeoutError: alarm", "failed")
def sets_an_alarm(at):
    at.rrf("""
        import signal, time
        def ring(*_): raise TimeoutError("alarm")
        def rrf(rankings, k=60):
            signal.signal(signal.SIGALRM, ring)
            signal.setitimer(signal.ITIMER_REAL, 0.05)
            time.sleep(3)
    """)


@case(OTHERS, r"its process ended \(exit code 1\)|ended by", "crashed")
def lets_faulthandler_end_it(at):
    at.rrf("""
        import faulthandler, time
        def rrf(rankings, k=60):
            faulthandler.dump_traceback_later(0.05, exit=True)
            time.sleep(9)
    """)


@case(OTHERS, r"raised RuntimeError: traced", "failed")
def traces_the_worker(at):
    """A trace function that raises where the worker packs the answer."""
    at.rrf("""
        import sys
        def trace(frame, event, arg):
            if frame.f_code.co_name == "encode": raise RuntimeError("traced")
        def rrf(rankings, k=60):
            sys.settrace(trace)
            return {}
    """)


@case(FUSE, r"raised EOFError", "failed")
def asks_at_import(at):
    at.first("k = int(input('k = '))")


@case(FUSE, r"raised BdbQuit|raised EOFError|raised SystemExit", "failed")
def breakpoint_at_import(at):
    at.first("breakpoint()")


@case(OTHERS, r"raised BdbQuit|raised EOFError|raised SystemExit", "failed", more=True)
def breakpoint_left_in(at):
    at.rrf("def rrf(rankings, k=60):\n    breakpoint()\n    return {}")


@case(OTHERS, LATE + "|is missing", stops="daemons", timeout=2)
def daemon(at):
    """Two forks, a session of its own, no signal heeded; its name is a mark that is looked for."""
    at.rrf(
        DAEMON
        + """
        def rrf(rankings, k=60):
            daemon()
            return {}
    """
    )


@case(
    OTHERS,
    r"is missing|took too long|ended|PermissionError|ProcessLookupError",
    stops="daemons, signals",
    timeout=3,
)
def daemon_that_kills_what_is_above(at):
    at.rrf(
        DAEMON
        + """
        def rrf(rankings, k=60):
            above = os.getppid()
            daemon(before=lambda: os.kill(above, signal.SIGKILL) if above > 1 else None)
            return {}
    """
    )


DAEMON = """
        import os, signal, sys, time
        def daemon(before=lambda: None):
            if os.fork() == 0:
                try: os.setsid()
                except OSError: pass
                if os.fork() == 0:
                    for each in range(1, 65):
                        try: signal.signal(each, signal.SIG_IGN)
                        except (OSError, ValueError): pass
                    try: before()
                    except OSError: pass
                    os.closerange(0, 256)
                    code = "import time; time.sleep(60)"
                    os.execve(sys.executable, [sys.executable, "-I", "-S", "-c", code, FACTS["token"]], {})
                os._exit(0)
            time.sleep(0.2)
"""


@case(OTHERS, r"raised PermissionError|is missing", "failed", stops="daemons")  # no sessions of its own
def leaves_programs_behind(at):
    at.rrf("""
        import subprocess, sys
        def rrf(rankings, k=60):
            for _ in range(5):
                code = "import time; time.sleep(60)"
                command = [sys.executable, "-I", "-S", "-c", code, FACTS["token"]]
                subprocess.Popen(command, start_new_session=True)
            return {}
    """)


@case(FUSE, IMPORTING + LATE, "timed out", stops="daemons", imports=2)
def leaves_a_daemon_at_import(at):
    at.first(DAEMON.replace("\n        ", "\n") + "\ndaemon()\ntime.sleep(99)")


@case("3.1 3.2 3.3 3.5", "^$", "passed")
def ends_behind_a_right_answer(at):
    """A thread ends the process a moment later: the next exercises get another one."""
    at.rrf(f"""{RRF}
import os, threading
right = rrf
def rrf(rankings, k=60):
    if len(rankings) == 4: threading.Timer(0.01, os._exit, (3,)).start()  # the last one of the test
    return right(rankings, k)
""")


@case(FUSE, r"ZeroDivisionError", "failed", more=True)
def fails_at_import(at):
    at.first("1 / 0")


@case("3.5", IMPORTING + r"its process ended.*step3_rag\.evaluate\.metrics: it took too long", imports=2)
def each_file_in_its_own_way(at):
    at.first("import os\nos._exit(7)")
    at.write("step3_rag/evaluate/metrics.py", f"import time\ntime.sleep(99){WRONG}")
