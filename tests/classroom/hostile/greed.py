"""Using up memory, processes, disk, output, and whatever else a machine has."""

from tests.classroom.hostile.kit import OTHERS, case

MEMORY = r"MemoryError|it used more than 2 GiB of memory|took too long"
PROCESSES = r"BlockingIOError|it ran more than 64 processes and threads|can't start new thread|took too long"
DISK = r"No space left|it wrote more than 64 MiB|File too large|it made more than 4096 files|took too long"


@case(OTHERS, MEMORY)
def eight_gigabytes(at):
    at.rrf("def rrf(rankings, k=60): return len(bytearray(8 << 30))")


@case(OTHERS, MEMORY, timeout=8)
def memory_in_pieces(at):
    at.rrf("""
        def rrf(rankings, k=60):
            kept = []
            while True: kept.append(b"x" * (16 << 20))
    """)


@case(OTHERS, MEMORY, timeout=8)
def memory_of_shared_pages(at):
    """Not of a process' own data, which a limit of the kernel's holds, but mapped by all."""
    at.rrf("""
        import mmap, time
        def rrf(rankings, k=60):
            area = mmap.mmap(-1, 3 << 30)
            for place in range(0, 3 << 30, 4096): area[place] = 1
            time.sleep(2)
    """)


@case(OTHERS, MEMORY, more=True)
def numbers_of_numpy_without_end(at):
    at.rrf("import numpy\ndef rrf(rankings, k=60): return numpy.ones((1 << 20, 1 << 13)).sum()")


@case(OTHERS, MEMORY, more=True)
def bomb_to_unpack(at):
    at.rrf("""
        import zlib
        def rrf(rankings, k=60):
            packer = zlib.compressobj(9)
            bomb = b"".join(packer.compress(bytes(1 << 24)) for _ in range(16)) + packer.flush()
            return [zlib.decompress(bomb) for _ in range(40)] and None
    """)


@case(OTHERS, PROCESSES, timeout=3)
def forks_for_ever(at):
    at.rrf("""
        import os
        def rrf(rankings, k=60):
            while True:
                try: os.fork()
                except OSError: pass
    """)


@case(OTHERS, PROCESSES, timeout=3, more=True)
def forks_and_sleeps(at):
    at.rrf("""
        import os, time
        def rrf(rankings, k=60):
            for _ in range(500):
                if os.fork() == 0: time.sleep(99)
            time.sleep(9)
    """)


@case(OTHERS, PROCESSES, timeout=3)
def threads_without_end(at):
    at.rrf("""
        import threading, time
        def rrf(rankings, k=60):
            for _ in range(5000): threading.Thread(target=time.sleep, args=(99,), daemon=True).start()
            time.sleep(9)
    """)


@case(OTHERS, PROCESSES, timeout=3, more=True)
def processes_at_import(at):
    """multiprocessing without its guard: each child imports the file again."""
    at.rrf("""
        import multiprocessing, time
        def rrf(rankings, k=60):
            fork = multiprocessing.get_context("fork")
            made = [fork.Process(target=time.sleep, args=(99,)) for _ in range(200)]
            for each in made: each.start()
            time.sleep(9)
    """)


@case(OTHERS, DISK, timeout=8)
def fills_the_disk(at):
    at.rrf("""
        import os
        def rrf(rankings, k=60):
            for number in range(10_000):
                with open(os.environ["HOME"] + f"/{number}", "wb") as file: file.write(bytes(8 << 20))
    """)


@case(OTHERS, DISK, timeout=8, more=True)
def one_large_file(at):
    at.rrf("""
        import os
        def rrf(rankings, k=60):
            with open(os.path.join(os.environ["HOME"], "large"), "wb") as file:
                while True: file.write(bytes(1 << 20))
    """)


@case(OTHERS, DISK, timeout=8)
def files_without_end(at):
    at.rrf("""
        import os, time
        def rrf(rankings, k=60):
            for number in range(100_000): open(os.path.join(os.environ["HOME"], str(number)), "w").close()
            time.sleep(5)
    """)


@case(OTHERS, DISK + "|No such file|PermissionError|Operation not permitted", timeout=5, stops="writing")
def fills_shared_memory(at):
    at.rrf("""
        def rrf(rankings, k=60):
            with open("/dev/shm/hostile", "wb") as file:
                while True: file.write(bytes(1 << 20))
    """)


@case(OTHERS, r"it printed more than 4 MiB", "crashed")
def prints_for_ever(at):
    at.rrf("def rrf(rankings, k=60):\n    while True: print('x' * 1000)")


@case(OTHERS, r"it printed more than 4 MiB", "crashed")
def complains_for_ever(at):
    """By the descriptor, past everything of Python's."""
    at.rrf("import os\ndef rrf(rankings, k=60):\n    while True: os.write(2, b'\\0' * 65536)")


@case("3.2 3.5", r"it printed more than 4 MiB", "crashed", more=True)
def prints_for_ever_at_import(at):
    at.first("while True: print('loading')")


@case(OTHERS, r"it printed more than|took too long", timeout=2, more=True)
def a_process_that_prints_behind_it(at):
    at.rrf("""
        import os, time
        def rrf(rankings, k=60):
            if os.fork() == 0:
                while True: os.write(2, b"still here\\n" * 5000)
            time.sleep(9)
    """)


@case(OTHERS, r"Too many open files", "failed")
def descriptors_without_end(at):
    at.rrf("""
        import os
        def rrf(rankings, k=60):
            kept = []
            try:
                while True: kept.append(os.open("/dev/null", os.O_RDONLY))
            except OSError:
                for each in kept: os.close(each)
                raise
    """)


@case(OTHERS, r"PermissionError|Operation not permitted|not more than it had", "failed")
def wants_to_come_first(at):
    at.tried("""
        import os, resource
        for kind in (resource.RLIMIT_NPROC, resource.RLIMIT_DATA, resource.RLIMIT_FSIZE):
            try: resource.setrlimit(kind, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
            except (ValueError, OSError): continue
            raise Worked(kind)
        os.nice(-30)
        if os.nice(0) >= 0: raise PermissionError("not more than it had")
    """)


@case(OTHERS, r"no such device|FileNotFoundError|PermissionError", "failed")
def takes_a_gpu(at):
    at.tried("""
        import glob, os
        if os.environ.get("CUDA_VISIBLE_DEVICES"): raise Worked("it may see one")
        for path in ("/dev/nvidiactl", "/dev/nvidia0", "/dev/kfd", "/dev/dri/card0"):
            try: os.open(path, os.O_RDWR)
            except OSError: continue
            raise Worked(path)
        raise OSError("no such device")
    """)


@case(OTHERS, r"Operation not permitted|PermissionError|FileNotFoundError", "failed")
def memory_without_a_process(at):
    at.tried("""
        import os
        for _ in range(1000): os.write(os.memfd_create("hidden"), bytes(16 << 20))
    """)
