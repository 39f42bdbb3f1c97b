"""The parts of a batch's page that its script fetches, and what the page says while the batch runs."""

from __future__ import annotations

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from batches.models import Batch, BatchStatus, JobStatus
from tests.conftest import MakeBatch, MakeJob, MakeUser


@pytest.fixture
def live(make_batch: MakeBatch, make_job: MakeJob) -> Batch:
    """A live batch: row 2 is sent, row 3 failed, four are pending."""
    batch = make_batch(BatchStatus.PROCESSING, sent=1, failed=1, pending=4, rejected=2)
    make_job(batch, JobStatus.PROCESSING)
    return batch


def test_part_holds_only_what_was_asked_when_the_script_asks(page: Client, live: Batch) -> None:
    address = reverse("batch", args=[live.pk])
    rows = page.get(address, {"part": "rows", "status": "failed"}).content.decode()
    assert 'id="rows"' in rows and "person3@example.org" in rows
    assert "<html" not in rows and 'id="came-back"' not in rows
    assert "part=" not in rows
    both = page.get(address, {"part": ["notes", "rows"]}).content.decode()
    assert 'id="rows"' in both and 'id="came-back"' in both
    assert page.get(address, {"part": "nonsense"}).content == b""


def test_part_is_not_sent_again_when_nothing_changed(page: Client, live: Batch) -> None:
    address = reverse("batch", args=[live.pk])
    first = page.get(address, {"part": "rows"})
    again = page.get(address, {"part": "rows"}, headers={"If-None-Match": first.headers["ETag"]})
    assert (again.status_code, again.content) == (304, b"")


def test_part_is_rendered_once_when_two_users_with_the_same_rights_ask_together(
    live: Batch, make_user: MakeUser
) -> None:
    clients = [Client(), Client()]
    for number, client in enumerate(clients):
        client.force_login(make_user(f"auditor{number}", "Auditors"))
    address = reverse("batch", args=[live.pk])
    first = clients[0].get(address, {"part": "rows"})
    with CaptureQueriesContext(connection) as queries:
        second = clients[1].get(address, {"part": "rows"})
    assert second.content == first.content
    assert not any("batches_email" in query["sql"] for query in queries)


def test_part_is_not_found_when_the_batch_is_another_users(live: Batch, make_user: MakeUser, page: Client) -> None:
    address = reverse("batch", args=[live.pk])
    assert page.get(address, {"part": "rows"}).status_code == 200
    stranger = Client()
    stranger.force_login(make_user("stranger", "Senders"))
    assert stranger.get(address, {"part": "rows"}).status_code == 404


def test_title_says_how_far_the_batch_is_while_it_runs(page: Client, live: Batch) -> None:
    html = page.get(reverse("batch", args=[live.pk])).content.decode()
    assert "<title>33 % · list.csv · Email Batch</title>" in html
    Batch.objects.filter(pk=live.pk).update(status=BatchStatus.PAUSED)
    assert "<title>list.csv · Email Batch</title>" in page.get(reverse("batch", args=[live.pk])).content.decode()
