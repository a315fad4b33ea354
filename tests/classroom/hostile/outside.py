"""Files, keys, network and processes that are none of a submission's business. Canaries are all around."""

from tests.classroom.hostile.kit import OTHERS, case, reference

REFUSED = r"PermissionError|FileNotFoundError|OSError|Operation not permitted|Read-only"
EACH = """
import os, shutil, pathlib, subprocess
done, last = [], None
for path in FACTS["canaries"]:
    try:
        {code}
        done.append(path)
    except OSError as error:
        last = error
if done: raise Worked(repr(done))
raise last
"""


def on_each(at, code):
    """Try it on each canary."""
    at.tried(EACH.format(code=code.replace("\n", "\n        ")))


@case(OTHERS, REFUSED, "failed", stops="writing")
def overwrites(at):
    on_each(at, 'open(path, "w").write("mine")')


@case(OTHERS, REFUSED, "failed", stops="writing", more=True)
def appends(at):
    on_each(at, 'open(path, "ab").write(b"mine")')


@case(OTHERS, REFUSED, "failed", stops="writing", more=True)
def truncates(at):
    on_each(at, "os.truncate(path, 0)")


@case(OTHERS, REFUSED, "failed", stops="writing")
def deletes(at):
    on_each(at, "os.unlink(path)")


@case(OTHERS, REFUSED + "|still there", "failed", stops="writing")
def deletes_all_that_it_can(at):
    on_each(
        at,
        "if not os.path.exists(path): raise FileNotFoundError(path)\n"
        "shutil.rmtree(os.path.dirname(path), ignore_errors=True)\n"
        "if os.path.exists(path): raise OSError('still there')",
    )


@case(OTHERS, REFUSED, "failed", stops="writing", more=True)
def renames(at):
    on_each(at, 'os.rename(path, path + ".mine")')


@case(OTHERS, REFUSED, "failed", stops="writing")
def writes_beside(at):
    on_each(at, 'open(os.path.join(os.path.dirname(path), "sitecustomize.py"), "w").write("mine")')


@case(OTHERS, REFUSED, "failed", stops="writing")
def writes_by_a_symbolic_link(at):
    on_each(
        at,
        'link = os.path.join(os.environ["HOME"], "link")\n'
        "if os.path.lexists(link): os.unlink(link)\nos.symlink(path, link)\nopen(link, 'w').write('mine')",
    )


@case(OTHERS, REFUSED, "failed", stops="writing", more=True)
def writes_by_a_hard_link(at):
    on_each(
        at,
        'link = os.path.join(os.environ["HOME"], "hard")\n'
        "os.link(path, link)\nopen(link, 'w').write('mine')",
    )


@case(OTHERS, REFUSED + "|nothing changed", "failed", stops="modes and times")
def changes_modes_and_times(at):
    on_each(
        at,
        "before = os.stat(path)\nos.utime(path, (1, 1))\nos.chmod(path, 0o777)\n"
        "if os.stat(path).st_mtime == before.st_mtime: raise OSError('nothing changed')",
    )


@case(OTHERS, REFUSED, "failed", stops="other files")
def reads_keys_of_the_home(at):
    on_each(at, "print(open(path).read())")


@case(OTHERS, r"PermissionError|FileNotFoundError", "failed", stops="other files")
def reads_the_shadow_file(at):
    at.tried("open('/etc/shadow').read()")


@case(OTHERS, r"PermissionError|FileNotFoundError", "failed", stops="other files", more=True)
def reads_what_the_system_says_of_others(at):
    at.tried("""
        opened = []
        for path in ("/etc/passwd", "/proc/1/environ", "/root/.bash_history"):
            try: text = open(path).read()
            except OSError as error: last = error
            else: opened += [path] if FACTS["root"] in text or path[:5] == "/root" or "root:" in text else []
        if opened: raise Worked(repr(opened))
        raise last
    """)


@case(OTHERS, r"no key", "failed")
def looks_for_keys_in_the_environment(at):
    at.tried("""
        import os
        held = {**os.environ, "proc": open("/proc/self/environ").read()}
        found = [name for name, value in held.items() if "canary" in value or "KEY" in name or "HUB" in name]
        raise Worked(repr(found)) if found else LookupError("no key")
    """)


@case(OTHERS, REFUSED, "failed", stops="solutions, writing")
def rewrites_the_reference(at):
    at.tried("""
        path = FACTS["root"] + "/step3_rag/retrieve/fuse.py"
        text = open(path).read()
        open(path, "w").write(text)
    """)


