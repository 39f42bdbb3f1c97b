"""Second factors: adding, using and requiring them, recovery codes, and the proof that is asked for again."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from typing import Any

import pytest
from allauth.mfa.models import Authenticator
from allauth.mfa.totp.internal.auth import format_hotp_value, hotp_value
from django.conf import LazySettings
from django.contrib.auth.models import Group, Permission, User
from django.core.management import CommandError, call_command
from django.test import Client

from batches.accounts.guesses import PER_NAME
from batches.credentials import Credentials
from batches.models import ApiToken, AuditAction, AuditEntry
from tests.integration.accounts.conftest import PASSWORD


def code_of(secret: str, *, steps: int = 0) -> str:
    return str(format_hotp_value(hotp_value(secret, int(time.time()) // 30 + steps)))


def sign_in(client: Client, name: str = "bob") -> str:
    """Enter name and password. Returns where the site leads then."""
    answer = client.post("/accounts/login/", {"username": name, "password": PASSWORD})
    assert answer.status_code == 302, answer.content
    return str(answer.headers["Location"])


def add_app(client: Client) -> str:
    """Add an authenticator app, and return its secret."""
    text = client.get("/accounts/two-factor/totp/activate/").content.decode()
    found = re.search(r"<code>([A-Z2-7]{32})</code>", text)
    assert found, text
    answer = client.post("/accounts/two-factor/totp/activate/", {"code": code_of(found[1])})
    assert answer.status_code == 302, answer.content
    return found[1]


def test_code_of_the_app_is_asked_for_after_the_password(bob: User) -> None:
    client = Client()
    sign_in(client)
    secret = add_app(client)
    client.post("/accounts/logout/")
    assert sign_in(client) == "/accounts/two-factor/authenticate/"
    assert client.get("/batches/").status_code == 302  # not signed in yet
    assert client.get("/api/batches").status_code == 401
    code = code_of(secret, steps=1)
    assert client.post("/accounts/two-factor/authenticate/", {"code": code}).headers["Location"] == "/"
    assert client.get("/batches/").status_code == 200


def test_code_is_accepted_once(bob: User) -> None:
    client = Client()
    sign_in(client)
    secret = add_app(client)
    code = code_of(secret, steps=1)
    answers = []
    for _ in range(2):
        other = Client()
        sign_in(other)
        answers.append(other.post("/accounts/two-factor/authenticate/", {"code": code}).status_code)
    assert answers == [302, 200]


def test_codes_are_limited_and_the_owner_still_gets_in(bob: User) -> None:
    own = Client()
    sign_in(own)
    secret = add_app(own)
    own.post("/accounts/logout/")
    thief = Client()  # knows the password
    sign_in(thief)
    answers = [
        thief.post("/accounts/two-factor/authenticate/", {"code": "000000"}).status_code
        for _ in range(PER_NAME.free_count + 5)
    ]
    assert answers.count(200) == PER_NAME.free_count and answers[-1] == 429
    again = Client()
    sign_in(again)
    assert again.post("/accounts/two-factor/authenticate/", {"code": "111111"}).status_code == 429
    sign_in(own)
    assert own.post("/accounts/two-factor/authenticate/", {"code": code_of(secret, steps=1)}).status_code == 302


def test_recovery_codes_are_shown_once_and_each_works_once(bob: User) -> None:
    client = Client()
    sign_in(client)
    add_app(client)
    codes = re.findall(r"\b\d{8}\b", client.get("/accounts/two-factor/recovery-codes/").content.decode())
    assert len(codes) == 10
    assert not re.findall(r"\b\d{8}\b", client.get("/accounts/two-factor/recovery-codes/").content.decode())
    assert client.get("/accounts/two-factor/recovery-codes/download/").status_code == 403
    answers = []
    for _ in range(2):
        other = Client()
        sign_in(other)
        answers.append(other.post("/accounts/two-factor/authenticate/", {"code": codes[0]}).status_code)
    assert answers == [302, 200]


def test_secrets_are_sealed_and_useless_after_a_new_key(bob: User, settings: LazySettings) -> None:
    client = Client()
    sign_in(client)
    secret = add_app(client)
    codes = re.findall(r"\b\d{8}\b", client.get("/accounts/two-factor/recovery-codes/").content.decode())
    stored = str(list(Authenticator.objects.values()))
    assert secret not in stored and not any(code in stored for code in codes)
    settings.SECRET_KEY = "another key"
    for code in (code_of(secret, steps=1), codes[0]):
        other = Client()
        sign_in(other)
        assert other.post("/accounts/two-factor/authenticate/", {"code": code}).status_code == 200


def test_factors_are_written_down(bob: User, django_capture_on_commit_callbacks: Callable[..., Any]) -> None:
    client = Client()
    sign_in(client)
    with django_capture_on_commit_callbacks(execute=True):
        add_app(client)
    client.post("/accounts/two-factor/totp/deactivate/")
    found = AuditEntry.objects.filter(target_id=str(bob.pk)).values_list("action", flat=True)
    assert AuditAction.FACTOR_ADD in found and AuditAction.FACTOR_REMOVE in found


def test_no_code_is_written_down(bob: User) -> None:
    client = Client()
    sign_in(client)
    add_app(client)
    other = Client()
    sign_in(other)
    answer = other.post("/accounts/two-factor/authenticate/", {"code": "987654"})
    assert "This code is not right. Write the one that the app shows now" in answer.content.decode()
    assert AuditEntry.objects.filter(action=AuditAction.SIGN_IN, details__reason="wrong code").exists()
    assert "987654" not in str(list(AuditEntry.objects.values()))


@pytest.mark.parametrize(("setting", "is_sender", "is_asked"), [
    ("off", True, False), ("senders", False, False), ("senders", True, True), ("all", False, True)
])  # fmt: skip
def test_factor_is_wanted_before_anything_else(
    bob: User, settings: LazySettings, setting: str, is_sender: bool, is_asked: bool
) -> None:
    settings.REQUIRE_MFA = setting
    if is_sender:
        bob.groups.add(Group.objects.get(name="Senders"))
    client = Client()
    sign_in(client)
    page = client.get("/batches/")
    assert page.headers.get("Location") == ("/accounts/two-factor/" if is_asked else None)
    assert client.get("/api/batches").status_code == (403 if is_asked else 200)
    key = client.cookies["sessionid"].value
    assert (Credentials(bearer=None, session_key=key).find_user() is None) is is_asked
    if not is_asked:
        return
    assert "asks for a second factor" in client.get("/accounts/two-factor/").content.decode()
    add_app(client)
    assert client.get("/batches/").status_code == 200
    assert client.get("/api/batches").status_code == 200


def test_administrator_needs_the_factor_too(settings: LazySettings, db: None) -> None:
    settings.REQUIRE_MFA = "senders"
    User.objects.create_superuser("root", password=PASSWORD)
    client = Client()
    sign_in(client, "root")
    for path in ("/admin/", "/admin/auth/user/", "/inbox/"):
        assert client.get(path).headers["Location"] == "/accounts/two-factor/"


def test_new_factor_needs_a_fresh_proof(bob: User, settings: LazySettings) -> None:
    client = Client()
    sign_in(client)
    settings.REAUTHENTICATE_SECONDS = 0
    answer = client.get("/accounts/two-factor/totp/activate/")
    assert answer.headers["Location"].startswith("/accounts/reauthenticate/?next=")
    assert not Authenticator.objects.exists()


def test_admin_signs_in_on_the_same_page(db: None) -> None:
    User.objects.create_superuser("root", password=PASSWORD)
    client = Client()
    assert client.get("/admin/").headers["Location"] == "/admin/login/?next=/admin/"
    assert client.get("/admin/login/?next=/admin/").headers["Location"] == "/accounts/login/?next=%2Fadmin%2F"
    posted = client.post("/admin/login/?next=/admin/", {"username": "root", "password": PASSWORD})
    assert posted.headers["Location"].startswith("/accounts/login/")
    sign_in(client, "root")
    assert client.get("/admin/").status_code == 200
    assert client.get("/admin/password_change/").headers["Location"] == "/accounts/password/"


def test_operator_removes_the_factors_that_a_user_has_lost(bob: User, capsys: pytest.CaptureFixture[str]) -> None:
    client = Client()
    sign_in(client)
    add_app(client)
    call_command("removefactors", "bob")
    assert "2 factors of bob are removed" in capsys.readouterr().out
    call_command("removefactors", "bob")
    assert "bob has no second factor" in capsys.readouterr().out
    assert sign_in(Client()) == "/"
    assert AuditEntry.objects.filter(action=AuditAction.FACTOR_REMOVE, via="command removefactors").count() == 2
    with pytest.raises(CommandError, match="There is no user 'nobody'"):
        call_command("removefactors", "nobody")


def test_secrets_of_factors_are_not_in_the_admin(bob: User) -> None:
    User.objects.create_superuser("root", password=PASSWORD)
    client = Client()
    sign_in(client)
    secret = add_app(client)
    admin = Client()
    sign_in(admin, "root")
    factor = Authenticator.objects.get(user=bob, type="totp")
    text = admin.get(f"/admin/mfa/authenticator/{factor.pk}/change/").content.decode()
    assert "bob" in text and secret not in text
    admin.post(f"/admin/mfa/authenticator/{factor.pk}/delete/", {"post": "yes"})
    assert not Authenticator.objects.filter(pk=factor.pk).exists()
    assert AuditEntry.objects.filter(action=AuditAction.FACTOR_REMOVE, target_id=str(bob.pk)).exists()


@pytest.mark.parametrize("header", ["Basic Ym9iOng=", "Token x", "Bearer", "bearer "])
def test_factor_is_wanted_of_a_session_whatever_header_the_request_has(
    bob: User, settings: LazySettings, header: str
) -> None:
    settings.REQUIRE_MFA = "all"
    client = Client(headers={"Authorization": header})
    sign_in(client)
    assert client.get("/api/batches").status_code in (401, 403)


def test_nobody_makes_a_token_before_the_factor_is_added(bob: User, settings: LazySettings) -> None:
    settings.REQUIRE_MFA = "all"
    client = Client()
    sign_in(client)
    form = {"name": "way round", "scopes": ["read", "send"], "days": 90}
    assert client.post("/accounts/tokens/", form).headers.get("Location") == "/accounts/two-factor/"
    assert not ApiToken.objects.exists()
    for path in ("/accounts/connections/", "/accounts/password/"):
        assert client.get(path).headers["Location"] == "/accounts/two-factor/"
    assert client.get("/accounts/sessions/").status_code == 200


def test_only_a_superuser_removes_factors_in_the_admin(bob: User) -> None:
    client = Client()
    sign_in(client)
    add_app(client)
    helper = User.objects.create_user("helper", password=PASSWORD, is_staff=True)
    helper.user_permissions.set(Permission.objects.filter(content_type__model="authenticator"))
    admin = Client()
    sign_in(admin, "helper")
    factor = Authenticator.objects.filter(user=bob).first()
    assert factor is not None
    assert admin.get("/admin/mfa/authenticator/").status_code == 200
    assert admin.post(f"/admin/mfa/authenticator/{factor.pk}/delete/", {"post": "yes"}).status_code == 403
    assert Authenticator.objects.filter(pk=factor.pk).exists()
