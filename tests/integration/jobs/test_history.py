"""What became of each recipient is told the same everywhere: in the API, in results.csv, on the page, in the admin."""

from __future__ import annotations

import csv
import io
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.utils import timezone

from batches.exports import export
from batches.jobs import lifecycle
from batches.models import Batch, EmailStatus, JobKind
from tests.integration.jobs.conftest import SendAll
from tests.integration.jobs.whole_jobs import replay, run_to_end
from tests.smtpserver import Rule, RunningServer

ADDRESSES = ["good-a@x.org", "fail-b@x.org", "good-c@x.org"]


@pytest.fixture
def client(transactional_db: None) -> Client:
    client = Client()
    client.force_login(User.objects.create_superuser("root"))
    return client


def listed(client: Client, batch: Batch, query: str = "") -> list[dict[str, Any]]:
    answer = client.get(f"/api/batches/{batch.pk}/emails{query}")
    assert answer.status_code == 200
    items: list[dict[str, Any]] = answer.json()["items"]
    return items


def exported(batch: Batch) -> list[dict[str, str]]:
    batch.columns = ["email", *batch.merge_fields]
    text = b"".join(export.results_csv(batch)).decode("utf-8-sig")
    return list(csv.DictReader(io.StringIO(text, newline="")))


def test_record_and_history_are_told_everywhere_while_a_replay_of_all_waits(
    relay: RunningServer, send_all: SendAll, client: Client
) -> None:
    batch = send_all(addresses=ADDRESSES)
    first = batch.jobs.get()
    before = listed(client, batch)
    replay(batch)
    lifecycle.pause_batch(batch)

    for was, item in zip(before, listed(client, batch), strict=True):
        if was["status"] == EmailStatus.FAILED:
            assert (item["status"], item["jobId"], item["sentAt"], item["resending"]) == ("pending", None, None, False)
        else:
            assert {**item, "attempts": 1, "resending": False} == was
            assert item["resending"]
        assert item["history"] == was["history"] and item["history"][0]["jobId"] == first.pk
    assert [item["row"] for item in listed(client, batch, "?status=sent")] == [2, 4]
    assert [item["row"] for item in listed(client, batch, "?status=pending")] == [3]

    rows = exported(batch)
    assert [(row["status"], row["code"], row["job"]) for row in rows] == [
        ("sent", "250", str(first.pk)),
        ("pending", "", ""),
        ("sent", "250", str(first.pk)),
    ]
    assert all(f"job {first.pk} (first send): " in row["history"] and "through " in row["history"] for row in rows)
    assert "failed, 550 " in rows[1]["history"]

    page = client.get(f"/batches/{batch.pk}/").content.decode()
    assert page.count("It is being sent again") == 2
    assert page.count(">Sent</span>") == 2
    assert page.count("The attempt before") == 1  # of the row that failed
    assert page.count('data-label="Attempts">1</td>') == 3
    described = client.get(f"/api/batches/{batch.pk}").json()
    assert (described["sentCount"], described["pendingCount"], described["resendingCount"]) == (2, 3, 2)
    shown = client.get(f"/admin/batches/email/{batch.emails.get(row=2).pk}/change/").content.decode()
    assert f"job {first.pk} (first send): sent, 250" in shown


def test_history_has_every_job_when_a_replay_of_all_is_refused(
    relay: RunningServer, send_all: SendAll, client: Client
) -> None:
    batch = send_all(addresses=ADDRESSES)
    first = batch.jobs.get()
    relay.configure(
        address_faults=False, rules=(Rule(stage="rcpt", action="550 5.1.1 No such user", recipient="good-a@"),)
    )
    second = run_to_end(replay(batch))
    kept, gained, again = listed(client, batch)
    assert (kept["status"], kept["code"], kept["jobId"]) == ("sent", 250, first.pk)
    assert [(each["jobId"], each["jobKind"], each["outcome"], each["code"]) for each in kept["history"]] == [
        (first.pk, "first", "sent", 250),
        (second.pk, "all", "failed", 550),
    ]
    assert (gained["status"], gained["jobId"]) == (again["status"], again["jobId"]) == ("sent", second.pk)
    assert again["sentAt"] > again["history"][0]["at"]
    assert [row["history"].count(" | ") for row in exported(batch)] == [1, 1, 1]
    page = client.get(f"/batches/{batch.pk}/").content.decode()
    assert page.count("All 2 attempts") == 3 and "replay of all" in page
    assert page.count('data-label="Attempts">2</td>') == 3


def test_cancelled_row_names_no_job_that_did_not_make_its_record(
    relay: RunningServer, send_all: SendAll, client: Client
) -> None:
    batch = send_all(addresses=ADDRESSES)
    replay(batch, JobKind.FAILED)
    lifecycle.cancel_batch(batch)
    item = listed(client, batch)[1]
    assert (item["status"], item["jobId"], len(item["history"])) == ("cancelled", None, 1)


@pytest.mark.parametrize(("body", "count"), [({}, 1), ({"includeUnknown": True}, 2)])
def test_program_sends_to_those_who_have_not_got_it(
    body: dict[str, Any], count: int, relay: RunningServer, send_all: SendAll, client: Client
) -> None:
    batch = send_all(addresses=ADDRESSES)
    batch.emails.get(row=4).recorded_attempts.update(outcome="unknown")
    batch.emails.filter(row=4).update(status=EmailStatus.UNKNOWN)
    answer = client.post(f"/api/batches/{batch.pk}/replay", {"which": "unsent", **body}, "application/json")
    assert (answer.status_code, answer.json()["totalCount"]) == (202, count)


def test_program_is_refused_when_it_includes_the_unknown_in_another_replay(
    relay: RunningServer, send_all: SendAll, client: Client
) -> None:
    batch = send_all(addresses=ADDRESSES)
    body = {"which": "failed", "includeUnknown": True}
    answer = client.post(f"/api/batches/{batch.pk}/replay", body, "application/json")
    assert answer.status_code == 409 and "Only a replay of the unsent" in answer.json()["detail"]


def test_admin_shows_the_record_of_the_sending_when_a_replay_of_all_refuses(
    relay: RunningServer, send_all: SendAll, client: Client
) -> None:
    batch = send_all(addresses=["good-a@x.org"])
    email, job = batch.emails.get(), replay(batch)
    lane = job.lanes.get()
    batch.emails.update(status=EmailStatus.FAILED, code=550, reply="5.1.1 Gone", lane=lane, completed_at=timezone.now())
    for path in ("", f"{email.pk}/change/"):
        page = client.get(f"/admin/batches/email/{path}").content.decode()
        assert "2.0.0 Ok" in page and "5.1.1 Gone" not in page
