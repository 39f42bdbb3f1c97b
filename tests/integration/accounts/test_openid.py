"""Signing in at an OpenID provider: who is let in, with which groups, and which answers are not believed."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import pytest
from allauth.socialaccount.models import SocialAccount
from cryptography.hazmat.primitives.asymmetric import rsa
from django.conf import LazySettings
from django.contrib.auth.models import Group, User
from django.test import Client

from batches.accounts.guesses import OPENID_PER_ADDRESS
from batches.accounts.proof import has_fresh_proof
from batches.credentials import make_token
from batches.models import ApiToken, AuditAction, AuditEntry
from batches.permissions import Permission, may
from tests.integration.accounts.conftest import PASSWORD
from tests.openid_provider import CLIENT_ID, CLIENT_SECRET, OpenIdProvider


@pytest.fixture
def provider(settings: LazySettings, db: None) -> Iterator[OpenIdProvider]:
    """A provider whose group ``mailers`` is Senders here, and ``bosses`` Approvers."""
    with OpenIdProvider() as running:
        settings.OIDC_URL = running.url
        settings.OIDC_NAME = "Town Hall"
        settings.OIDC_GROUPS = {"mailers": "Senders", "bosses": "Approvers", "lost": "No such group"}
        settings.SOCIALACCOUNT_PROVIDERS = {
            "openid_connect": {
                **settings.SOCIALACCOUNT_PROVIDERS["openid_connect"],
                "APPS": [
                    {
                        "provider_id": settings.OIDC_PROVIDER_ID,
                        "name": "Town Hall",
                        "client_id": CLIENT_ID,
                        "secret": CLIENT_SECRET,
                        "settings": {"server_url": running.url},
                    }
                ],
            }
        }
        yield running


def sign_in(provider: OpenIdProvider, client: Client | None = None, *, query: str = "") -> tuple[Client, Any]:
    """Walk through the flow. Returns the client, and the answer at the end of it."""
    client = client or Client()
    answer = client.get(f"/accounts/openid/login/{query}")
    assert answer.status_code == 302, answer.content
    return client, client.get(provider.authorize(answer.headers["Location"]))


def is_signed_in(client: Client) -> bool:
    return client.get("/batches/").status_code == 200


def test_new_user_is_made_with_the_groups_of_the_claim(provider: OpenIdProvider) -> None:
    provider.claims = {
        "groups": ["mailers", "others"],
        "preferred_username": "ann",
        "email": "ann@example.org",
        "email_verified": True,
    }
    client, answer = sign_in(provider)
    assert answer.headers["Location"] == "/"
    assert is_signed_in(client)
    user = User.objects.get(username="ann")
    assert [group.name for group in user.groups.all()] == ["Senders"]
    assert (user.email, user.has_usable_password(), user.is_staff) == ("ann@example.org", False, False)
    assert AuditEntry.objects.filter(action=AuditAction.PERMISSION_CHANGE, target_id=str(user.pk)).exists()


def test_state_nonce_and_pkce_are_sent_and_differ_each_time(provider: OpenIdProvider) -> None:
    asked = [Client().get("/accounts/openid/login/").headers["Location"] for _ in range(2)]
    for name in ("state=", "nonce=", "code_challenge=", "code_challenge_method=S256"):
        assert all(name in location for location in asked)
    assert asked[0] != asked[1]


def test_groups_follow_the_claim_at_each_sign_in(provider: OpenIdProvider) -> None:
    sign_in(provider)
    user = User.objects.get()
    user.groups.add(Group.objects.get(name="Auditors"))
    provider.claims = {"groups": "bosses"}  # some providers send one value as text
    sign_in(provider)
    assert [group.name for group in user.groups.all()] == ["Approvers"]
    assert User.objects.count() == 1


@pytest.mark.parametrize("groups", [[], ["others"], ["lost"], None, 7, {"mailers": 1}, [["mailers"]]])
def test_nobody_is_let_in_without_a_group(provider: OpenIdProvider, groups: Any) -> None:
    provider.claims = {"groups": groups} if groups is not None else {}
    client, answer = sign_in(provider)
    assert answer.status_code == 403
    assert "none of your groups there may use this site" in answer.content.decode()
    assert not is_signed_in(client) and not User.objects.exists()
    assert AuditEntry.objects.filter(action=AuditAction.SIGN_IN, is_refused=True, details__reason="no group").exists()


def test_user_who_lost_the_group_is_refused_and_keeps_nothing_open(provider: OpenIdProvider) -> None:
    sign_in(provider)
    provider.claims = {"groups": ["others"]}
    token = make_token(User.objects.get(), name="a program")
    client, answer = sign_in(provider)
    assert answer.status_code == 403 and not is_signed_in(client)
    assert not User.objects.get().groups.exists()
    left = ApiToken.objects.find_user(token)
    assert left is not None and not may(left, Permission.SEND_BATCH)


@pytest.mark.parametrize("verified", [True, False, None, "true"])
def test_local_account_is_not_taken_by_its_address_or_name(provider: OpenIdProvider, verified: Any) -> None:
    local = User.objects.create_user("ann", "ann@example.org", PASSWORD)
    provider.claims = {
        "groups": ["mailers"],
        "preferred_username": "ann",
        "email": "ann@example.org",
        "email_verified": verified,
    }
    client, _ = sign_in(provider)
    other = User.objects.exclude(pk=local.pk).get()
    assert client.session["_auth_user_id"] == str(other.pk)
    assert other.username != "ann"
    assert other.email == ("ann@example.org" if verified is True else "")
    local.refresh_from_db()
    assert local.check_password(PASSWORD)


def test_deactivated_user_is_refused(provider: OpenIdProvider) -> None:
    sign_in(provider)
    User.objects.update(is_active=False)
    client, answer = sign_in(provider)
    assert answer.headers["Location"] == "/accounts/inactive/"
    assert not is_signed_in(client)
    assert AuditEntry.objects.get(action=AuditAction.SIGN_IN, is_refused=True).details == {"reason": "not active"}


def test_strangers_do_not_fill_the_audit_with_answers_of_no_provider(provider: OpenIdProvider) -> None:
    for _ in range(OPENID_PER_ADDRESS.free_count + 5):
        assert Client().get("/accounts/openid/callback/?code=x&state=y").status_code == 401
    assert AuditEntry.objects.filter(is_refused=True).count() == OPENID_PER_ADDRESS.free_count


NOW = int(time.time())
HOSTILE: dict[str, dict[str, Any]] = {
    "nonce of another sign-in": {"changes": {"nonce": "another"}},
    "no nonce": {"changes": {"nonce": None}},
    "another audience": {"changes": {"aud": "another-client"}},
    "several audiences, issued to another": {"changes": {"aud": [CLIENT_ID, "other"], "azp": "other"}},
    "no audience": {"changes": {"aud": None}},
    "expired": {"changes": {"exp": NOW - 3600}},
    "no end": {"changes": {"exp": None}},
    "not valid yet": {"changes": {"nbf": NOW + 3600}},
    "another issuer": {"changes": {"iss": "https://evil.example"}},
    "no subject": {"changes": {"sub": None}},
    "empty subject": {"changes": {"sub": ""}},
    "long subject": {"changes": {"sub": "x" * 400}},
    "unsigned": {"algorithm": "none"},
    "unsigned without key id": {"algorithm": "none", "key_id": None},
    "signed with a shared secret": {"algorithm": "HS256", "key": CLIENT_SECRET * 2},
    "signed with another key": {"key": rsa.generate_private_key(public_exponent=65537, key_size=2048)},
    "unknown key id": {"key_id": "another"},
    "discovery of another issuer": {"issuer": "https://evil.example"},
    "user information of another": {"userinfo": {"sub": "subject-2"}},
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_answer_is_not_believed(provider: OpenIdProvider, name: str) -> None:
    client = Client()
    location = client.get("/accounts/openid/login/").headers["Location"]
    for attribute, value in HOSTILE[name].items():
        setattr(provider, attribute, value)
    answer = client.get(provider.authorize(location))
    assert answer.status_code == 401, name
    assert "You are not signed in" in answer.content.decode()
    assert not is_signed_in(client) and not User.objects.exists()


def test_answer_for_another_browser_is_refused(provider: OpenIdProvider) -> None:
    location = Client().get("/accounts/openid/login/").headers["Location"]
    stranger = Client()
    assert stranger.get(provider.authorize(location)).status_code == 401
    assert not is_signed_in(stranger)


def test_answer_is_used_once(provider: OpenIdProvider) -> None:
    client = Client()
    back = provider.authorize(client.get("/accounts/openid/login/").headers["Location"])
    assert client.get(back).status_code == 302
    client.post("/accounts/logout/")
    assert client.get(back).status_code == 401


def test_stolen_code_is_useless_in_another_session(provider: OpenIdProvider) -> None:
    """The code of a victim, with the state of the attacker's own sign-in: PKCE and the nonce differ."""
    victim = provider.authorize(Client().get("/accounts/openid/login/").headers["Location"])
    attacker = Client()
    own = provider.authorize(attacker.get("/accounts/openid/login/").headers["Location"])
    code = victim.partition("code=")[2].partition("&")[0]
    mixed = own.replace(own.partition("code=")[2].partition("&")[0], code)
    assert attacker.get(mixed).status_code == 401
    assert not is_signed_in(attacker)


