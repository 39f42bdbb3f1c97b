"""API tokens: what they may do, when they end, and who makes and revokes them."""

from __future__ import annotations

import io
import json
import re
from datetime import timedelta

import pytest
from django.conf import LazySettings
from django.contrib.auth import authenticate
from django.contrib.auth.models import User
from django.core.files.uploadedfile import SimpleUploadedFile
from django.core.management import CommandError, call_command
from django.test import Client
from django.utils import timezone

from batches.credentials import Credentials, make_token, revoke_tokens
from batches.models import ApiToken, AuditAction, AuditEntry, BatchStatus, EmailTemplate, JobStatus, TokenScope
from batches.subscriptions import Subscription, find_subscription, may_watch
from tests.conftest import MakeBatch, MakeJob

PREVIEW = "/api/templates/welcome_email/preview"


def call(client: Client, token: str, method: str = "GET", path: str = "/api/batches", body: str = "") -> int:
    """Return the status of a request with a token."""
    return client.generic(
        method, path, body, content_type="application/json", HTTP_AUTHORIZATION=f"Bearer {token}"
    ).status_code


# --- scopes -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("scope", "allowed"),
    [(TokenScope.READ, "GET"), (TokenScope.SEND, "pause"), (TokenScope.TEMPLATES, "preview")],
)
def test_token_does_what_its_scope_allows_and_nothing_else(
    scope: TokenScope,
    allowed: str,
    client: Client,
    sender: User,
    welcome: EmailTemplate,
    make_batch: MakeBatch,
    make_job: MakeJob,
) -> None:
    batch = make_batch(BatchStatus.PROCESSING, pending=1)
    make_job(batch, JobStatus.PROCESSING)
    token = make_token(sender, name="one scope", scopes=[scope])
    statuses = {
        "GET": call(client, token),
        "pause": call(client, token, "POST", f"/api/batches/{batch.pk}/pause"),
        "preview": call(client, token, "POST", PREVIEW, '{"fields": {"name": "Ann"}}'),
    }
    assert statuses == {name: 200 if name == allowed else 403 for name in statuses}


def test_row_of_a_batch_is_previewed_only_with_the_scope_to_read(
    client: Client, sender: User, welcome: EmailTemplate, make_batch: MakeBatch
) -> None:
    body = json.dumps({"batchId": make_batch(BatchStatus.DRAFT, pending=1).pk})
    scopes = [TokenScope.TEMPLATES]
    assert call(client, make_token(sender, name="writer", scopes=scopes), "POST", PREVIEW, body) == 403
    scopes.append(TokenScope.READ)
    assert call(client, make_token(sender, name="both", scopes=scopes), "POST", PREVIEW, body) == 200


def test_refusal_names_the_scope_that_lacks(client: Client, sender: User) -> None:
    token = make_token(sender, name="reader", scopes=[TokenScope.READ])
    answer = client.post("/api/emails/send-bulk", HTTP_AUTHORIZATION=f"Bearer {token}")
    assert answer.status_code == 403 and "lacks the scope 'send'" in answer.json()["detail"]


def test_websocket_and_stream_need_the_scope_to_read(sender: User) -> None:
    reader = make_token(sender, name="r", scopes=[TokenScope.READ])
    writer = make_token(sender, name="w", scopes=[TokenScope.SEND])
    assert Credentials(bearer=reader, session_key=None).find_user() == sender
    assert Credentials(bearer=writer, session_key=None).find_user() is None
    assert Credentials(bearer=writer, session_key=None).find_sender() == sender
    assert Credentials(bearer=reader, session_key=None).find_sender() is None


# --- when they end ----------------------------------------------------------------------------------------


def test_token_ends_when_it_expires(client: Client, sender: User) -> None:
    token = make_token(sender, name="short", expires_at=timezone.now() + timedelta(hours=1))
    assert call(client, token) == 200
    ApiToken.objects.update(expires_at=timezone.now() - timedelta(seconds=1))
    assert call(client, token) == 401


def test_token_ends_when_the_password_changes(client: Client, sender: User) -> None:
    token = make_token(sender, name="old")
    sender.set_password("another-password-7")
    sender.save()
    assert call(client, token) == 401
    assert call(client, make_token(sender, name="new")) == 200


def test_token_ends_when_the_user_is_locked(client: Client, sender: User) -> None:
    token = make_token(sender, name="old")
    User.objects.update(is_active=False)
    assert call(client, token) == 401


def test_token_holds_when_the_same_password_is_hashed_again(
    client: Client, sender: User, settings: LazySettings
) -> None:
    """As Django does at a sign-in after an update, because a hash then takes more rounds."""
    sender.set_password("the-same-password")
    sender.save()
    token = make_token(sender, name="kept")
    before = User.objects.get(pk=sender.pk).password
    settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.PBKDF2SHA1PasswordHasher", *settings.PASSWORD_HASHERS]
    assert authenticate(username="sender", password="the-same-password") == sender
    assert User.objects.get(pk=sender.pk).password != before
    assert call(client, token) == 200
    assert not AuditEntry.objects.filter(action=AuditAction.PASSWORD_CHANGE, via="page").exists()


