"""The message that one recipient of a batch got, as a frame shows it."""

from __future__ import annotations

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from batches.models import Attempt, Batch, BatchStatus, EmailTemplate, JobKind, JobStatus, Lane
from batches.outcomes import Outcome
from batches.web.sent_message import open_links_in_tabs, read_sent_message
from tests.conftest import MakeBatch, MakeJob


@pytest.fixture
def sent(make_batch: MakeBatch, make_job: MakeJob) -> Batch:
    batch = make_batch(BatchStatus.COMPLETED, sent=2)
    make_job(batch, JobStatus.COMPLETED, completed_at=timezone.now())
    return batch


def address_of(batch: Batch, row: int) -> str:
    return reverse("recipient-message", args=[batch.pk, row])


def test_message_is_that_of_the_recipient_when_the_batch_was_sent(page: Client, sent: Batch) -> None:
    answer = page.get(address_of(sent, 3))
    assert answer.content.decode() == '<base target="_blank"><p>Dear Person 3</p>'
    text = page.get(address_of(sent, 3), {"kind": "text"})
    assert text.content.decode() == "Dear Person 3"
    assert text.headers["Content-Type"] == "text/plain; charset=utf-8"
    for each in (answer, text):
        assert "default-src 'none'" in each.headers["Content-Security-Policy"]
        assert each.headers["Referrer-Policy"] == "no-referrer"


def test_message_stays_as_it_was_when_the_template_is_changed_later(
    page: Client, sent: Batch, welcome: EmailTemplate
) -> None:
    EmailTemplate.objects.filter(pk=welcome.pk).update(html="<p>Another text</p>")
    assert "Dear Person 2" in page.get(address_of(sent, 2)).content.decode()


def test_message_is_that_of_the_job_that_made_the_record_when_there_were_several(
    page: Client, sent: Batch, make_job: MakeJob
) -> None:
    first = sent.jobs.get()
    email = sent.emails.get(row=2)
    lane = Lane.objects.create(job=first, number=0)
    Attempt.objects.create(email=email, lane=lane, number=1, outcome=Outcome.SENT, code=250)
    sent.emails.filter(row=2).update(attempts=1, lane=lane)
    later = make_job(sent, JobStatus.COMPLETED, kind=JobKind.FAILED, completed_at=timezone.now())
    type(later).objects.filter(pk=later.pk).update(html="<p>Again</p>")
    assert "Dear Person 2" in page.get(address_of(sent, 2)).content.decode()
    assert "Again" in page.get(address_of(sent, 3)).content.decode()


def test_sentence_says_that_the_data_were_removed_when_the_batch_was_purged(page: Client, sent: Batch) -> None:
    sent.emails.update(address="", fields=[])
    assert "were removed" in page.get(address_of(sent, 2)).content.decode()


def test_message_is_not_found_when_the_batch_is_a_draft_or_another_users(
    page: Client, make_batch: MakeBatch, make_user: object, sent: Batch
) -> None:
    assert page.get(address_of(make_batch(pending=1), 2)).status_code == 404
    assert page.get(address_of(sent, 99)).status_code == 404
    stranger = Client()
    stranger.force_login(User.objects.create_user("stranger"))
    assert stranger.get(address_of(sent, 2)).status_code == 404


def test_fault_is_kept_apart_from_the_message_when_it_can_not_be_rendered(sent: Batch) -> None:
    sent.jobs.update(html="{{ name")
    email = sent.emails.with_state().get(row=2)
    found = read_sent_message(sent, email, user_id=None)
    assert found is not None
    assert found.message is None and found.fault
    assert found.comes_from.address == "from@example.org"


@pytest.mark.parametrize(
    ("html", "expected"),
    [
        ("<p>a</p>", '<base target="_blank"><p>a</p>'),
        ("<!doctype html><html>", '<!doctype html><base target="_blank"><html>'),
        ("<!-- x -->\n<!DOCTYPE html>\n<p>", '<!-- x -->\n<!DOCTYPE html><base target="_blank">\n<p>'),
    ],
)
def test_base_comes_after_the_document_type(html: str, expected: str) -> None:
    assert open_links_in_tabs(html) == expected