def test_address_of_the_request_changes_nothing_that_is_asked(provider: OpenIdProvider) -> None:
    query = "?scope=admin&auth_params=nonce%3Dx%26redirect_uri%3Dhttps%3A%2F%2Fevil.example&process=redirect"
    location = Client().get(f"/accounts/openid/login/{query}").headers["Location"]
    assert "evil" not in location and "admin" not in location and "nonce=x&" not in location


@pytest.mark.parametrize("target", ["https://evil.example/", "//evil.example", "/\\evil.example"])
def test_sign_in_leads_to_this_site_only(provider: OpenIdProvider, target: str) -> None:
    _, answer = sign_in(provider, query=f"?next={target}")
    assert "evil" not in answer.headers["Location"]


def test_sign_in_leads_to_the_page_that_was_asked_for(provider: OpenIdProvider) -> None:
    _, answer = sign_in(provider, query="?next=/templates/")
    assert answer.headers["Location"] == "/templates/"


def test_provider_that_is_away_is_said_without_a_failure(provider: OpenIdProvider, settings: LazySettings) -> None:
    provider._server.shutdown()
    provider._server.server_close()
    answer = Client().get("/accounts/openid/login/")
    assert answer.status_code == 401 and "could not be used" in answer.content.decode()
    provider.__enter__()  # the fixture stops it again