def test_token_holds_when_the_former_secret_key_is_a_fallback(
    client: Client, sender: User, settings: LazySettings
) -> None:
    token = make_token(sender, name="kept")
    settings.SECRET_KEY_FALLBACKS, settings.SECRET_KEY = [settings.SECRET_KEY], "another-secret-key"
    assert call(client, token) == 200
    settings.SECRET_KEY_FALLBACKS = []
    assert call(client, token) == 401


def test_token_that_is_bound_to_no_password_is_refused(client: Client, sender: User) -> None:
    token = ApiToken.objects.issue(sender)
    ApiToken.objects.update(password_digest="")
    assert call(client, token) == 401


def test_token_ends_when_it_is_revoked(client: Client, sender: User) -> None:
    token = make_token(sender, name="leaked")
    assert revoke_tokens(ApiToken.objects.filter(name="leaked")) == 1
    assert call(client, token) == 401
    assert AuditEntry.objects.get(action=AuditAction.TOKEN_REVOKE).target_name == "token leaked"


@pytest.mark.parametrize("end", ["revoke", "expire", "password"])
def test_socket_of_a_token_ends_with_it(end: str, sender: User) -> None:
    token = make_token(sender, name="watching")
    subscription = find_subscription(Credentials(bearer=token, session_key=None), None)
    assert isinstance(subscription, Subscription) and may_watch(subscription)
    if end == "revoke":
        revoke_tokens(ApiToken.objects.all())
    elif end == "expire":
        ApiToken.objects.update(expires_at=timezone.now())
    else:
        sender.set_password("another-password-7")
        sender.save()
    assert not may_watch(subscription)  # the feed asks every minute


def test_last_use_is_written_once_a_minute(client: Client, sender: User) -> None:
    token = make_token(sender, name="busy")
    call(client, token)
    first = ApiToken.objects.get().last_used_at
    assert first is not None
    call(client, token)
    assert ApiToken.objects.get().last_used_at == first
    ApiToken.objects.update(last_used_at=first - timedelta(minutes=2))
    call(client, token)
    assert ApiToken.objects.get().last_used_at > first - timedelta(minutes=1)  # type: ignore[operator]


# --- the account page -------------------------------------------------------------------------------------


PASSWORD = "a long one 42"


@pytest.fixture
def page(client: Client, sender: User) -> Client:
    """A browser in which the sender has just signed in with the password."""
    sender.set_password(PASSWORD)
    sender.save()
    assert client.post("/accounts/login/", {"username": "sender", "password": PASSWORD}).status_code == 302
    return client


def make_on_page(page: Client, **form: object) -> tuple[int, str]:
    answer = page.post("/accounts/tokens/", {"name": "nightly", "scopes": ["read"], "days": "30", **form})
    return answer.status_code, answer.content.decode()


def test_new_token_is_shown_once_and_works(page: Client, sender: User) -> None:
    status, text = make_on_page(page)
    [token] = re.findall(r'<pre class="token">(\S+)</pre>', text)
    assert status == 200 and call(Client(), token) == 200
    listed = page.get("/accounts/tokens/")
    assert token not in listed.content.decode() and "nightly" in listed.content.decode()
    assert "no-store" in listed["Cache-Control"]
    stored = ApiToken.objects.get()
    assert stored.scopes == ["read"] and stored.expires_at is not None
    assert timedelta(days=29) < stored.expires_at - timezone.now() <= timedelta(days=30)
    entry = AuditEntry.objects.get(action=AuditAction.TOKEN_MAKE)
    assert (entry.target_name, entry.actor_id, entry.details["scopes"]) == ("token nightly", sender.pk, ["read"])
    assert token not in str(entry.details)


@pytest.mark.parametrize(
    ("form", "sentence"),
    [
        ({"name": " "}, "Give the token a name"),
        ({"scopes": []}, "Choose at least one"),
        ({"scopes": ["admin"]}, "is not one of the available choices"),
        ({"days": "9999"}, "is not one of the available choices"),
    ],
)
def test_form_says_what_is_wrong(form: dict[str, object], sentence: str, page: Client) -> None:
    status, text = make_on_page(page, **form)
    assert status == 422 and sentence in text and not ApiToken.objects.exists()


def test_password_is_asked_again_before_a_token_is_made(client: Client, sender: User) -> None:
    sender.set_password(PASSWORD)
    sender.save()
    client.force_login(sender)  # a session without a proof, as a thief has it
    asked = client.post("/accounts/tokens/", {"name": "nightly", "scopes": ["read"], "days": "30"})
    assert asked.status_code == 302 and "/reauthenticate/" in asked["Location"] and not ApiToken.objects.exists()
    made = client.post(asked["Location"], {"password": PASSWORD})
    while made.status_code == 302:
        made = client.get(made["Location"])
    [token] = re.findall(r'<pre class="token">(\S+)</pre>', made.content.decode())
    assert call(Client(), token) == 200


