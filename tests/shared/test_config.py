import json

import pytest

from shared.config import Settings, load_settings, origins
from shared.errors import UserError


def test_flags_win_over_the_environment_and_that_over_the_env_file(monkeypatch, tmp_path):
    assert (load_settings().seed, origins({})["seed"]) == (0, "default")
    (tmp_path / ".env").write_text("ROADMAP_SEED=1\n")
    assert (load_settings().seed, origins({})["seed"]) == (1, "file .env, ROADMAP_SEED")
    monkeypatch.setenv("ROADMAP_SEED", "2")
    assert (load_settings().seed, origins({})["seed"]) == (2, "environment ROADMAP_SEED")
    assert (load_settings(seed=3).seed, origins({"seed": 3})["seed"]) == (3, "flag --seed")
    assert load_settings(seed=None).seed == 2  # a flag that was not given


@pytest.mark.parametrize(
    ("variable", "value", "allowed"),
    [
        ("DEVICE", "gpu", "auto, cpu, cuda or mps"),
        ("THREADS", "0", "auto or a whole number from 1"),
        ("SEED", "-1", "a whole number from 0"),
        ("BASE_URL", "localhost:8000", "an http:// or https:// address"),
        ("BASE_URL", "http://127.0.0.1:abc", "an http:// or https:// address"),
        ("BASE_URL", "http://localhost:1/v1/", "address without /v1"),
        ("HUB", "perhaps", "true or false"),
    ],
)
def test_a_wrong_value_names_setting_value_origin_and_what_is_allowed(monkeypatch, variable, value, allowed):
    monkeypatch.setenv(f"ROADMAP_{variable}", value)
    with pytest.raises(UserError) as error:
        load_settings()
    for word in (variable.lower(), value, f"environment ROADMAP_{variable}", allowed):
        assert word in str(error.value)


def test_an_unknown_variable_is_an_error_with_the_nearest_name(monkeypatch, tmp_path):
    (tmp_path / ".env").write_text("OTHER=1\nROADMAP_MODLE=tiny\n")
    with pytest.raises(
        UserError, match=r"ROADMAP_MODLE in .env is not a setting: did you mean ROADMAP_MODEL"
    ):
        load_settings()


def test_an_empty_value_is_no_value(monkeypatch, tmp_path):
    """As in a `.env` whose lines wait to be filled in."""
    monkeypatch.setenv("ROADMAP_MODEL", "")
    (tmp_path / ".env").write_text("ROADMAP_SEED=\nROADMAP_CACHE_DIR=\n")
    assert load_settings().seed == 0
    assert load_settings().model
    assert origins({})["model"] == origins({})["seed"] == "default"


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"# a comment\nfoo bar\n", "line 2 is not NAME=value"),
        (b"\xff\xfe\x00", "cannot read"),
        (None, "cannot read"),  # a folder
    ],
)
def test_an_env_file_that_cannot_be_read_is_named(tmp_path, content, says):
    (tmp_path / ".env").mkdir() if content is None else (tmp_path / ".env").write_bytes(content)
    with pytest.raises(UserError, match=rf"\.env.*{says}|{says} \.env"):
        load_settings()


def test_a_password_in_an_address_is_masked(monkeypatch, command):
    monkeypatch.setenv("ROADMAP_BASE_URL", "http://me:the@secret@localhost:1")
    assert "secret" not in command("shared", "config").out + command("shared", "config", "--json").out


def test_an_address_without_a_scheme_keeps_its_password_to_itself(monkeypatch):
    monkeypatch.setenv("ROADMAP_BASE_URL", "me:secret@localhost:1")
    with pytest.raises(UserError) as error:
        load_settings()
    assert "secret" not in str(error.value)


def test_a_server_of_ones_own_has_its_own_names_for_models(monkeypatch):
    with pytest.raises(UserError, match="unknown model 'qwen3:4b'"):
        load_settings(model="qwen3:4b")
    monkeypatch.setenv("ROADMAP_BASE_URL", "http://localhost:11434")
    assert load_settings(model="qwen3:4b").model == "qwen3:4b"


@pytest.mark.parametrize("variable", ["ANTHROPIC_API_KEY", "ROADMAP_ANTHROPIC_API_KEY"])
def test_secrets_are_read_and_never_shown(monkeypatch, command, variable):
    monkeypatch.setenv(variable, "sk-very-secret")
    assert load_settings().anthropic_api_key.get_secret_value() == "sk-very-secret"
    shown = command("shared", "config", "--json").out
    assert "very-secret" not in shown + command("shared", "config").out
    row = next(row for row in json.loads(shown)["settings"] if row["setting"] == "anthropic_api_key")
    assert row["from"] == f"environment {variable}"


def test_config_prints_every_setting_with_value_and_origin(command):
    rows = json.loads(command("shared", "config", "--model", "tiny", "--json").out)["settings"]
    assert [row["setting"] for row in rows] == list(Settings.model_fields)
    assert next(row for row in rows if row["setting"] == "model")["from"] == "flag --model"
    assert all(row["takes"] for row in rows)
    table = command("shared", "config").out
    assert all(name in table for name in Settings.model_fields)
