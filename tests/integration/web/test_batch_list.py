"""The list of batches, and what its form finds."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from batches.models import Batch, BatchStatus, JobStatus
from tests.conftest import MakeBatch, MakeJob, MakeUser


@pytest.fixture
def several(make_batch: MakeBatch, make_job: MakeJob) -> dict[str, Batch]:
    """A sent batch with a name, a failed one, a draft of last year, and a test."""
    sent, failed = make_batch(BatchStatus.COMPLETED, sent=1), make_batch(BatchStatus.FAILED, failed=1)
    draft, test = make_batch(pending=1), make_batch(BatchStatus.COMPLETED, sent=1)
    make_job(sent, JobStatus.COMPLETED, completed_at=timezone.now())
    Batch.objects.filter(pk=sent.pk).update(name="November letter")
    Batch.objects.filter(pk=draft.pk).update(created_at=timezone.now() - timedelta(days=365))
    Batch.objects.filter(pk=test.pk).update(is_test=True)
    return {"sent": sent, "failed": failed, "draft": draft, "test": test}


@pytest.mark.parametrize(
    ("query", "names"),
    [
        ({}, ["draft", "failed", "sent"]),
        ({"tests": "only"}, ["test"]),
        ({"q": "november"}, ["sent"]),
        ({"q": "letter NOVEMBER"}, ["sent"]),
        ({"q": "hello"}, ["sent"]),  # the subject
        ({"q": "list.csv"}, ["draft", "failed", "sent"]),
        ({"q": "xyz"}, []),
        ({"status": "failed"}, ["failed"]),
        ({"template": "welcome_email"}, ["sent"]),
        ({"since": "2020-01-01", "status": "draft"}, ["draft"]),
        ({"until": "2020-01-01"}, []),
        ({"since": "0001-01-01", "until": "9999-12-31"}, ["draft", "failed", "sent"]),
        ({"q": "%"}, []),
        ({"q": "_ist"}, []),
    ],
)
def test_batches_are_found_when_the_form_asks(
    page: Client, several: dict[str, Batch], query: dict[str, str], names: list[str]
) -> None:
    shown = page.get(reverse("batches"), query).context["page"].rows
    assert [batch.pk for batch in shown] == [several[name].pk for name in names]


def test_batches_of_one_user_are_found_when_all_may_be_seen(
    staff: User, several: dict[str, Batch], make_batch: MakeBatch, make_user: MakeUser
) -> None:
    client = Client()
    client.force_login(staff)
    other = make_user("other", "Senders")
    mine = make_batch(owner=other)
    shown = client.get(reverse("batches"), {"who": str(other.pk)}).context["page"].rows
    assert [batch.pk for batch in shown] == [mine.pk]


def test_form_has_no_users_when_only_own_batches_may_be_seen(page: Client, several: dict[str, Batch]) -> None:
    assert "who" not in page.get(reverse("batches")).context["form"].fields


def test_page_says_what_to_do_when_no_batch_is_found(page: Client, several: dict[str, Batch]) -> None:
    html = page.get(reverse("batches"), {"q": "xyz"}).content.decode()
    assert "No batch is like that." in html
    assert "data-page" not in page.get(reverse("batches"), {"status": "failed"}).content.decode()


@pytest.mark.parametrize("query", [{"status": "odd"}, {"since": "x"}, {"template": "missing"}])
def test_nothing_is_listed_when_the_form_is_faulty(
    page: Client, several: dict[str, Batch], query: dict[str, str]
) -> None:
    answer = page.get(reverse("batches"), query)
    assert answer.status_code == 200 and not answer.context["page"].rows