@case(OTHERS, REFUSED, "failed", stops="writing")
def rewrites_the_worker(at):
    """So that the next one, which comes after this one has gone, says what it likes."""
    at.tried("""
        import classroom.protocol.wire, classroom.protocol.worker
        for module in (classroom.protocol.wire, classroom.protocol.worker):
            with open(module.__file__, "a") as file: file.write("\\nimport os; os._exit(0)\\n")
    """)


@case("3.3 3.5", REFUSED, "failed", stops="writing")
def rewrites_its_other_files(at):
    """A wrong nDCG that the first exercise would put right in the tree, were that possible."""
    at.tried(f"""
        import os
        right = {reference("metrics")!r}
        path = os.path.join(os.path.dirname(__file__), "metrics.py")
        try: os.unlink(path)
        except OSError: pass
        open(path, "w").write(right)
    """)
    at.write(
        "step3_rag/evaluate/metrics.py",
        reference("metrics") + "\ndef ndcg(ranking, qrels, k=10): return -1.0\n",
    )


@case(OTHERS, REFUSED, "failed", stops="writing")
def leaves_a_file_among_the_libraries(at):
    at.tried("""
        import sys
        last = None
        for place in sys.path:
            try: open(place + "/hostile.pth", "w").write("import os")
            except OSError as error: last = error
            else: raise Worked(place)
        raise last
    """)


@case(OTHERS, REFUSED, "failed", stops="writing", more=True)
def leaves_a_file_for_the_next(at):
    at.tried("""
        last = None
        for place in ("/tmp", "/var/tmp", "/dev/shm", "/run", FACTS["home"], "/usr/local/bin"):
            try: open(place + "/hostile-left", "w").write("answers")
            except OSError as error: last = error
            else: raise Worked(place)
        raise last
    """)


@case(OTHERS, REFUSED, "failed", more=True)
def finds_nothing_from_the_last_one(at):
    at.tried("""
        import os
        if sorted(os.listdir(os.environ["HOME"])): raise Worked(repr(os.listdir(os.environ["HOME"])))
        open("/tmp/hostile-left").read()
    """)


@case(
    OTHERS,
    r"PermissionError|FileNotFoundError|CalledProcessError|exit status|rc 1\d\d",
    "failed",
    stops="writing, other files",
)
def asks_a_shell(at):
    at.tried("""
        import subprocess
        each = [f"cat /etc/shadow; echo mine > {path}; rm -f {path}" for path in FACTS["canaries"]]
        command = " ; ".join(each)
        done = subprocess.run(command, shell=True, capture_output=True, text=True)
        if "root:" in done.stdout: raise Worked(done.stdout)
        raise PermissionError(f"rc {done.returncode} {done.stderr[:200]}")
    """)


@case(OTHERS, r"OSError|PermissionError|not even a shell", "failed")
def asks_a_shell_behind_it(at):
    """nohup, which is to outlive everything."""
    at.tried("""
        import os
        code = os.system(f"nohup sh -c 'sleep 60 # {FACTS['token']}' > /dev/null 2>&1 &")
        raise OSError(f"not even a shell, or gone with the sandbox: {code}")
    """)


@case(OTHERS, REFUSED, "failed", stops="network")
def connects(at):
    at.tried("import socket\nsocket.create_connection(('127.0.0.1', FACTS['port']), 2).send(b'hello')")


@case(OTHERS, REFUSED, "failed", stops="network")
def sends_datagrams(at):
    at.tried(
        "import socket\nsocket.socket(type=socket.SOCK_DGRAM).sendto(b'hello', ('127.0.0.1', FACTS['udp']))"
    )


@case(OTHERS, REFUSED, "failed", stops="network", more=True)
def connects_to_a_name_without_a_file(at):
    at.tried("import socket\nsocket.socket(socket.AF_UNIX).connect('\\0' + FACTS['abstract'])")


@case(OTHERS, REFUSED, "failed", stops="network")
def listens(at):
    at.tried("""
        import http.server
        http.server.HTTPServer(("127.0.0.1", 0), http.server.BaseHTTPRequestHandler)
    """)


@case(OTHERS, r"URLError|gaierror|OSError", "failed", stops="network")
def asks_a_model_for_the_answer(at):
    at.tried(
        "import urllib.request\nurllib.request.urlopen('https://api.anthropic.com/v1/messages', timeout=2)"
    )


@case(OTHERS, r"gaierror|OSError|PermissionError", "failed", stops="network", more=True)
def looks_up_a_name(at):
    at.tried("import socket\nsocket.getaddrinfo('example.com', 443)")


