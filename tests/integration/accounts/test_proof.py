"""A proof that is asked for before an act, and the form that is carried out afterwards as it was posted."""

from __future__ import annotations

import re
import time
import uuid
from typing import Any

import pytest
from allauth.account.authentication import AUTHENTICATION_METHODS_SESSION_KEY
from django.conf import LazySettings
from django.contrib.auth.decorators import login_required
from django.contrib.auth.models import Group, User
from django.core.files.uploadedfile import SimpleUploadedFile
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.test import Client
from django.urls import path

from batches.accounts.proof import needs_proof, require_fresh_proof
from batches.credentials import make_token
from batches.models import ApiToken, AuditAction, AuditEntry, Batch, BatchStatus, EmailJob, EmailTemplate
from emailbatch.urls import urlpatterns as urls_of_the_site
from tests.conftest import MakeBatch
from tests.integration.accounts.conftest import PASSWORD

pytestmark = pytest.mark.urls(__name__)


@login_required
def send(request: HttpRequest) -> HttpResponse:
    """Do as a page does that sends to 50 recipients."""
    require_fresh_proof(request, recipient_count=50)
    return JsonResponse({"method": request.method, "posted": dict(request.POST.lists())})


urlpatterns = [*urls_of_the_site, path("send-to-50/", send)]


@pytest.fixture
def client(bob: User, settings: LazySettings) -> Client:
    """A client in which bob signed in an hour ago."""
    settings.REAUTHENTICATE_ABOVE = 49
    client = Client(enforce_csrf_checks=False)
    client.post("/accounts/login/", {"username": "bob", "password": PASSWORD})
    make_proof_older(client, seconds=3600)
    return client


def make_proof_older(client: Client, *, seconds: float) -> None:
    session = client.session
    for record in session[AUTHENTICATION_METHODS_SESSION_KEY]:
        record["at"] -= seconds
    session.save()


def send_form(client: Client) -> Any:
    return client.post("/send-to-50/", {"subject": "Grüße & more", "choice": ["a", "b"]})


def test_form_is_carried_out_as_it_was_posted_after_the_proof(client: Client, bob: User) -> None:
    asked = send_form(client)
    assert asked.status_code == 302
    assert asked.headers["Location"].startswith("/accounts/reauthenticate/?next=")
    page = client.get(asked.headers["Location"])
    assert "Is it still you?" in page.content.decode()
    answer = client.post(asked.headers["Location"], {"password": PASSWORD, "next": "/send-to-50/"})
    assert answer.json() == {"method": "POST", "posted": {"subject": ["Grüße & more"], "choice": ["a", "b"]}}
    assert AuditEntry.objects.filter(action=AuditAction.REAUTHENTICATE, target_id=str(bob.pk)).exists()


def test_nothing_is_carried_out_without_the_proof(client: Client) -> None:
    asked = send_form(client)
    wrong = client.post(asked.headers["Location"], {"password": "wrong"})
    assert wrong.status_code == 200 and "Incorrect password." in wrong.content.decode()
    assert send_form(client).status_code == 302


def test_nothing_is_asked_when_the_proof_is_new_or_the_list_small(client: Client, settings: LazySettings) -> None:
    settings.REAUTHENTICATE_ABOVE = 50
    assert send_form(client).status_code == 200
    settings.REAUTHENTICATE_ABOVE = 0
    assert send_form(client).status_code == 200
    settings.REAUTHENTICATE_ABOVE, settings.REAUTHENTICATE_SECONDS = 1, 7200
    assert send_form(client).status_code == 200


def test_proof_of_another_user_does_not_count(client: Client, bob: User) -> None:
    request = send_form(client).wsgi_request
    records = [{"method": "password", "at": time.time()}]
    request.session[AUTHENTICATION_METHODS_SESSION_KEY] = records
    request.session["account_authentication_methods_user"] = "another"
    assert needs_proof(request, recipient_count=50)


@pytest.fixture
def large(bob: User, settings: LazySettings, welcome: EmailTemplate, make_batch: MakeBatch) -> Batch:
    """A draft of bob's that is one recipient too large."""
    bob.groups.add(Group.objects.get(name="Senders"))
    settings.REAUTHENTICATE_ABOVE = 1
    return make_batch(owner=bob, pending=2)


