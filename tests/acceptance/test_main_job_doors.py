"""The main job through the API, websockets, event streams and the admin."""

from __future__ import annotations

import json
import threading
import time
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from email import message_from_bytes, policy

import pytest
from playwright.sync_api import Page, expect

from tests.acceptance.browser import take_picture
from tests.acceptance.client import Client, Json
from tests.acceptance.stack import RunningStack, stack_in_new_folder
from tests.smtpserver import Behaviour, RunningServer

RATE = 1000
WATCHED = 3000
"""Takes three seconds at that rate, so that several snapshots come."""

SNAPSHOT_FIELDS = {"batchId", "status", "processed", "total", "sent", "failed", "unknown", "suppressed", "pending"}
SNAPSHOT_FIELDS |= {"cancelled", "resending", "returned", "complained", "ratePerSecond", "etaSeconds", "sequence"}
SNAPSHOT_FIELDS |= {"waitingFor", "doneAt", "finish", "moments", "fetchWithinSeconds"}

MAKE_BOARD = """
from django.contrib.auth.models import Group, User
board = Group.objects.create(name="Board")
for username, first, last, address, is_active in [
    ("zoe", "Zoë", "Müller", "zoe@board.example.org", True),
    ("tanaka", "田中", "さくら", "tanaka@board.example.org", True),
    ("gone", "Gil", "Gone", "gone@board.example.org", False),
    ("mute", "Mo", "Mute", "", True),
]:
    user = User.objects.create_user(username, address, first_name=first, last_name=last, is_active=is_active)
    user.groups.add(board)
"""


@pytest.fixture(scope="module")
def relay() -> Iterator[RunningServer]:
    with RunningServer(Behaviour(rate=RATE), keep_raw=True) as server:
        yield server


@pytest.fixture(scope="module")
def stack(relay: RunningServer) -> Iterator[RunningStack]:
    with stack_in_new_folder("doors", workers=2, environment={"EMAIL_URL": relay.url}) as running:
        running.manage("shell", "-v", "0", "-c", MAKE_BOARD)
        yield running


@pytest.fixture
def domain() -> str:
    """A domain that only the recipients of this test have."""
    return f"t{time.monotonic_ns()}.example.org"


def subjects(relay: RunningServer, domain: str, *, beginning: str = "") -> list[tuple[str, str]]:
    """Return the address and the subject of each email to a domain whose subject begins so. Duplicates come twice."""
    relay.stats()  # its answer comes after all earlier messages are recorded
    found = [each for each in relay.accepted() if each.recipient.endswith(f"@{domain}")]
    read = [
        (each.recipient, str(message_from_bytes(each.raw or b"", policy=policy.default)["Subject"])) for each in found
    ]
    return sorted((address, subject) for address, subject in read if subject.startswith(beginning))


def test_health_is_open_without_a_login(stack: RunningStack) -> None:
    with urllib.request.urlopen(f"{stack.url}api/health", timeout=10) as answer:  # noqa: S310
        health = json.load(answer)
    assert answer.status == 200
    assert isinstance(health.pop("queued"), int)
    assert health == {"status": "ok", "database": True, "redis": True, "workers": 2}


def schedule(client: Client, **body: object) -> Json:
    """Post a batch that is due in an hour."""
    later = datetime.now(UTC) + timedelta(hours=1)
    job: Json = client.post("/api/emails/send-bulk", {**body, "scheduledAt": later.isoformat()})
    return job


def make_due(stack: RunningStack, job: Json) -> float:
    """Move the time of a scheduled job to a moment from now, and return it as a Unix time."""
    move = "UPDATE batches_emailjob SET scheduled_at = now() + interval '0.5 s' WHERE id = %s"
    ((due,),) = stack.query(f"{move} RETURNING extract(epoch FROM scheduled_at)", job["jobId"])
    return float(due)


def test_snapshots_come_until_the_end_over_socket_and_stream(stack: RunningStack, client: Client, domain: str) -> None:
    recipients = [f"p{number}@{domain}" for number in range(WATCHED)]
    job = schedule(client, recipients=recipients, subject="Watched")
    batch_id = job["batchId"]
    with ThreadPoolExecutor() as pool:
        watchers = []
        for watch in (client.watch_socket, client.watch_stream):
            watching = threading.Event()
            watchers.append(pool.submit(watch, batch_id, watching=watching))
            assert watching.wait(timeout=30)
        make_due(stack, job)
        for watcher in watchers:
            assert_full_snapshots(watcher.result(timeout=90), batch_id)


