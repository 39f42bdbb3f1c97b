"""The failures of a batch by what the mail server said, and sending to one group of them again."""

from __future__ import annotations

import json
import re

import pytest
from django.conf import LazySettings
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from batches.exports.export import Export, FileKind, name_file, write_export
from batches.jobs import approvals
from batches.jobs.failure_groups import LOOKED_AT_MAX, find_key, group_failures
from batches.models import Attempt, Batch, BatchStatus, EmailStatus, JobKind, JobStatus, Lane
from batches.outcomes import Outcome
from tests.conftest import MakeBatch, MakeJob, MakeUser

GONE = "550 No such user …"
FULL = "552 Mailbox full"


@pytest.fixture
def failed(make_batch: MakeBatch, make_job: MakeJob) -> Batch:
    """Five failed: rows 3 to 5 have no such user, one of them at example.com, and rows 6 and 7 are full."""
    batch = make_batch(BatchStatus.COMPLETED, sent=1, failed=5)
    make_job(batch, JobStatus.COMPLETED, completed_at=timezone.now())
    for row in (3, 4, 5):
        batch.emails.filter(row=row).update(code=550, reply=f"No such user person{row}@example.org", attempts=1)
    batch.emails.filter(row=5).update(address="five@example.com")
    batch.emails.filter(row__in=(6, 7)).update(code=552, reply="Mailbox full", attempts=1)
    return batch


def words_of(page: Client, address: str, **query: str) -> str:
    text = page.get(address, query).content.decode()
    return " ".join(re.sub(r"<[^>]+>", " ", text).split())


def test_page_groups_failures_by_answer_and_domain(page: Client, failed: Batch) -> None:
    words = words_of(page, reverse("batch", args=[failed.pk]))
    assert "3 550 No such user … at example.org: 2 , at example.com: 1" in words
    assert "2 552 Mailbox full at example.org: 2" in words
    assert "Send again" in words


def test_group_lists_only_its_recipients(page: Client, failed: Batch) -> None:
    address = reverse("failures", args=[failed.pk, find_key(GONE)])
    words = words_of(page, address)
    assert "person3@example.org" in words and "five@example.com" in words and "person6@example.org" not in words
    assert "3 recipients got this answer" in words
    words = words_of(page, address, at="example.com")
    assert "five@example.com" in words and "person3@example.org" not in words
    assert page.get(reverse("failures", args=[failed.pk, "0" * 16])).status_code == 404


