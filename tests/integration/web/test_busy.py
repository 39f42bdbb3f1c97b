"""The page that says that too many templates are being rendered."""

from __future__ import annotations

from io import BytesIO

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from batches import intake
from batches.models import BatchStatus, EmailJob, EmailTemplate, JobStatus
from batches.rendering import places
from tests.conftest import MakeBatch, MakeJob

NOT_PLAIN = "{% if name %}Dear {{ name }}{% endif %}"


@pytest.mark.parametrize(("name", "is_form"), [("review", False), ("review-test", True)])
def test_link_to_try_again_is_offered_only_for_a_page(
    client: Client, sender: User, monkeypatch: pytest.MonkeyPatch, name: str, is_form: bool
) -> None:
    monkeypatch.setattr(places, "WAIT_SECONDS", 0.1)
    EmailTemplate.objects.create(key="letter", name="Letter", subject="S", text=NOT_PLAIN)
    batch = intake.import_csv(BytesIO(b"email,name\na@x.org,Ann\n"), filename="list.csv", user=sender).batch
    client.force_login(sender)
    form = {"template": "letter", "to": "me@x.org", "subject": ""}
    with places.hold_place(sender.pk):
        ask = client.post if is_form else client.get
        response = ask(reverse(name, args=[batch.pk]), form)
    assert response.status_code == 429 and int(response["Retry-After"]) > 0
    page = response.content.decode()
    assert (">Try again</a>" in page) is not is_form
    assert ("send the form again" in page) is is_form


@pytest.mark.parametrize("name", ["batch", "recipient", "recipient-message"])
def test_page_says_so_in_place_of_the_message_when_it_has_more_to_show(
    page: Client, sender: User, make_batch: MakeBatch, make_job: MakeJob, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    """Whether somebody has got the mail is said, however many templates are being rendered."""
    monkeypatch.setattr(places, "WAIT_SECONDS", 0.1)
    batch = make_batch(BatchStatus.COMPLETED, sent=1)
    job = make_job(batch, JobStatus.COMPLETED, completed_at=timezone.now())
    EmailJob.objects.filter(pk=job.pk).update(text=NOT_PLAIN, html="")
    with places.hold_place(sender.pk):
        response = page.get(reverse(name, args=[batch.pk] if name == "batch" else [batch.pk, 2]))
    text = response.content.decode()
    assert response.status_code == 200 and "Too many templates are being rendered right now." in text
    assert name == "recipient-message" or "person2@example.org" in text
