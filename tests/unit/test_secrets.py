"""Where tokens and keys are found, what is refused, and that they never show."""

from __future__ import annotations

import os
import pickle
from pathlib import Path
from typing import Any

import pytest

from piyasad.config import BotSettings, Settings
from piyasad.config.secrets import (
    Found,
    Missing,
    Secret,
    admin_token,
    all_secrets,
    bot_token,
    find_keys,
    find_token,
    provider_keys,
    telegram_id,
    usable_route,
)
from tests.plain_user import PLAIN_USER, as_plain_user, give, open_to_all, plain_user

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


# --- What editors and tools leave around a secret
BOM = "\ufeff"


@pytest.mark.parametrize(
    "text", [f"{BOM}gsk_abc\r\n", '"gsk_abc"', "'gsk_abc'\n", f'{BOM}"gsk_abc" \r\n', ' " gsk_abc " '], ids=repr
)
def test_marks_space_and_quotes_around_a_secret_are_none_of_it(tmp_path: Path, text: str) -> None:
    file = tmp_path / "groq"
    file.write_bytes(text.encode())
    file.chmod(0o600)
    in_folder = settings(secrets={"dir": str(tmp_path)})
    assert provider_keys(in_folder, "groq", {}) == [Secret("gsk_abc")]
    assert provider_keys(settings(), "groq", {"GROQ_API_KEY": text}) == [Secret("gsk_abc")]
    guarded = settings(http={"admin_token_env": "P"})
    assert admin_token(guarded, {"P": text}) == Secret("gsk_abc")


def test_each_of_many_keys_in_a_file_loses_its_quotes(tmp_path: Path) -> None:
    file = secret_file(tmp_path / "keys", "\"k1\"\n'k2'\nk3")
    found = provider_keys(settings(providers={"groq": {"api_key_file": str(file)}}), "groq", {})
    assert found == [Secret("k1"), Secret("k2"), Secret("k3")]


def test_a_token_file_as_windows_saves_it_is_read(tmp_path: Path) -> None:
    file = tmp_path / "Ali_Bot"
    file.write_bytes(f'{BOM}"{TOKEN}"\r\n'.encode())
    file.chmod(0o600)
    assert revealed(bot_token(settings(secrets={"dir": str(tmp_path)}), bot(), {})) == TOKEN


def test_a_number_that_no_account_has_is_no_token() -> None:
    assert "holds no bot token" in why(bot_token(settings(), bot(token_env="T"), {"T": f"{2**53}:abc"}))


def test_a_secret_is_found_with_its_place(tmp_path: Path) -> None:
    file = secret_file(tmp_path / "groq", "k1\nk2")
    by_folder = settings(secrets={"dir": str(tmp_path)})
    assert find_keys(by_folder, "groq", {}) == [Found(str(file), Secret("k1")), Found(str(file), Secret("k2"))]
    assert find_token(settings(), bot(token_env="T"), {"T": TOKEN}) == Found("$T", Secret(TOKEN))


def test_every_secret_is_known_to_the_log(tmp_path: Path) -> None:
    known = settings(
        http={"admin_token_env": "P"},
        bots=[{"name": "Ali", "username": "ali_bot", "token_env": "T"}],
        store={"postgres": "postgres://u:s%40crets@h/d", "redis": "redis://:nerve-pw@h"},
    )
    env = {"P": "password", "T": TOKEN, "GROQ_API_KEY": "k1"}
    assert sorted(all_secrets(known, env)) == sorted([TOKEN, "k1", "password", "s@crets", "nerve-pw"])


# --- What may not be entered or read
SECRETS = """
import os, sys
from piyasad.config.load import ConfigError, load
become_a_plain_user()
try:
    print([bot.name for bot in load(sys.argv[1], {}).bots])
except ConfigError as error:
    print(error)
"""


@pytest.fixture
def vault(tmp_path: Path) -> Path:
    """A folder of secrets that belongs to a plain user, as all that leads to it may be passed by one."""
    folder = open_to_all(tmp_path) / "vault"
    folder.mkdir(mode=0o700)
    for number, name in enumerate(("ali_bot", "ayse_bot")):
        secret_file(folder / name, f"{7100000001 + number}:{'A' * 35}")
        give(folder / name)
    give(folder)
    (tmp_path / "config.toml").write_text(
        "[secrets]\ndir = 'vault'\n"
        + "".join(f"[[bots]]\nname = '{n}'\nusername = '{n}_bot'\n" for n in ("ali", "ayse"))
    )
    return folder


