"""How long a session lasts, where a user is signed in, and signing out everywhere."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest
from allauth.mfa.models import Authenticator
from allauth.usersessions.models import UserSession
from django.conf import LazySettings
from django.contrib.auth.models import User
from django.contrib.sessions.models import Session
from django.http import HttpRequest
from django.test import Client
from django.utils import timezone

from batches import session_limits
from batches.credentials import Credentials
from batches.jobs.sweep import sweep
from batches.models import AuditAction, AuditEntry
from tests.integration.accounts.conftest import PASSWORD

AGENT = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"


def sign_in(name: str = "bob") -> Client:
    client = Client(headers={"User-Agent": AGENT})
    assert client.post("/accounts/login/", {"username": name, "password": PASSWORD}).status_code == 302
    client.get("/")
    return client


def finds_user(client: Client) -> bool:
    """Whether an open socket with this session would be kept."""
    request = HttpRequest()
    request.COOKIES["sessionid"] = client.cookies["sessionid"].value
    return Credentials.of_request(request).find_user() is not None


def end_of(client: Client) -> datetime:
    return Session.objects.get(session_key=client.cookies["sessionid"].value).expire_date


def age(client: Client, *, seconds: float) -> None:
    """Let a session be older by these seconds."""
    session = client.session
    session[session_limits.SIGNED_IN_AT] -= seconds
    session["refreshed_at"] -= seconds
    end = session.get_expiry_date()
    session.set_expiry(end - timedelta(seconds=seconds))
    session.save()


def test_session_ends_when_it_is_idle(bob: User, settings: LazySettings) -> None:
    settings.SESSION_IDLE_SECONDS = 600
    client = sign_in()
    assert finds_user(client)
    assert end_of(client) <= timezone.now() + timedelta(seconds=600)
    age(client, seconds=601)
    assert client.get("/batches/").status_code == 302
    assert not finds_user(client)


def test_use_moves_the_end_of_a_session_up_to_the_maximum(bob: User, settings: LazySettings) -> None:
    settings.SESSION_IDLE_SECONDS, settings.SESSION_MAX_SECONDS = 600, 1500
    client = sign_in()
    began = timezone.now()
    for _ in range(2):
        age(client, seconds=590)
        assert client.get("/batches/").status_code == 200
    assert end_of(client) <= began + timedelta(seconds=1500 - 2 * 590 + 5)
    age(client, seconds=400)
    assert client.get("/batches/").status_code == 302
    assert not finds_user(client)


def test_session_of_an_older_release_is_over(bob: User) -> None:
    client = sign_in()
    session = client.session
    del session[session_limits.SIGNED_IN_AT]
    session.save()
    assert not finds_user(client)
    assert client.get("/batches/").status_code == 302


def test_session_is_not_written_at_each_request(bob: User, settings: LazySettings) -> None:
    client = sign_in()
    before = end_of(client)
    client.get("/batches/")
    assert end_of(client) == before


def test_sessions_are_listed_with_device_and_address(bob: User) -> None:
    sign_in()
    client = sign_in()
    text = client.get("/accounts/sessions/").content.decode()
    assert text.count("Firefox on Linux") == 2
    assert text.count("This session") == 1
    assert "127.0.0.1" in text


@pytest.mark.parametrize(("which", "is_here_kept"), [("others", True), ("all", False)])
def test_all_sessions_end_when_the_user_asks(bob: User, which: str, is_here_kept: bool) -> None:
    other, here = sign_in(), sign_in()
    stranger = User.objects.create_user("eve", password=PASSWORD)
    third = sign_in(stranger.username)
    here.post("/accounts/sessions/", {"which": which})
    assert (finds_user(other), finds_user(here), finds_user(third)) == (False, is_here_kept, True)
    assert other.get("/batches/").status_code == 302
    assert AuditEntry.objects.filter(action=AuditAction.SIGN_OUT_EVERYWHERE, target_id=str(bob.pk)).exists()


def test_one_session_ends_and_never_anothers(bob: User) -> None:
    User.objects.create_user("eve", password=PASSWORD)
    other, here, eve = sign_in(), sign_in(), sign_in("eve")

    def row_of(client: Client) -> int:
        return int(UserSession.objects.get(session_key=client.cookies["sessionid"].value).pk)

    here.post("/accounts/sessions/", {"which": row_of(eve)})
    here.post("/accounts/sessions/", {"which": row_of(other)})
    here.post("/accounts/sessions/", {"which": "no number"})
    assert (finds_user(other), finds_user(here), finds_user(eve)) == (False, True, True)


def test_ended_sessions_are_forgotten_with_their_addresses(bob: User) -> None:
    ended, alive = sign_in(), sign_in()
    Session.objects.filter(session_key=ended.cookies["sessionid"].value).update(expire_date=timezone.now())
    assert session_limits.forget_ended(now=timezone.now()) == 1
    kept = [each.session_key for each in UserSession.objects.all()]
    assert kept == [alive.cookies["sessionid"].value]


def test_other_sessions_end_when_the_password_changes(bob: User) -> None:
    other, here = sign_in(), sign_in()
    form = {"old_password": PASSWORD, "new_password1": "another 42 one", "new_password2": "another 42 one"}
    assert here.post("/accounts/password/", form).status_code == 302
    assert (finds_user(other), finds_user(here)) == (False, True)
    assert AuditEntry.objects.filter(action=AuditAction.PASSWORD_CHANGE, target_id=str(bob.pk)).count() == 1


def test_session_that_changed_the_password_ends_with_all_others(bob: User) -> None:
    first = sign_in()
    form = {"old_password": PASSWORD, "new_password1": "another 42 one", "new_password2": "another 42 one"}
    assert first.post("/accounts/password/", form).status_code == 302
    here = Client()
    here.post("/accounts/login/", {"username": "bob", "password": "another 42 one"})
    assert "Firefox on Linux" in here.get("/accounts/sessions/").content.decode()
    here.post("/accounts/sessions/", {"which": "others"})
    assert not finds_user(first)


@pytest.mark.parametrize("path", ["/accounts/two-factor/webauthn/login/", "/accounts/login/"])
def test_session_of_a_stranger_ends_soon_and_is_deleted(bob: User, path: str) -> None:
    Authenticator.objects.create(user=bob, type=Authenticator.Type.TOTP, data={"secret": "x"})
    stranger = Client(headers={"X-Requested-With": "XMLHttpRequest"})
    if path == "/accounts/login/":  # knows the password, and lacks the factor
        stranger.post(path, {"username": "bob", "password": PASSWORD})
    else:
        stranger.get(path)
    session = Session.objects.get()
    assert session.expire_date <= timezone.now() + timedelta(seconds=session_limits.STRANGERS_SECONDS)
    Session.objects.update(expire_date=timezone.now())
    sweep()
    assert not Session.objects.exists()


def test_signing_in_and_out_leaves_no_session(bob: User) -> None:
    client = sign_in()
    assert end_of(client) > timezone.now() + timedelta(seconds=session_limits.STRANGERS_SECONDS)
    client.post("/accounts/logout/")
    assert not Session.objects.exists()
