"""The sandbox of an ordinary user: the attacks of test_isolation.py on a grader that is not root.

Where the suite runs as an ordinary user, test_isolation.py is that test already:

    su someone -c "python -m pytest tests/classroom/test_isolation.py"
"""

import os
import shutil
import subprocess
import sys
import sysconfig
import tempfile
from pathlib import Path

import pytest

from classroom.isolation.place import closed_to_others
from tests.conftest import ROOT

USER = 1000
IS_ROOT = hasattr(os, "geteuid") and os.geteuid() == 0


def interpreter():
    """A Python of this version that any user may run."""
    name = f"python3.{sys.version_info[1]}"
    for found in (Path(sys.executable).resolve(), Path("/usr/bin", name), Path("/usr/local/bin", name)):
        if found.exists() and closed_to_others([found]) is None:
            return found
    return None


@pytest.fixture
def environment():
    """An environment with the libraries of this one, in a folder that any user may read."""
    python, packages = interpreter(), Path(sysconfig.get_path("purelib"))
    if python is None or closed_to_others([packages, ROOT]):
        pytest.skip("no Python of this version, or not its libraries, that another user may read")
    folder = Path(tempfile.mkdtemp(prefix="classroom-user-"))
    (folder / "bin").mkdir()
    (folder / "bin" / "python").symlink_to(python)
    (folder / "pyvenv.cfg").write_text(f"home = {python.parent}\ninclude-system-site-packages = false\n")
    library = folder / "lib" / f"python3.{sys.version_info[1]}"
    library.mkdir(parents=True)
    (library / "site-packages").symlink_to(packages)
    (folder / "home").mkdir()
    os.chown(folder / "home", USER, USER)
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder)


@pytest.mark.skipif(not IS_ROOT, reason="not root: test_isolation.py is this test")
def test_an_ordinary_user_stops_what_the_table_says(environment):
    attacks = "what_the_table_calls_stopped or nothing_of_the_machine or daemons_end"
    home = str(environment / "home")
    quick = {"PYTHONDONTWRITEBYTECODE": "1", "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
    command = [environment / "bin" / "python", "-m", "pytest", "-q", "-p", "no:cacheprovider", "-rA"]
    done = subprocess.run(
        [*command, "tests/classroom/test_isolation.py", "-k", f"sandlock and ({attacks})"],
        cwd=ROOT,
        env={"PATH": "/usr/bin:/bin", "HOME": home, "TMPDIR": home, **quick},
        capture_output=True,
        text=True,
        user=USER,
        group=USER,
        extra_groups=[],
        timeout=600,
    )
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-1000:]
    assert done.stdout.count("\nPASSED ") == 3