def test_connecting_needs_the_button_and_a_fresh_proof(provider: OpenIdProvider) -> None:
    User.objects.create_user("bob", password=PASSWORD)
    client = Client()
    client.post("/accounts/login/", {"username": "bob", "password": PASSWORD})
    sign_in(provider, client, query="?process=connect")  # a link on a foreign page
    assert not SocialAccount.objects.filter(user__username="bob").exists()

    client = Client()
    client.post("/accounts/login/", {"username": "bob", "password": PASSWORD})
    client.post("/accounts/connections/", {"connect": "1"})
    provider.subject = "subject-of-bob"
    sign_in(provider, client, query="?process=connect")
    assert SocialAccount.objects.get(uid="subject-of-bob").user.username == "bob"


def test_auth_time_of_the_provider_is_the_time_of_the_proof(provider: OpenIdProvider) -> None:
    for auth_time, proves in ((int(time.time()), True), (int(time.time()) - 5000, False), (None, False)):
        provider.changes = {"auth_time": auth_time}
        client, answer = sign_in(provider)
        request = answer.wsgi_request
        request.session = client.session
        assert has_fresh_proof(request) is proves


def test_pages_of_openid_are_absent_when_it_is_not_set(client: Client, db: None) -> None:
    assert client.get("/accounts/openid/login/").status_code == 404
    assert "openid" not in client.get("/accounts/login/").content.decode()
