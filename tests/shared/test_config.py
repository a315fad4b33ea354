import pytest

from shared.config import Settings, describe, load_settings
from shared.errors import UserError


def origin_of(name, **flags):
    return next(origin for setting, _, origin, _ in describe(**flags) if setting == name)


def test_flags_win_over_the_environment_and_that_over_the_env_file(monkeypatch, tmp_path):
    assert (load_settings().seed, origin_of("seed")) == (0, "default")
    (tmp_path / ".env").write_text("ROADMAP_SEED=1\n")
    assert (load_settings().seed, origin_of("seed")) == (1, ".env")
    monkeypatch.setenv("ROADMAP_SEED", "2")
    assert (load_settings().seed, origin_of("seed")) == (2, "environment")
    assert (load_settings(seed=3).seed, origin_of("seed", seed=3)) == (3, "flag")
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
def test_a_wrong_value_names_setting_value_and_what_is_allowed(monkeypatch, variable, value, allowed):
    monkeypatch.setenv(f"ROADMAP_{variable}", value)
    with pytest.raises(UserError) as error:
        load_settings()
    for word in (variable.lower(), value, f"ROADMAP_{variable}", allowed):
        assert word in str(error.value)


def test_an_unknown_variable_is_an_error_with_the_nearest_name(tmp_path):
    (tmp_path / ".env").write_text("OTHER=1\nROADMAP_MODLE=tiny\n")
    with pytest.raises(UserError, match=r"ROADMAP_MODLE .* is not a setting: did you mean ROADMAP_MODEL"):
        load_settings()


def test_an_empty_value_is_no_value(monkeypatch, tmp_path):
    """As in a `.env` whose lines wait to be filled in."""
    monkeypatch.setenv("ROADMAP_MODEL", "")
    (tmp_path / ".env").write_text("ROADMAP_SEED=\nROADMAP_CACHE_DIR=\n")
    assert load_settings().seed == 0
    assert load_settings().model
    assert origin_of("model") == origin_of("seed") == "default"


def test_a_password_in_an_address_is_never_shown(monkeypatch, command):
    monkeypatch.setenv("ROADMAP_BASE_URL", "http://me:the@secret@localhost:1")
    assert "secret" not in command("shared", "config").out
    monkeypatch.setenv("ROADMAP_BASE_URL", "me:secret@localhost:1")  # no scheme
    with pytest.raises(UserError) as error:
        load_settings()
    assert "secret" not in str(error.value)


def test_a_folder_may_be_written_with_a_tilde_and_an_unreadable_file_is_named(monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))  # on Windows
    (tmp_path / ".env").write_text("ROADMAP_MODELS_DIR=~/mine\n")
    assert load_settings().models_dir == tmp_path / "mine"
    (tmp_path / ".env").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(UserError, match=r"cannot read \.env"):
        load_settings()


@pytest.mark.parametrize("variable", ["ANTHROPIC_API_KEY", "ROADMAP_ANTHROPIC_API_KEY"])
def test_secrets_are_read_and_never_shown(monkeypatch, command, variable):
    monkeypatch.setenv(variable, "sk-very-secret")
    assert load_settings().anthropic_api_key.get_secret_value() == "sk-very-secret"
    assert "very-secret" not in command("shared", "config").out
    assert origin_of("anthropic_api_key") == "environment"


def test_config_prints_every_setting_and_the_machine(command):
    shown = command("shared", "config", "--model", "tiny").out
    assert all(name in shown for name in Settings.model_fields)
    assert "cores" in shown.splitlines()[-1]
