"""Settings of signing in that cannot be used."""

from __future__ import annotations

from pathlib import Path

import pytest
from django.conf import LazySettings
from django.core.exceptions import ImproperlyConfigured

from batches.accounts import settings_check
from emailbatch.environment import Environment, read_groups


@pytest.fixture
def openid(settings: LazySettings) -> LazySettings:
    settings.OIDC_URL = "https://login.example.org/realms/town"
    settings.OIDC_CLIENT_ID, settings.OIDC_CLIENT_SECRET = "emailbatch", "secret"
    settings.OIDC_GROUPS = {"mailers": "Senders"}
    return settings


def test_nothing_is_said_when_openid_is_set_or_unset(openid: LazySettings) -> None:
    assert settings_check.check_openid(None) == []
    openid.OIDC_URL, openid.OIDC_CLIENT_ID = "", ""
    assert settings_check.check_openid(None) == []


@pytest.mark.parametrize("host", ["localhost:9000", "127.0.0.1", "[::1]:80"])
def test_http_is_accepted_on_this_machine(openid: LazySettings, host: str) -> None:
    openid.OIDC_URL = f"http://{host}/realm"
    assert settings_check.check_openid(None) == []


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("OIDC_CLIENT_ID", "", "OIDC_CLIENT_ID is not"),
        ("OIDC_CLIENT_SECRET", "", "OIDC_CLIENT_SECRET is not"),
        ("OIDC_GROUPS", {}, "OIDC_GROUPS is not"),
        ("OIDC_URL", "http://login.example.org", "not encrypted"),
        ("OIDC_URL", "http://127.0.0.1.example.org", "not encrypted"),
        ("OIDC_URL", "login.example.org", "not an address"),
        ("OIDC_SCOPES", "profile email", "lacks openid"),
    ],
)
def test_openid_setting_is_named_when_it_is_wrong(openid: LazySettings, name: str, value: object, words: str) -> None:
    setattr(openid, name, value)
    found = settings_check.check_openid(None)
    assert [each.id for each in found] == [settings_check.BAD_OPENID]
    assert words in found[0].msg and found[0].hint


@pytest.mark.parametrize("name", ["SESSION_IDLE_SECONDS", "SESSION_MAX_SECONDS", "REAUTHENTICATE_ABOVE"])
def test_limit_is_named_when_it_is_too_small(settings: LazySettings, name: str) -> None:
    assert settings_check.check_session_limits(None) == []
    setattr(settings, name, -1)
    assert [each.msg for each in settings_check.check_session_limits(None)] == [f"{name} is -1, which is too small."]


def test_proof_that_is_too_old_at_once_is_refused(settings: LazySettings) -> None:
    settings.REAUTHENTICATE_SECONDS = 0  # the user would be asked again after each answer
    [found] = settings_check.check_session_limits(None)
    assert found.msg == "REAUTHENTICATE_SECONDS is 0, which is too small."


def test_secret_of_the_client_is_read_from_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "secret").write_text("only the provider knows it\n")
    monkeypatch.setenv("OIDC_CLIENT_SECRET_FILE", str(tmp_path / "secret"))
    assert Environment().secret("OIDC_CLIENT_SECRET") == "only the provider knows it"


def test_groups_are_read_when_values_have_equals_signs_and_spaces() -> None:
    pairs = ["mail senders = Senders", "CN=mail=Template editors", ""]
    assert read_groups(pairs) == {"mail senders": "Senders", "CN=mail": "Template editors"}


@pytest.mark.parametrize("pair", ["Senders", "=Senders", "mailers="])
def test_groups_are_refused_when_a_side_is_missing(pair: str) -> None:
    with pytest.raises(ImproperlyConfigured, match="OIDC_GROUPS"):
        read_groups([pair])