@pytest.mark.parametrize(
    ("words", "domain", "people"),
    [
        (FULL, "", ["person6@example.org", "person7@example.org"]),
        (GONE, "", ["person3@example.org", "person4@example.org", "five@example.com"]),
        (GONE, "example.com", ["five@example.com"]),
    ],
)
def test_download_has_only_the_rows_of_the_group(
    failed: Batch, words: str, domain: str, people: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("batches.exports.cells.FIRST_PAGE_ROWS", 1)  # so that a page has none of them
    wanted = Export(batch_id=failed.pk, rows="results", kind=FileKind.LOCAL_CSV, failure=find_key(words), domain=domain)
    lines = b"".join(write_export(failed, wanted)).decode().splitlines()
    assert [line.split(",")[1] for line in lines[1:]] == people
    assert name_file(failed, wanted) == "list-failed-results.csv"


def test_group_is_downloaded_in_pieces_when_its_link_is_followed(page: Client, failed: Batch) -> None:
    text = page.get(reverse("failures", args=[failed.pk, find_key(GONE)]), {"at": "example.com"}).content.decode()
    address = f"/api/batches/{failed.pk}/results.csv?local=true&amp;failure={find_key(GONE)}&amp;at=example.com"
    assert f'href="{address}"' in text
    assert (
        f'href="{address.removesuffix("&amp;at=example.com")}"' in page.get(f"/batches/{failed.pk}/").content.decode()
    )


@pytest.mark.parametrize(("domain", "rows"), [("", {3, 4, 5}), ("example.org", {3, 4})])
def test_only_the_group_is_sent_again(page: Client, failed: Batch, domain: str, rows: set[int]) -> None:
    address = reverse("failures-send", args=[failed.pk, find_key(GONE)])
    text = page.post(address, {"at": domain}, follow=True).content.decode()
    assert f"{len(rows)} emails are being sent again." in text
    job = failed.jobs.get(completed_at=None)
    assert (job.kind, job.total_count) == (JobKind.FAILED, len(rows))
    assert job.failure_words == (f"{GONE}, at {domain}" if domain else GONE)
    pending = failed.emails.filter(status=EmailStatus.PENDING)
    assert set(pending.values_list("row", flat=True)) == rows
    assert "The failed sent again: 550 No such user" in text


def test_group_is_refused_when_the_batch_is_being_sent(page: Client, failed: Batch) -> None:
    address = reverse("failures-send", args=[failed.pk, find_key(GONE)])
    page.post(address)
    assert (
        "is being sent. Wait until it has ended"
        in page.post(reverse("failures-send", args=[failed.pk, find_key(FULL)]), follow=True).content.decode()
    )
    assert failed.jobs.count() == 2


def test_group_waits_for_approval_when_it_is_large(
    page: Client, failed: Batch, settings: LazySettings, make_user: MakeUser
) -> None:
    settings.APPROVAL_ABOVE = 2
    page.post(reverse("failures-send", args=[failed.pk, find_key(GONE)]))
    assert failed.jobs.count() == 1
    asked = failed.approvals.get()
    assert asked.recipient_count == 3
    job = approvals.approve(failed, digest=asked.digest, by=make_user("boss", "Approvers"))
    assert job.total_count == 3
    assert set(failed.emails.filter(status=EmailStatus.PENDING).values_list("row", flat=True)) == {3, 4, 5}


def test_few_failures_are_found_by_their_attempts(failed: Batch) -> None:
    lane = Lane.objects.create(job=failed.jobs.get(), number=0)
    Attempt.objects.bulk_create(
        Attempt(email=email, lane=lane, number=1, outcome=Outcome.FAILED, code=email.code, reply=email.reply)
        for email in failed.emails.filter(status=EmailStatus.FAILED)
    )
    with CaptureQueriesContext(connection) as queries:
        found = group_failures(failed, 5)
    assert [(group.words, group.count) for group in found.groups] == [(GONE, 3), (FULL, 2)]
    assert len(queries) == 1


def test_group_of_the_first_failures_says_so_when_there_are_more(
    page: Client, failed: Batch, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("batches.jobs.failure_groups.LOOKED_AT_MAX", 2)
    words = words_of(page, reverse("failures", args=[failed.pk, find_key(GONE)]))
    assert "2 recipients got this answer" in words and "Of the first 2 failures. The download has all of them." in words
    assert "Send again to all who got this answer" in words and "five@example.com" not in words


def test_group_of_another_user_is_not_found(failed: Batch, make_user: MakeUser) -> None:
    stranger = Client()
    stranger.force_login(make_user("stranger", "Senders"))
    assert stranger.get(reverse("failures", args=[failed.pk, find_key(GONE)])).status_code == 404
    assert stranger.post(reverse("failures-send", args=[failed.pk, find_key(GONE)])).status_code == 404


def test_groups_are_of_the_first_failures_when_there_are_many(failed: Batch, monkeypatch: pytest.MonkeyPatch) -> None:
    assert group_failures(failed, 5).scope == ""
    monkeypatch.setattr("batches.jobs.failure_groups.LOOKED_AT_MAX", 4)
    found = group_failures(failed, 5)
    assert [group.count for group in found.groups] == [3, 1]
    assert found.scope == "Of the first 4 failures."
    assert LOOKED_AT_MAX >= 10_000


def test_group_is_listed_and_sent_again_by_the_api(page: Client, failed: Batch) -> None:
    found = page.get(f"/api/batches/{failed.pk}/failures").json()
    assert [(group["key"], group["words"], group["count"]) for group in found["groups"]] == [
        (find_key(GONE), GONE, 3),
        (find_key(FULL), FULL, 2),
    ]
    assert found["groups"][0]["domains"][1] == {"domain": "example.com", "count": 1}
    assert (found["otherCount"], found["isPartial"]) == (0, False)

    def replay(**body: str) -> tuple[int, dict[str, object]]:
        answer = page.post(f"/api/batches/{failed.pk}/replay", json.dumps(body), content_type="application/json")
        return answer.status_code, answer.json()

    key = find_key(GONE)
    assert replay(which="all", failure=key)[0] == 422
    assert replay(which="failed", domain="example.com")[0] == 422
    status, answer = replay(which="failed", failure="0" * 16)
    assert status == 409 and "No failed email of this batch has this answer now." in str(answer["detail"])
    status, answer = replay(which="failed", failure=key, domain="example.com")
    assert (status, answer["totalCount"]) == (202, 1)
    assert set(failed.emails.filter(status=EmailStatus.PENDING).values_list("row", flat=True)) == {5}