def test_a_plain_user_reads_a_folder_that_is_open_to_it(vault: Path) -> None:
    assert as_plain_user(SECRETS, vault.parent / "config.toml") == "['ali', 'ayse']\n"


@pytest.mark.parametrize("mode", [0o600, 0o400, 0o000], ids=oct)
def test_a_folder_that_may_not_be_entered_is_one_error_with_mode_user_and_cure(vault: Path, mode: int) -> None:
    vault.chmod(mode)
    assert as_plain_user(SECRETS, vault.parent / "config.toml") == (
        f"{vault.parent}/config.toml:2: secrets.dir: {vault} may not be entered by {PLAIN_USER}: its mode is "
        f"{mode:04o} and it belongs to {PLAIN_USER}; run: chmod 700 {vault}\n"
    )


def test_a_file_that_may_not_be_read_is_an_error(vault: Path) -> None:
    (vault / "ali_bot").chmod(0o200)
    out = as_plain_user(SECRETS, vault.parent / "config.toml")
    assert f"{vault}/ali_bot may not be read by {PLAIN_USER}: its mode is 0200" in out
    assert f"run: chmod 600 {vault}/ali_bot" in out
    assert out.count("\n") == 1


@pytest.mark.skipif(os.geteuid() != 0, reason="makes files of another user, so it needs root")
def test_what_belongs_to_another_user_is_to_be_given_away_or_opened(vault: Path) -> None:
    vault.chmod(0o700)
    os.chown(vault, 0, 0)
    out = as_plain_user(SECRETS, vault.parent / "config.toml")
    assert f"it belongs to root; run: chown {PLAIN_USER} {vault} && chmod 700 {vault}" in out
    vault.parent.chmod(0o700)
    assert as_plain_user(SECRETS, vault.parent / "config.toml") == (
        f"{vault.parent}/config.toml: {vault.parent} may not be entered by {PLAIN_USER}: its mode is 0700 and it belongs "
        f"to root; run: chown {PLAIN_USER} {vault.parent} && chmod 700 {vault.parent}\n"
    )


def test_a_tokens_own_file_and_a_keys_are_blamed_by_their_keys(vault: Path) -> None:
    file = vault.parent / "config.toml"
    file.write_text(
        "[gateway]\nroute = ['groq']\n[providers.groq]\napi_key_file = 'vault/ayse_bot'\n"
        "[[bots]]\nname = 'ali'\nusername = 'ali_bot'\ntoken_file = 'vault/ali_bot'\n"
    )
    vault.chmod(0o000)
    out = as_plain_user(SECRETS, file)
    assert "the configuration has 2 errors" in out
    assert f"{file}:4: providers.groq.api_key_file: {vault} may not be entered" in out
    assert f"{file}:8: bots[0].token_file: {vault} may not be entered" in out


def test_credentials_of_another_user_are_blamed_on_the_service_manager(vault: Path) -> None:
    vault.chmod(0o000)
    code = SECRETS.replace("{}", "{'CREDENTIALS_DIRECTORY': sys.argv[2]}")
    out = as_plain_user(code, vault.parent / "config.toml", vault)
    assert out.startswith(f"environment: CREDENTIALS_DIRECTORY: {vault} may not be entered")


COMMAND = """
import sys
from rich.table import Table
import piyasad.commands.check.check, piyasad.engine, piyasad.config.load
from piyasad.cli import main
sys.argv[0] = "piyasad"
become_a_plain_user()
main()
"""


@pytest.mark.parametrize("command", ["check", "run"])
def test_check_and_run_say_it_without_a_traceback(vault: Path, command: str) -> None:
    vault.chmod(0o600)
    file = vault.parent / "config.toml"
    done = plain_user(COMMAND, command, "--config", file)
    assert done.returncode == 2
    assert "Traceback" not in done.stdout + done.stderr
    assert "may not be entered" in " ".join((done.stdout + done.stderr).split())
