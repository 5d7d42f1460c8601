"""Where tokens and keys are found, what is refused, and that they never show."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import pytest

from piyasad.config import BotSettings, Settings
from piyasad.config.secrets import Missing, Secret, admin_token, bot_token, provider_keys, telegram_id, usable_route

TOKEN = "7100000001:AAHx-y_zAAHx-y_zAAHx-y_zAAHx-y_zAAH"


def secret_file(path: Path, text: str = TOKEN, mode: int = 0o600) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text + "\n")
    path.chmod(mode)
    return path


def bot(**keys: Any) -> BotSettings:
    return BotSettings.model_validate({"name": "Ali", "username": "Ali_Bot", **keys})


def settings(**sections: Any) -> Settings:
    return Settings.model_validate(sections)


def revealed(found: Secret | Missing) -> str:
    assert isinstance(found, Secret), found
    return found.reveal()


def why(found: object) -> str:
    assert isinstance(found, Missing), found
    return found.reason


def test_a_secret_never_shows() -> None:
    secret = Secret(TOKEN)
    for text in (repr(secret), str(secret), f"{secret}", f"{[secret]}"):
        assert "AAH" not in text
    with pytest.raises(TypeError):
        pickle.dumps(secret)
    assert secret == Secret(TOKEN)
    assert secret != Secret("x")
    assert len({secret, Secret(TOKEN)}) == 1


def test_the_telegram_id_stands_before_the_colon() -> None:
    assert telegram_id(Secret(TOKEN)) == 7100000001


def test_a_token_comes_from_the_named_variable() -> None:
    assert revealed(bot_token(settings(), bot(token_env="T"), {"T": f" {TOKEN}\n"})) == TOKEN


def test_a_token_comes_from_the_named_file(tmp_path: Path) -> None:
    file = secret_file(tmp_path / "t")
    assert revealed(bot_token(settings(), bot(token_file=str(file)), {})) == TOKEN


@pytest.mark.parametrize("name", ["Ali_Bot", "ali_bot"])
def test_a_token_comes_from_the_folder_by_username(tmp_path: Path, name: str) -> None:
    secret_file(tmp_path / name)
    assert revealed(bot_token(settings(secrets={"dir": str(tmp_path)}), bot(token_env="T"), {})) == TOKEN


def test_systemd_credentials_come_before_the_folder_and_keep_their_mode(tmp_path: Path) -> None:
    secret_file(tmp_path / "dir/Ali_Bot", "1:folder")
    secret_file(tmp_path / "credentials/Ali_Bot", "1:systemd", mode=0o440)
    env = {"CREDENTIALS_DIRECTORY": str(tmp_path / "credentials")}
    assert revealed(bot_token(settings(secrets={"dir": str(tmp_path / "dir")}), bot(), env)) == "1:systemd"


@pytest.mark.parametrize("mode", [0o644, 0o640, 0o604])
def test_a_file_that_others_can_read_is_refused_with_the_command_to_run(tmp_path: Path, mode: int) -> None:
    file = secret_file(tmp_path / "Ali_Bot", mode=mode)
    for found in (
        bot_token(settings(), bot(token_file=str(file)), {}),
        bot_token(settings(secrets={"dir": str(tmp_path)}), bot(), {}),
    ):
        assert f"run: chmod 600 {file}" in why(found)
        assert "AAH" not in why(found)


def test_what_is_missing_is_said(tmp_path: Path) -> None:
    assert why(bot_token(settings(), bot(), {})) == ("no [secrets] dir is set; name a variable or a file that holds it")
    assert why(bot_token(settings(), bot(token_env="T"), {"T": ""})) == "$T is not set"
    assert "does not exist" in why(bot_token(settings(), bot(token_file=str(tmp_path / "no")), {}))
    assert f"{tmp_path}/Ali_Bot does not exist" in why(bot_token(settings(secrets={"dir": str(tmp_path)}), bot(), {}))
    assert "is empty" in why(bot_token(settings(), bot(token_file=str(secret_file(tmp_path / "e", ""))), {}))
    assert "cannot be read" in why(bot_token(settings(), bot(token_file=str(tmp_path)), {}))
    binary = secret_file(tmp_path / "b")
    binary.write_bytes(b"\xff\xfe")
    assert "holds no text" in why(bot_token(settings(), bot(token_file=str(binary)), {}))


@pytest.mark.parametrize("text", ["hello", "abc:def", "123456", "123456:", ":abc", "12:a b", f"{TOKEN}\n{TOKEN}"])
def test_what_is_no_token_parks_the_bot_and_is_not_repeated(text: str) -> None:
    reason = why(bot_token(settings(), bot(token_env="T"), {"T": text}))
    assert "$T holds no bot token" in reason
    assert text not in reason


def test_a_provider_may_have_many_keys(tmp_path: Path) -> None:
    file = secret_file(tmp_path / "keys", "k3\n\nk4")
    env = {"A": "k1", "B": "k2"}
    by_env = settings(providers={"groq": {"api_key_env": ["A", "B", "C"]}})
    by_file = settings(providers={"groq": {"api_key_file": [str(file), str(tmp_path / "no")]}})
    assert provider_keys(by_env, "groq", env) == [Secret("k1"), Secret("k2")]
    assert provider_keys(by_file, "groq", env) == [Secret("k3"), Secret("k4")]


def test_a_presets_variable_and_the_folder_are_searched(tmp_path: Path) -> None:
    secret_file(tmp_path / "groq", "k")
    assert provider_keys(settings(), "groq", {"GROQ_API_KEY": "e"}) == [Secret("e")]
    assert provider_keys(settings(secrets={"dir": str(tmp_path)}), "groq", {}) == [Secret("k")]


def test_who_needs_no_key_is_not_asked_for_one() -> None:
    near = {"kind": "openai", "model": "m"}
    with_near = settings(
        providers={
            "here": near | {"base_url": "http://localhost:1/v1"},
            "lan": near | {"base_url": "http://192.168.0.4/v1"},
            "far": near | {"base_url": "https://example.org/v1"},
        }
    )
    assert provider_keys(with_near, "offline", {}) == []
    assert provider_keys(with_near, "here", {}) == []
    assert provider_keys(with_near, "lan", {}) == []
    assert "no [secrets] dir" in why(provider_keys(with_near, "far", {}))
    assert "no [providers.nobody]" in why(provider_keys(with_near, "nobody", {}))


def test_the_route_keeps_its_order_and_says_who_is_left_out() -> None:
    usable, missing = usable_route(settings(), {"GEMINI_API_KEY": "k", "GROQ_API_KEY": "k"})
    assert usable == ["groq", "gemini"]
    assert missing.keys() == {"openai"}


def test_the_pages_password_comes_from_its_variable() -> None:
    guarded = settings(http={"admin_token_env": "P"})
    assert admin_token(guarded, {"P": "x"}) == Secret("x")
    assert admin_token(guarded, {}) is None
    assert admin_token(settings(), {"": "x"}) is None or not settings().http.admin_token_env