def assert_full_snapshots(snapshots: list[Json], batch_id: int) -> None:
    assert len(snapshots) >= 3
    assert {frozenset(snapshot) for snapshot in snapshots} == {frozenset(SNAPSHOT_FIELDS)}
    assert {(snapshot["batchId"], snapshot["total"]) for snapshot in snapshots} == {(batch_id, WATCHED)}
    assert all(snapshot["processed"] + snapshot["pending"] == WATCHED for snapshot in snapshots)
    for figure in ("sequence", "sent", "processed"):
        values = [snapshot[figure] for snapshot in snapshots]
        assert values == sorted(values)
    last = snapshots[-1]
    assert (last["status"], last["sent"], last["pending"], last["failed"]) == ("completed", WATCHED, 0, 0)


def test_group_gets_the_email_when_a_role_names_it(client: Client, relay: RunningServer) -> None:
    body = {"templateId": "welcome_email", "roleFilter": "Board", "subject": "Dear {{ name }}"}
    first = client.post("/api/emails/send-bulk", body, Idempotency_Key="board-1")
    again = client.post("/api/emails/send-bulk", body, Idempotency_Key="board-1")
    assert first == again
    assert (first["success"], first["totalCount"]) == (True, 2)
    assert client.wait_for_end(first["batchId"])["sentCount"] == 2
    got = subjects(relay, "board.example.org", beginning="Dear")
    assert got == [("tanaka@board.example.org", "Dear 田中 さくら"), ("zoe@board.example.org", "Dear Zoë Müller")]
    job = client.get(f"/api/jobs/{first['jobId']}")
    assert (job["status"], job["templateId"], job["totalCount"], job["sentCount"]) == (
        "COMPLETED",
        "welcome_email",
        2,
        2,
    )


def test_posted_recipients_get_their_own_merge_fields(client: Client, relay: RunningServer, domain: str) -> None:
    ann, bob, cyd = (f"{name}@{domain}" for name in ("ann", "bob", "cyd"))
    recipients = [{"email": ann, "name": "Ann 🎉", "year": 2027}, {"email": bob, "name": "Bob"}, cyd, "nobody", cyd]
    body = {"recipients": recipients, "subject": "{{ name or 'You' }} {{ year }}"}
    sent = client.post("/api/emails/send-bulk", body)
    batch = client.wait_for_end(sent["batchId"])
    assert (batch["totalEmails"], batch["sentCount"], batch["rejectedRows"], batch["duplicateRows"]) == (3, 3, 1, 1)
    assert subjects(relay, domain) == [(ann, "Ann 🎉 2027"), (bob, "Bob"), (cyd, "You")]
    listed = {row["address"]: row for row in client.emails(sent["batchId"])}
    assert {(row["status"], row["code"], row["attempts"]) for row in listed.values()} == {("sent", 250, 1)}
    ids = {each.recipient: each.message_id for each in relay.accepted()}
    assert {address: row["messageId"] for address, row in listed.items()} == {
        each: ids[each] for each in (ann, bob, cyd)
    }


def test_email_is_sent_at_its_time_when_it_is_scheduled(
    stack: RunningStack, client: Client, relay: RunningServer, domain: str
) -> None:
    job = schedule(client, recipients=[f"later@{domain}"], priority="high")
    assert client.batch(job["batchId"])["status"] == "scheduled"
    assert client.get(f"/api/jobs/{job['jobId']}")["status"] == "SCHEDULED"
    due = make_due(stack, job)
    assert client.wait_for_end(job["batchId"])["sentCount"] == 1
    (got,) = (each for each in relay.accepted() if each.recipient == f"later@{domain}")
    assert 0 <= got.at - due <= 5


def test_chosen_users_get_the_email_from_the_admin(page: Page, relay: RunningServer) -> None:
    page.goto("/admin/auth/user/")
    for username in ("zoe", "tanaka", "mute"):
        page.locator("#result_list tr", has_text=username).locator("input.action-select").check()
    page.select_option('select[name="action"]', label="Send email with template…")
    page.get_by_role("button", name="Go").click()
    expect(page.locator("#content")).to_contain_text(
        "3 users are selected. Those who are active and have an address get one email each: 2."
    )
    page.fill("#id_subject", "From the admin, {{ first_name }}")
    take_picture(page, "admin-send")
    page.click("text=Send to 2")
    page.wait_for_url("**/batches/*/")
    expect(page.locator("#status")).to_contain_text("Completed", timeout=30_000)
    expect(page.locator('[data-count="sent"]')).to_have_text("2")
    take_picture(page, "admin-sent")
    got = subjects(relay, "board.example.org", beginning="From")
    assert got == [
        ("tanaka@board.example.org", "From the admin, 田中"),
        ("zoe@board.example.org", "From the admin, Zoë"),
    ]
