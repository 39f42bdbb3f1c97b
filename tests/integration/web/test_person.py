"""The page of one person: who may open it, what it shows, and what the audit notes."""

from __future__ import annotations

import json
import re

import pytest
from allauth.account.authentication import AUTHENTICATION_METHODS_SESSION_KEY
from django.contrib.auth.models import Group, Permission, User
from django.test import Client
from django.urls import reverse

from batches import permissions
from batches.models import AuditAction, AuditEntry, Batch, BatchStatus, SuppressionReason, Topic
from batches.suppressions import digest_address, is_suppressed, suppress
from tests.conftest import MakeBatch

pytestmark = pytest.mark.django_db

ADDRESS = "person2@example.org"
PASSWORD = "a long one 42"
PLACES = ("person", "person-export", "person-erase")


@pytest.fixture
def auditor(client: Client) -> Client:
    """A client in which an auditor gave the password just now."""
    user = User.objects.create_user("auditor", "auditor@example.org", PASSWORD)
    user.user_permissions.add(Permission.objects.get(codename=permissions.Permission.VIEW_AUDIT.codename))
    client.post("/accounts/login/", {"username": "auditor", "password": PASSWORD})
    return client


def make_proof_older(client: Client, *, seconds: float) -> None:
    session = client.session
    for record in session[AUTHENTICATION_METHODS_SESSION_KEY]:
        record["at"] -= seconds
    session.save()


@pytest.fixture
def batch(make_batch: MakeBatch) -> Batch:
    return make_batch(BatchStatus.COMPLETED, sent=2)


def read(client: Client, name: str, **fields: str) -> str:
    text = client.post(reverse(name), fields).content.decode()
    return " ".join(re.sub(r"<[^>]+>", " ", text).split())


@pytest.mark.parametrize("name", PLACES)
def test_page_is_closed_to_those_who_may_not_read_the_audit(page: Client, staff: User, batch: Batch, name: str) -> None:
    Group.objects.get_or_create(name="Auditors")
    assert page.post(reverse(name), {"address": ADDRESS, "again": ADDRESS}).status_code == 403
    assert not is_suppressed(ADDRESS)


@pytest.mark.parametrize("name", PLACES)
def test_stranger_is_sent_to_the_sign_in(client: Client, name: str) -> None:
    assert client.post(reverse(name), {"address": ADDRESS}).status_code == 302


def test_search_shows_what_there_is_and_links_the_batches(auditor: Client, batch: Batch) -> None:
    words = read(auditor, "person", address="PERSON2@example.org")
    assert "Emails 1" in words
    assert f"list.csv ({batch.pk})" in words
    [entry] = AuditEntry.objects.filter(action=AuditAction.PERSON_SEARCH)
    assert entry.details == {"person": digest_address(ADDRESS)}


def test_search_takes_an_address_as_people_write_it(auditor: Client, batch: Batch) -> None:
    batch.emails.filter(row=2).update(address="zoë@xn--bcher-kva.example")
    for typed in ("zoë@bücher.example", "Zoë <ZOË@xn--bcher-kva.example>"):
        assert "Emails 1" in read(auditor, "person", address=typed)
    assert 'type="email"' not in auditor.get(reverse("person")).content.decode()


def test_search_says_so_when_nothing_is_there(auditor: Client, batch: Batch) -> None:
    assert "Nothing was found" in read(auditor, "person", address="nobody@example.org")


@pytest.mark.parametrize("address", ["", "nobody", "a@example.org, b@example.org", "\x00", "x" * 600])
def test_text_that_is_no_address_is_refused_with_a_sentence(auditor: Client, address: str) -> None:
    for name in PLACES:
        answer = auditor.post(reverse(name), {"address": address, "again": address})
        assert answer.status_code == 422, (name, answer)
        assert 'class="error"' in answer.content.decode()
    assert not AuditEntry.objects.filter(action__startswith="person").exists()


def test_download_has_everything_and_no_address_in_its_name(auditor: Client, batch: Batch) -> None:
    answer = auditor.post(reverse("person-export"), {"address": ADDRESS})
    assert [email["address"] for email in json.loads(answer.content)["emails"]] == [ADDRESS]
    assert answer.headers["Content-Disposition"] == 'attachment; filename="person.json"'
    assert "no-store" in answer.headers["Cache-Control"]
    assert AuditEntry.objects.filter(action=AuditAction.PERSON_EXPORT).count() == 1


def test_erasure_wants_the_address_twice(auditor: Client, batch: Batch) -> None:
    answer = auditor.post(reverse("person-erase"), {"address": ADDRESS, "again": "person3@example.org"})
    assert answer.status_code == 422
    assert "not the same address" in answer.content.decode()
    assert batch.emails.filter(address=ADDRESS).exists()


def test_erasure_says_what_was_removed(auditor: Client, batch: Batch) -> None:
    answer = auditor.post(reverse("person-erase"), {"address": ADDRESS, "again": " Person2@Example.org"}, follow=True)
    words = answer.content.decode()
    assert "Removed: emails 1." in words
    assert ADDRESS not in words
    assert not batch.emails.filter(address=ADDRESS).exists()
    entry = AuditEntry.objects.get(action=AuditAction.PERSON_ERASE)
    assert entry.details == {"person": digest_address(ADDRESS)}


def test_erasure_asks_for_the_password_and_is_then_carried_out(auditor: Client, batch: Batch) -> None:
    make_proof_older(auditor, seconds=3600)
    asked = auditor.post(reverse("person-erase"), {"address": ADDRESS, "again": ADDRESS})
    assert asked.headers["Location"].startswith("/accounts/reauthenticate/?next=")
    assert batch.emails.filter(address=ADDRESS).exists()
    answer = auditor.post(
        asked.headers["Location"], {"password": PASSWORD, "next": reverse("person-erase")}, follow=True
    )
    assert "Removed: emails 1" in answer.content.decode()
    assert not batch.emails.filter(address=ADDRESS).exists()
    assert ADDRESS not in str(dict(auditor.session))


def test_page_is_not_kept_by_a_cache(auditor: Client) -> None:
    assert "no-store" in auditor.get(reverse("person")).headers["Cache-Control"]


def test_batch_page_says_when_its_addresses_were_removed(page: Client, batch: Batch) -> None:
    address = reverse("batch", args=[batch.pk])
    before = page.get(address).content.decode()
    assert "were removed" not in before
    assert "replay-failed" in before
    Batch.objects.filter(pk=batch.pk).update(purged_at="2026-03-31T12:00:00Z")
    batch.emails.update(address="", fields=[])
    html = page.get(address).content.decode()
    assert re.search(r"The addresses of this batch were removed on <time [^>]+>31 March 2026</time>, with", html)
    assert '<span class="soft">removed</span>' in html
    assert "replay-failed" not in html


def test_page_says_why_and_of_what_the_person_gets_no_mail(auditor: Client) -> None:
    assert "do-not-send" not in read(auditor, "person", address=ADDRESS)
    suppress(ADDRESS, reason=SuppressionReason.UNSUBSCRIBED, topic=Topic.objects.get(key="news"))
    suppress(ADDRESS, reason=SuppressionReason.BOUNCED)
    text = read(auditor, "person", address=ADDRESS)
    assert "on the do-not-send list: unsubscribed (News), mail came back" in text