def test_large_send_of_a_page_is_carried_out_after_the_proof(client: Client, large: Batch) -> None:
    form = {"template": "welcome_email", "subject": "Grüße", "reviewed": read_digest(client, large)}
    address = f"/batches/{large.pk}/review/send/"
    asked = client.post(address, form)
    assert asked.headers["Location"] == f"/accounts/reauthenticate/?next={address.replace('/', '%2F')}"
    assert not large.jobs.exists()
    answer = client.post("/accounts/reauthenticate/", {"password": PASSWORD, "next": address})
    assert answer.headers["Location"] == f"/batches/{large.pk}/"
    assert large.jobs.get().subject == "Grüße"


def read_digest(client: Client, batch: Batch) -> str:
    """Read the reviewed digest as a page has it."""
    text = client.get(f"/batches/{batch.pk}/review/?template=welcome_email&subject=Grüße").content.decode()
    found = re.search(r'name="reviewed" value="(\w+)"', text)
    assert found, text
    return found[1]


def test_large_upload_stays_a_draft_until_the_proof(client: Client, large: Batch) -> None:
    file = SimpleUploadedFile("list.csv", b"email,name\na@example.org,A\nb@example.org,B\n")
    form = {"file": file, "template": "welcome_email", "then": "send", "key": "k", "subject": "x"}
    answer = client.post("/", form)
    question = client.get(answer.headers["Location"]).content.decode()
    fields = dict(re.findall(r'<input type="hidden" name="(\w+)" value="([^"]*)">', question))
    batch = Batch.objects.latest("pk")
    asked = client.post(f"/batches/{batch.pk}/review/send/", fields)
    assert asked.headers["Location"].startswith("/accounts/reauthenticate/")
    assert not EmailJob.objects.exists()


@pytest.mark.parametrize("path", ["send", "replay"])
def test_session_of_the_api_is_asked_and_a_token_is_not(client: Client, large: Batch, path: str, bob: User) -> None:
    address, body = f"/api/batches/{large.pk}/{path}", {"which": "all"} if path == "replay" else {}
    answer = client.post(address, body, content_type="application/json")
    assert answer.status_code == 403 and "/accounts/reauthenticate/" in answer.json()["detail"]
    assert not large.jobs.exists()
    token = make_token(bob, name="a program")
    sent = Client().post(address, body, content_type="application/json", headers={"Authorization": f"Bearer {token}"})
    assert "reauthenticate" not in sent.content.decode()
    assert sent.status_code == (202 if path == "send" else 409)


def test_replay_of_a_large_batch_is_asked_for(client: Client, large: Batch) -> None:
    Batch.objects.update(status=BatchStatus.COMPLETED)
    answer = client.post(f"/batches/{large.pk}/replay-failed/")
    assert answer.headers["Location"].startswith("/accounts/reauthenticate/")


def test_admin_asks_before_a_large_send_to_users(
    client: Client, large: Batch, bob: User, welcome: EmailTemplate
) -> None:
    User.objects.filter(pk=bob.pk).update(is_superuser=True, is_staff=True)
    people = [User.objects.create_user(f"m{number}", f"m{number}@example.org").pk for number in range(2)]
    form = {"action": "send_email", "_selected_action": people, "count": "2", "template": "welcome_email"}
    form |= {"key": str(uuid.uuid4()), "subject": "Hi"}
    asked = client.post("/admin/auth/user/", form)
    assert asked.headers["Location"].startswith("/accounts/reauthenticate/")
    assert not EmailJob.objects.exists()
    client.post("/accounts/reauthenticate/", {"password": PASSWORD, "next": "/admin/auth/user/"})
    assert EmailJob.objects.get().total_count == 2


def test_admin_asks_before_a_token_is_made(client: Client, bob: User) -> None:
    User.objects.filter(pk=bob.pk).update(is_superuser=True, is_staff=True)
    form = {"user": bob.pk, "name": "x", "scopes": ["read"], "days": "7"}
    address = "/admin/batches/apitoken/add/"
    assert client.post(address, form).headers["Location"].startswith("/accounts/reauthenticate/")
    assert not ApiToken.objects.exists()
    answer = client.post("/accounts/reauthenticate/", {"password": PASSWORD, "next": address})
    assert 'id="token"' in answer.content.decode()
    assert ApiToken.objects.get().name == "x"
