"""How settings.py reads its variables, and what it says of those that it cannot read."""

from __future__ import annotations

from pathlib import Path

import pytest
from django.core.exceptions import ImproperlyConfigured

from emailbatch.environment import (
    Environment,
    find_public_url,
    find_stray_oauth_variables,
    read_database,
    read_relay_oauth,
    read_relay_urls,
)


@pytest.mark.parametrize("text", ["many", "4.5", "1e3", "0x10"])
def test_whole_number_is_refused_when_it_is_none(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    monkeypatch.setenv("SEND_LANES", text)
    with pytest.raises(ImproperlyConfigured, match=f"^SEND_LANES is '{text}'. Set it to a whole number.$"):
        Environment().int("SEND_LANES", default=4)


@pytest.mark.parametrize("text", ["ture", "flase", "enabled", "2"])
def test_switch_is_refused_when_it_is_neither_on_nor_off(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    monkeypatch.setenv("SECURE_SSL_REDIRECT", text)
    with pytest.raises(ImproperlyConfigured, match=f"^SECURE_SSL_REDIRECT is '{text}'. Set it to true or false.$"):
        Environment().bool("SECURE_SSL_REDIRECT", default=True)


@pytest.mark.parametrize(
    ("text", "expected"),
    [("on", True), ("True", True), ("yes", True), ("1", True), ("off", False), ("0", False), ("", True)],
)
def test_switch_is_read_when_it_is_right(monkeypatch: pytest.MonkeyPatch, text: str, expected: bool) -> None:
    monkeypatch.setenv("SECURE_SSL_REDIRECT", text)
    assert Environment().bool("SECURE_SSL_REDIRECT", default=True) is expected


@pytest.mark.parametrize("text", ["fast", "15s", "1,000", "nan", "inf"])
def test_number_is_refused_when_it_is_none(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    monkeypatch.setenv("SEND_RATE", text)
    with pytest.raises(ImproperlyConfigured, match=f"^SEND_RATE is '{text}'. Set it to a number.$"):
        Environment().float("SEND_RATE", default=0)


def test_choice_is_refused_when_it_is_not_offered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOG_LEVEL", "loud")
    with pytest.raises(ImproperlyConfigured, match=r"^LOG_LEVEL is .loud.\. Set it to INFO or DEBUG\.$"):
        Environment().choice("LOG_LEVEL", choices=("INFO", "DEBUG"), default="INFO")


def test_numbers_are_read_when_they_are_right(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SEND_LANES", " 8 ")
    monkeypatch.setenv("SEND_RATE", "1e3")
    monkeypatch.delenv("SEND_WINDOW", raising=False)
    environment = Environment()
    assert environment.int("SEND_LANES", default=4) == 8
    assert environment.float("SEND_RATE", default=0) == 1000
    assert environment.int("SEND_WINDOW", default=128) == 128


def test_socket_folder_becomes_the_host_when_the_address_names_it() -> None:
    config = read_database("postgres://postgres@/emailbatch?host=%2Fsrv%2Frun")
    assert (config["HOST"], config["NAME"]) == ("/srv/run", "emailbatch")
    assert "host" not in config["OPTIONS"]


@pytest.mark.parametrize("url", ["postgress://host/name", "user:password@host/name", "postgres://host:x/name"])
def test_database_is_left_open_when_its_address_cannot_be_read(url: str) -> None:
    assert read_database(url) == {}


SECRET_FILES = (
    "EMAIL_URL_FILE",
    "SECRET_KEY_FILE",
    "RETURNS_URL_FILE",
    "RETURNS_OAUTH_CLIENT_SECRET_FILE",
    "WEBHOOK_SECRET_FILE",
    "UNSUBSCRIBE_KEYS_FILE",
    "DATABASE_URL_FILE",
    "REDIS_URL_FILE",
    "DJANGO_SUPERUSER_PASSWORD_FILE",
    "EMAIL_OAUTH_CLIENT_SECRET_FILE",
)
"""Every variable that holds a secret can name a file instead. docs/settings.md lists them."""


def environment_with(monkeypatch: pytest.MonkeyPatch, **variables: str) -> Environment:
    """An environment with these variables alone."""
    environment = Environment()
    monkeypatch.setattr(environment, "ENVIRON", variables)
    return environment


@pytest.mark.parametrize("variable", SECRET_FILES)
@pytest.mark.parametrize("ending", ["", "\n", "\r\n", "\n\n"])
def test_secret_is_read_from_its_file(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, variable: str, ending: str
) -> None:
    (tmp_path / "secret").write_bytes(f" hush ü{ending}".encode())
    environment = environment_with(monkeypatch, **{variable: str(tmp_path / "secret")})
    assert environment.secret(variable.removesuffix("_FILE")) == " hush ü"


def test_secret_is_taken_as_it_is_when_it_begins_with_a_dollar(monkeypatch: pytest.MonkeyPatch) -> None:
    environment = environment_with(monkeypatch, SECRET_KEY="$HOME", HOME="/root")
    assert environment.secret("SECRET_KEY") == "$HOME"


def test_byte_order_mark_is_no_part_of_a_secret(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "url").write_bytes(b"\xef\xbb\xbfsmtp://relay.example\r\n")
    environment = environment_with(monkeypatch, EMAIL_URL_FILE=str(tmp_path / "url"))
    assert environment.secret("EMAIL_URL") == "smtp://relay.example"


@pytest.mark.parametrize("value", ["smtp://ann:hush@relay.example", "hush", "~/hush", "h" * 5000])
def test_secret_is_not_repeated_when_the_variable_of_its_file_holds_it(
    monkeypatch: pytest.MonkeyPatch, value: str
) -> None:
    with pytest.raises(ImproperlyConfigured, match=r"^EMAIL_URL_FILE names a file by a relative path, ") as caught:
        environment_with(monkeypatch, EMAIL_URL_FILE=value).secret("EMAIL_URL")
    assert "hush" not in str(caught.value) and "hhh" not in str(caught.value)


def test_secret_is_empty_when_neither_it_nor_a_file_is_set(monkeypatch: pytest.MonkeyPatch) -> None:
    assert environment_with(monkeypatch, SECRET_KEY="", SECRET_KEY_FILE="").secret("SECRET_KEY") == ""


def test_both_are_refused_when_the_value_and_a_file_are_set(monkeypatch: pytest.MonkeyPatch) -> None:
    environment = environment_with(monkeypatch, SECRET_KEY="hush", SECRET_KEY_FILE="/run/secrets/key")
    with pytest.raises(ImproperlyConfigured, match=r"^SECRET_KEY and SECRET_KEY_FILE are both set\. Unset one of them"):
        environment.secret("SECRET_KEY")


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (None, "which cannot be read: no such file or directory. Correct the path"),
        (b"", "which is empty. Write the value into it."),
        (b" \n", "which is empty"),
        (b"hush \xff hush", "which is not text in UTF-8"),
        (b"hush" * 20_000, "which is too large for a secret. Check the path."),
    ],
)
def test_file_is_named_and_its_content_is_not_when_it_cannot_be_used(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, content: bytes | None, words: str
) -> None:
    path = tmp_path / "key"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(ImproperlyConfigured) as caught:
        environment_with(monkeypatch, SECRET_KEY_FILE=str(path)).secret("SECRET_KEY")
    assert f"SECRET_KEY_FILE names the file {path}" in str(caught.value).replace("'", "")
    assert words in str(caught.value)
    assert "hush" not in str(caught.value)
    assert caught.value.__suppress_context__ or caught.value.__context__ is None  # so no traceback shows it either


def test_folder_is_no_file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    with pytest.raises(ImproperlyConfigured, match="which cannot be read: is a directory"):
        environment_with(monkeypatch, SECRET_KEY_FILE=str(tmp_path)).secret("SECRET_KEY")


def test_further_relays_are_read_from_variables_and_files(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "url").write_text("smtp://ann:hush@second.example\n")
    environment = environment_with(
        monkeypatch,
        EMAIL_URL="smtp://default.example",
        EMAIL_URL_FIRST="smtp://first.example",
        EMAIL_URL_Second_2_FILE=str(tmp_path / "url"),
        EMAIL_URL_EMPTY="",
        EMAIL_URLS="smtp://other.example",
    )
    expected = {"first": "smtp://first.example", "second_2": "smtp://ann:hush@second.example"}
    assert read_relay_urls(environment) == expected


def test_relay_without_a_name_is_kept_for_the_check(monkeypatch: pytest.MonkeyPatch) -> None:
    assert read_relay_urls(environment_with(monkeypatch, EMAIL_URL_="smtp://relay.example")) == {
        "": "smtp://relay.example"
    }


def test_file_of_email_url_is_no_relay(monkeypatch: pytest.MonkeyPatch) -> None:
    assert read_relay_urls(environment_with(monkeypatch, EMAIL_URL_FILE="/run/secrets/url")) == {}


def test_relay_is_refused_when_it_is_set_in_two_spellings(monkeypatch: pytest.MonkeyPatch) -> None:
    environment = environment_with(monkeypatch, EMAIL_URL_A="smtp://a.example", EMAIL_URL_a="smtp://b.example")
    with pytest.raises(ImproperlyConfigured, match="EMAIL_URL_a is set twice, in upper and lower case"):
        read_relay_urls(environment)


def test_client_is_read_for_each_relay_and_a_stray_variable_is_found(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "secret").write_text("hush\n")
    environment = environment_with(
        monkeypatch,
        EMAIL_OAUTH_CLIENT_ID="one",
        EMAIL_OAUTH_M365_CLIENT_ID="two",
        EMAIL_OAUTH_M365_CLIENT_SECRET_FILE=str(tmp_path / "secret"),
        EMAIL_OAUTH_M356_CLIENT_ID="misspelt",
        EMAIL_OAUTH_M365_SECRET="misspelt",
    )
    ends = ("CLIENT_ID", "CLIENT_SECRET")
    assert read_relay_oauth(environment, ["m365"], ends=ends) == {
        "default": {"CLIENT_ID": "one"},
        "m365": {"CLIENT_ID": "two", "CLIENT_SECRET": "hush"},
    }
    stray = find_stray_oauth_variables(environment, ["m365"], ends=ends)
    assert stray == ["EMAIL_OAUTH_M356_CLIENT_ID", "EMAIL_OAUTH_M365_SECRET"]


@pytest.mark.parametrize("text", ["Berlin", "Europe", "../etc/passwd", "Europe/Berlin ; x", "+01:00"])
def test_time_zone_is_refused_when_there_is_none_of_that_name(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    with pytest.raises(ImproperlyConfigured, match=r"Set it to a zone such as Europe/Berlin\."):
        environment_with(monkeypatch, TIME_ZONE=text).time_zone("TIME_ZONE", default="UTC")


def test_time_zone_is_read_when_there_is_one(monkeypatch: pytest.MonkeyPatch) -> None:
    assert environment_with(monkeypatch).time_zone("TIME_ZONE", default="UTC") == "UTC"
    environment = environment_with(monkeypatch, TIME_ZONE=" Europe/Berlin")
    assert environment.time_zone("TIME_ZONE", default="UTC") == "Europe/Berlin"


@pytest.mark.parametrize(
    ("hosts", "is_local", "url"),
    [
        (["mail.example.org", "other.example"], False, "https://mail.example.org"),
        ([".example.org", "mail.example.org"], False, "https://mail.example.org"),
        (["*"], False, ""),
        ([], False, ""),
        (["localhost", "127.0.0.1"], True, "http://localhost:8000"),
    ],
)
def test_public_address_follows_from_the_first_host(hosts: list[str], is_local: bool, url: str) -> None:
    assert find_public_url(hosts, is_local=is_local) == url
