"""Servers that stand still while another engine has its turn."""

import socket
import subprocess
import sys
import time

import psutil
import pytest

from shared.errors import UserError
from step5_serving.bench.pausing import Pausing

SERVER = """
import multiprocessing, socket, time
def wait(): time.sleep(60)
if __name__ == "__main__":
    child = multiprocessing.get_context("spawn").Process(target=wait, daemon=True)
    child.start()
    server = socket.create_server(("127.0.0.1", 0))
    print(server.getsockname()[1], flush=True)
    time.sleep(60)
"""


@pytest.fixture
def server(tmp_path):
    """A process that listens, and its child: the address, and both of them."""
    script = tmp_path / "server.py"
    script.write_text(SERVER)
    with subprocess.Popen([sys.executable, str(script)], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout
        port = int(process.stdout.readline())
        family = [psutil.Process(process.pid), *psutil.Process(process.pid).children(recursive=True)]
        yield f"http://127.0.0.1:{port}", family
        for each in family:
            each.kill()


def all_stand(family, still):
    """Whether they do; a signal takes a moment."""
    for _ in range(100):
        if all((each.status() == psutil.STATUS_STOPPED) == still for each in family):
            return True
        time.sleep(0.02)
    return False


def test_a_server_rests_in_the_turn_of_others_and_works_in_its_own(server):
    address, family = server
    assert len(family) > 1
    pausing = Pausing({"vllm": address})
    with pausing.turn_of("vllm"):
        assert all_stand(family, still=False)
    with pausing.turn_of("torch"):
        assert all_stand(family, still=True)
    assert all_stand(family, still=False)


def test_it_goes_on_whatever_happens_in_the_turn(server):
    address, family = server
    with pytest.raises(ZeroDivisionError), Pausing({"vllm": address}).turn_of("torch"):
        _ = 1 / 0
    assert all_stand(family, still=False)


def test_who_is_not_there_or_elsewhere_cannot_rest():
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    with pytest.raises(UserError, match="no process of this machine that you may stop listens"):
        Pausing({"vllm": f"http://127.0.0.1:{port}"})
    with pytest.raises(UserError, match="no process of this machine that you may stop listens"):
        Pausing({"vllm": "http://192.0.2.1:80"})