def test_user_revokes_own_tokens_only(page: Client, staff: User) -> None:
    make_on_page(page)
    make_token(staff, name="of staff")
    for token in ApiToken.objects.all():
        assert page.post(f"/accounts/tokens/{token.pk}/revoke/").status_code == 302
    assert ApiToken.objects.get().user == staff


def test_page_asks_a_stranger_to_sign_in(client: Client, db: None) -> None:
    for answer in (client.get("/accounts/tokens/"), client.post("/accounts/tokens/1/revoke/")):
        assert answer.status_code == 302 and "/accounts/login/" in answer["Location"]


# --- the admin and the command ----------------------------------------------------------------------------


def test_administrator_makes_and_revokes_the_token_of_a_user(client: Client, staff: User, sender: User) -> None:
    staff.set_password(PASSWORD)
    staff.save()
    client.post("/accounts/login/", {"username": "staff", "password": PASSWORD})
    form = {"user": sender.pk, "name": "for a program", "scopes": ["send"], "days": "0"}
    text = client.post("/admin/batches/apitoken/add/", form).content.decode()
    [token] = re.findall(r'<pre id="token">(\S+)</pre>', text)
    made = ApiToken.objects.get()
    assert (made.user, made.scopes, made.expires_at) == (sender, ["send"], None)
    assert AuditEntry.objects.get(action=AuditAction.TOKEN_MAKE).via == "admin"
    assert token not in client.get("/admin/batches/apitoken/").content.decode()
    assert made.digest not in client.get(f"/admin/batches/apitoken/{made.pk}/change/").content.decode()
    client.post("/admin/batches/apitoken/", {"action": "delete_selected", "_selected_action": [made.pk], "post": "yes"})
    assert not ApiToken.objects.exists() and call(Client(), token) == 401
    assert AuditEntry.objects.filter(action=AuditAction.TOKEN_REVOKE).count() == 1


def test_name_of_a_token_brings_no_address_into_the_audit(client: Client, sender: User) -> None:
    token = ApiToken.objects.issue(sender, name="for ann@example.org")
    file = SimpleUploadedFile("a.csv", b"email,name\nbob@example.org,Bob\n")
    client.post("/api/upload", {"file": file, "draft": "true"}, headers={"Authorization": f"Bearer {token}"})
    assert AuditEntry.objects.get(action=AuditAction.UPLOAD).via == "token for <address>"


def test_only_a_superuser_makes_tokens_of_others(client: Client, sender: User) -> None:
    from django.contrib.auth.models import Permission

    User.objects.filter(pk=sender.pk).update(is_staff=True)
    sender.user_permissions.set(Permission.objects.filter(content_type__model="apitoken"))
    client.force_login(sender)
    assert client.get("/admin/batches/apitoken/").status_code == 200
    assert client.get("/admin/batches/apitoken/add/").status_code == 403
    form = {"user": sender.pk, "name": "x", "scopes": ["send"], "days": "0"}
    assert client.post("/admin/batches/apitoken/add/", form).status_code == 403
    assert not ApiToken.objects.exists()


def run(*argv: str) -> str:
    stdout = io.StringIO()
    call_command("createapitoken", *argv, stdout=stdout)
    return stdout.getvalue().strip()


def test_command_makes_a_token_with_name_scopes_and_end(sender: User) -> None:
    token = run("sender", "--name", "nightly", "--scopes", "read, send", "--days", "7")
    made = ApiToken.objects.get()
    assert made.name == "nightly" and made.scopes == ["read", "send"]
    assert made.expires_at is not None and made.expires_at - timezone.now() <= timedelta(days=7)
    assert ApiToken.objects.find_user(token) == sender
    entry = AuditEntry.objects.get(action=AuditAction.TOKEN_MAKE)
    assert entry.via == "command createapitoken" and token not in str(entry.details)


def test_token_of_the_command_has_every_scope_and_a_year_if_nothing_is_said(sender: User) -> None:
    run("sender")
    made = ApiToken.objects.get()
    assert made.scopes == TokenScope.values and made.expires_at is not None
    run("sender", "--days", "0")
    assert ApiToken.objects.filter(expires_at=None).count() == 1


@pytest.mark.parametrize(
    ("argv", "sentence"),
    [
        (["--scopes", "read,all"], "There is no scope 'all'"),
        (["--scopes", ","], "without a scope"),
        (["--days", "-1"], "--days is a number"),
        (["--days", "99999"], "--days is a number"),
        (["--name", "n" * 101], "100 characters"),
    ],
)
def test_command_refuses_what_makes_no_sense(argv: list[str], sentence: str, sender: User) -> None:
    with pytest.raises(CommandError, match=sentence):
        run("sender", *argv)
    assert not ApiToken.objects.exists()