@case(OTHERS, r"PermissionError|ProcessLookupError|nobody", "failed", stops="signals")
def kills_its_parent(at):
    at.tried("""
        import os, signal
        if os.getppid() <= 1: raise ProcessLookupError("nobody")
        os.kill(os.getppid(), signal.SIGKILL)
    """)


@case(OTHERS, r"PermissionError|ProcessLookupError", "failed", stops="signals")
def kills_the_grader(at):
    at.tried("""
        import os, signal
        signal.pidfd_send_signal(os.pidfd_open(FACTS["grader"]), signal.SIGKILL)
    """)


@case(
    OTHERS,
    r"PermissionError|ProcessLookupError|ended by SIGKILL|is missing|took too long",
    stops="signals",
    timeout=3,
)
def kills_all(at):
    """Once it has made sure that the grader is out of reach: else the test is to fail, not to die."""
    at.rrf("""
        import os, signal
        def rrf(rankings, k=60):
            try: os.kill(FACTS["grader"], 0)
            except OSError: pass
            else: raise Worked
            os.kill(-1, signal.SIGKILL)
            return {}
    """)


@case(OTHERS, r"ended by SIGKILL", "crashed", stops="signals")
def kills_its_group(at):
    at.rrf("import os, signal\ndef rrf(rankings, k=60): os.killpg(0, signal.SIGKILL)")


@case(
    OTHERS,
    r"PermissionError|ProcessLookupError|Operation not permitted|No such process",
    "failed",
    stops="tracing",
)
def traces_the_grader(at):
    at.tried("""
        import ctypes, os
        libc = ctypes.CDLL(None, use_errno=True)
        libc.ptrace.argtypes = [ctypes.c_long] * 4
        for pid in (FACTS["grader"], os.getppid()):
            if pid > 1 and libc.ptrace(16, pid, 0, 0) == 0: raise Worked(pid)
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    """)


@case(OTHERS, r"PermissionError|ProcessLookupError", "failed", stops="limits of the grader")
def limits_the_grader(at):
    at.tried("import resource\nresource.prlimit(FACTS['grader'], resource.RLIMIT_CPU, (1, 1))")


@case(OTHERS, r"PermissionError|Operation not permitted", "failed")
def becomes_root(at):
    at.tried(
        "import os\nos.setuid(0) if os.getuid() else os.chroot('.')\nif os.getuid(): os.setuid(0)",
        then="return {}",
    )


@case(OTHERS, r"Operation not permitted|No such file|Permission denied", "failed", more=True)
def mounts(at):
    at.tried("""
        import ctypes, os
        libc = ctypes.CDLL(None, use_errno=True)
        if libc.unshare(0x10020000) == 0: raise Worked("namespaces")
        if libc.mount(b"none", b"/tmp", b"tmpfs", 0, None) == 0: raise Worked("mount")
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    """)


@case(OTHERS, r"nothing but pipes", "failed", stops="inherited descriptors")
def looks_for_inherited_descriptors(at):
    at.tried("""
        import os
        kinds = {}
        for name in os.listdir("/proc/self/fd"):
            try: kinds[name] = os.readlink(f"/proc/self/fd/{name}")
            except OSError: pass
        told = [each for each in kinds.values()
                if not each.startswith(("pipe:", "/dev/null", "/proc/")) and "/fd" not in each]
        raise Worked(repr(told)) if told else LookupError("nothing but pipes")
    """)


@case(OTHERS, r"PermissionError|FileNotFoundError|OSError", "failed", stops="memory of the grader")
def writes_into_the_grader(at):
    at.tried("""
        last = None
        for name in ("mem", "fd/1", "oom_score_adj"):
            path = f"/proc/{FACTS['grader']}/{name}"
            try: open(path, "r+b", 0).write(b"0")
            except OSError as error: last = error
            else: raise Worked(path)
        raise last
    """)


@case("3.2 3.3 3.5", REFUSED, "failed", stops="writing")
def writes_a_result_of_its_own(at):
    """Where a grader might leave it."""
    at.tried("""
        import json, os
        last, own = None, json.dumps({"schema": "classroom/result/v1", "score": 100, "points": 100})
        here = os.path.dirname(FACTS["eve"])
        for place in (here, os.path.dirname(here), FACTS["home"], "/autograder/results", "/tmp"):
            for name in ("result.json", "results.json", "ada.json"):
                try: open(os.path.join(place, name), "w").write(own)
                except OSError as error: last = error
                else: raise Worked(place)
        raise last
    """)
    at.write("result.json", '{"schema": "classroom/result/v1", "score": 100}')
