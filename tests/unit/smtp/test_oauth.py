"""The OAuth client of a relay, as the variables EMAIL_OAUTH_* describe it."""

from __future__ import annotations

import json

import pytest

from batches.smtp.oauth import OAuthClient, OAuthSettingsError, make_client

SECRET = "hush-hush"
KEY = json.dumps({"type": "service_account", "client_email": "mail@project.example", "private_key": SECRET})


def client(provider: str, **values: str) -> OAuthClient:
    return make_client(provider, values, user="news@school.example", variables="EMAIL_OAUTH_M365_")


def test_microsoft_application_has_its_tenants_endpoint_and_scope() -> None:
    made = client("microsoft", CLIENT_ID="app", CLIENT_SECRET=SECRET, TENANT="school.example")
    assert made.token_url == "https://login.microsoftonline.com/school.example/oauth2/v2.0/token"
    assert made.scope == "https://outlook.office365.com/.default"


def test_microsoft_user_has_the_scope_of_a_user_and_may_have_no_secret() -> None:
    made = client("microsoft", CLIENT_ID="app", REFRESH_TOKEN=SECRET, TENANT="common")
    assert made.scope == "https://outlook.office.com/SMTP.Send offline_access"


def test_google_user_has_a_refresh_token() -> None:
    made = client("google", CLIENT_ID="app", CLIENT_SECRET="s", REFRESH_TOKEN=SECRET)
    assert (made.token_url, made.scope) == ("https://oauth2.googleapis.com/token", "")


def test_google_service_account_needs_its_key_alone() -> None:
    made = client("google", SERVICE_ACCOUNT=KEY)
    assert made.service_account is not None
    assert (made.service_account.email, made.scope) == ("mail@project.example", "https://mail.google.com/")


def test_endpoint_and_scope_are_the_sites_own_when_they_are_set() -> None:
    values = {"CLIENT_ID": "app", "CLIENT_SECRET": SECRET, "SCOPE": "mail", "TENANT": "t"}
    for provider in ("microsoft", "other"):
        made = client(provider, TOKEN_URL="https://login.example/token", **values)
        assert (made.token_url, made.scope) == ("https://login.example/token", "mail")


@pytest.mark.parametrize(
    ("provider", "values", "words"),
    [
        ("microsoft", {}, "EMAIL_OAUTH_M365_CLIENT_ID is not set. Set it, or name a file"),
        ("microsoft", {"CLIENT_ID": "a"}, "EMAIL_OAUTH_M365_CLIENT_SECRET is not set"),
        ("microsoft", {"CLIENT_ID": "a", "CLIENT_SECRET": SECRET}, "EMAIL_OAUTH_M365_TENANT is not set"),
        ("google", {"CLIENT_ID": "a", "CLIENT_SECRET": SECRET}, "Google needs EMAIL_OAUTH_M365_REFRESH_TOKEN"),
        ("google", {"SERVICE_ACCOUNT": SECRET}, "is not the JSON key of a service account"),
        ("google", {"SERVICE_ACCOUNT": f'["{SECRET}"]'}, "is not the JSON key of a service account"),
        ("google", {"SERVICE_ACCOUNT": f'{{"private_key": "{SECRET}"}}'}, "is not the JSON key"),
        ("other", {"CLIENT_ID": "a", "CLIENT_SECRET": SECRET}, "EMAIL_OAUTH_M365_TOKEN_URL is not set"),
    ],
)
def test_missing_variable_is_named_without_any_value(provider: str, values: dict[str, str], words: str) -> None:
    with pytest.raises(OAuthSettingsError, match=words) as caught:
        client(provider, **values)
    assert SECRET not in str(caught.value)
    assert caught.value.__cause__ is None


@pytest.mark.parametrize(
    "url",
    [
        "http://login.example/token",
        "ftp://login.example/token",
        "login.example/token",
        "https:///token",
        "https://ann:hush@login.example/token",
        "http://[::1",
        "http://127.0.0.1.login.example/token",
        "https://login.example:99999/token",
    ],
)
def test_endpoint_is_refused_when_a_secret_must_not_go_there(url: str) -> None:
    with pytest.raises(OAuthSettingsError, match="TOKEN_URL must be an address like https://"):
        client("other", CLIENT_ID="a", CLIENT_SECRET=SECRET, TOKEN_URL=url)


@pytest.mark.parametrize("url", ["http://127.0.0.1:8/token", "http://[::1]:8/token", "http://localhost/token"])
def test_endpoint_of_this_machine_needs_no_tls(url: str) -> None:
    assert client("other", CLIENT_ID="a", CLIENT_SECRET=SECRET, TOKEN_URL=url).token_url == url


def test_tenant_cannot_change_the_endpoints_host() -> None:
    made = client("microsoft", CLIENT_ID="a", CLIENT_SECRET=SECRET, TENANT="../evil.example/x")
    assert made.endpoint_host == "login.microsoftonline.com"
    assert "/..%2Fevil.example%2Fx/oauth2/" in made.token_url


def test_no_secret_is_shown_when_a_client_is_shown() -> None:
    made = client("google", CLIENT_ID="a", CLIENT_SECRET=SECRET, REFRESH_TOKEN=SECRET, SERVICE_ACCOUNT=KEY)
    assert SECRET not in repr(made) + str(made)
