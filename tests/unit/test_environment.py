"""How settings.py reads its variables, and what it says of those that it cannot read."""

from __future__ import annotations

import pytest
from django.core.exceptions import ImproperlyConfigured

from emailbatch.environment import Environment, read_database


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
