"""Templates that are made to hurt: the web process, the workers and other people's mail go on."""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.acceptance.client import Client
from tests.acceptance.stack import RunningStack, stack_in_new_folder, wait_until
from tests.unit.rendering.hostile import CHAINS, EXPENSIVE, FOLDED, only_for_evil

WEB_MAX_BYTES = 400 << 20
HORSE_MAX_BYTES = 300 << 20
OTHERS_SECONDS = 5.0
"""How soon the mail of another user has to leave."""

ADD_USER = """
from django.contrib.auth.models import Group, User
user = User.objects.create_user("bob", email="bob@example.org", password="Correct-Horse-7")
user.groups.add(Group.objects.get(name="Senders"))
"""
LETTERS = "xxxxxxxxxx"


@pytest.fixture(scope="module")
def stack() -> Iterator[RunningStack]:
    with stack_in_new_folder("hostile", workers=1, environment={"SEND_LEASE_SECONDS": "6"}) as running:
        running.manage("shell", "-v", "0", "-c", ADD_USER)
        yield running


@pytest.fixture(scope="module")
def bob(stack: RunningStack) -> Client:
    return Client(stack, username="bob")


class Watched:
    """The memory of the web process, and the most that a work-horse had."""

    def __init__(self, stack: RunningStack) -> None:
        self._stack = stack
        self.web_pid = stack.pids("web")["web"]
        self.horse_peak = 0
        self._is_over = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def __enter__(self) -> Watched:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._is_over.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._is_over.wait(0.05):
            for pid in self._stack.worker_pids():
                try:
                    work_horses = psutil.Process(pid).children()
                    self.horse_peak = max([self.horse_peak, *(each.memory_info().rss for each in work_horses)])
                except psutil.NoSuchProcess:
                    continue

    def check(self) -> None:
        assert self._stack.pids("web")["web"] == self.web_pid, "the web process ended"
        status = Path(f"/proc/{self.web_pid}/status").read_text()
        peak = re.search(r"VmHWM:\s+(\d+) kB", status)
        assert peak is not None
        print(f"web {int(peak[1]) // 1024} MB, work-horse {self.horse_peak >> 20} MB")  # noqa: T201
        assert int(peak[1]) * 1024 < WEB_MAX_BYTES
        assert self.horse_peak < HORSE_MAX_BYTES


def store(stack: RunningStack, key: str, text: str) -> None:
    """Store a template as an older release did, which accepted anything."""
    stack.query(
        "INSERT INTO batches_emailtemplate (key, name, subject, html, text, is_default, updated_at)"
        " VALUES (%s, %s, 'Subject', '', %s, false, now()) RETURNING id",
        key,
        key,
        text,
    )


def preview(client: Client, text: str, **fields: str) -> tuple[int, Any]:
    body = {"subject": "S", "html": "", "text": text, "fields": fields}
    return client.request("POST", "/api/templates/welcome_email/preview", body)


def send(client: Client, template: str, recipients: list[dict[str, str]], **more: str) -> int:
    body = {"templateId": template, "recipients": recipients, **more}
    return int(client.post("/api/emails/send-bulk", body)["batchId"])


def make_rows(count: int, *, evil_from: int = 1) -> list[dict[str, str]]:
    return [
        {"email": f"x{number}@example.org", "name": LETTERS, "mood": "evil" if number >= evil_from else "good"}
        for number in range(count)
    ]


def send_urgently(client: Client) -> float:
    """Send one mail with high priority. Returns after how many seconds it had left."""
    began_at = time.monotonic()
    batch_id = send(client, "welcome_email", [{"email": "v@example.org", "name": "V"}], priority="high")
    wait_until(lambda: client.batch(batch_id)["sentCount"] == 1, within_seconds=60, what="The other user's mail")
    return time.monotonic() - began_at


def test_web_process_lives_when_templates_nest_deeply(stack: RunningStack, client: Client) -> None:
    with Watched(stack) as watched:
        for chain, make in CHAINS.items():
            status, answer = preview(client, make(30_000)[: 255 * 1024])
            assert status in (200, 422), (chain, answer)
        assert client.get("/api/health")["status"]
    watched.check()


def test_lists_are_shown_when_stored_templates_are_hostile(stack: RunningStack, client: Client, bob: Client) -> None:
    store(stack, "folded", FOLDED)
    store(stack, "deep", CHAINS["tilde"](100_000))
    with Watched(stack) as watched:
        for _ in range(2):
            listed = {each["key"]: each for each in bob.get("/api/templates")["items"]}
            assert listed["folded"]["mergeFields"] == listed["deep"]["mergeFields"] == []
        began_at = time.monotonic()
        bob.get("/api/templates")
        assert time.monotonic() - began_at < 1  # it was worked out once
        for key in ("folded", "deep"):
            status, answer = client.request(
                "POST", "/api/emails/send-bulk", {"templateId": key, "recipients": ["a@example.org"]}
            )
            assert status == 422 and "too much time or memory" in answer["detail"]
    watched.check()


def test_others_are_answered_when_one_user_asks_for_many_previews(
    stack: RunningStack, client: Client, bob: Client
) -> None:
    answers: list[tuple[int, Any]] = []
    threads = [
        threading.Thread(target=lambda: answers.append(preview(client, EXPENSIVE["replace"], name=LETTERS)))
        for _ in range(24)
    ]
    with Watched(stack) as watched:
        for thread in threads:
            thread.start()
        for _ in range(5):
            began_at = time.monotonic()
            bob.get("/api/batches")
            assert time.monotonic() - began_at < 2
        status, answer = preview(bob, "{% if name %}Dear {{ name }}{% endif %}", name="Ann")
        assert (status, answer["text"]) == (200, "Dear Ann")
        for thread in threads:
            thread.join()
    watched.check()
    statuses = [status for status, _ in answers]
    assert set(statuses) == {422, 429} and statuses.count(422) < 24
    busy = next(answer for status, answer in answers if status == 429)
    assert busy["detail"].endswith("try again.") and busy["retryAfterSeconds"] > 0


@pytest.mark.parametrize("kind", ["replace", "namespace", "output", "sort"])
def test_mail_of_others_leaves_soon_when_every_row_is_hostile(
    stack: RunningStack, client: Client, bob: Client, kind: str
) -> None:
    send_beside_hostile_batches(stack, client, bob, kind, count=1)


def test_mail_of_others_leaves_soon_when_each_of_two_workers_has_a_hostile_batch(
    stack: RunningStack, client: Client, bob: Client
) -> None:
    with stack.own_worker():
        stack.wait_for_workers(2)
        send_beside_hostile_batches(stack, client, bob, "output", count=2)


def send_beside_hostile_batches(stack: RunningStack, client: Client, bob: Client, kind: str, *, count: int) -> None:
    """Send a mail while so many batches have hostile rows only. They are paused, and say why."""
    key = f"slow-{kind}-{count}"
    store(stack, key, only_for_evil(EXPENSIVE[kind]))
    with Watched(stack) as watched:
        batch_ids = [send(client, key, make_rows(600)) for _ in range(count)]
        wait_until(
            lambda: all(client.batch(batch_id)["failedCount"] for batch_id in batch_ids),
            within_seconds=30,
            what="The first hostile row of each batch",
        )
        assert send_urgently(bob) < OTHERS_SECONDS
        wait_until(
            lambda: all(client.batch(batch_id)["status"] == "paused" for batch_id in batch_ids),
            within_seconds=60,
            what="The pause of the hostile batches",
        )
    watched.check()
    for batch_id in batch_ids:
        failed = client.get(f"/api/batches/{batch_id}/emails?status=failed")["items"]
        assert failed and all("too much time or memory" in each["reply"] for each in failed)
        assert "better template" in client.get(f"/api/jobs/{client.batch(batch_id)['jobId']}")["lastError"]
        client.request("POST", f"/api/batches/{batch_id}/cancel", {})


def test_work_horse_ends_soon_when_a_hostile_batch_is_cancelled(stack: RunningStack, client: Client) -> None:
    store(stack, "cancelled", only_for_evil(EXPENSIVE["replace"]))
    # One hostile row among many good ones at a time, so that the job is not paused.
    rows = [{**row, "mood": "evil" if number % 250 == 249 else "good"} for number, row in enumerate(make_rows(20_000))]
    batch_id = send(client, "cancelled", rows)
    wait_until(lambda: client.batch(batch_id)["failedCount"] > 0, within_seconds=30, what="The first hostile row")
    client.request("POST", f"/api/batches/{batch_id}/cancel", {})
    wait_until(lambda: not stack.work_horse_pids(), within_seconds=6, what="The end of the work-horses")


def test_work_horse_stays_small_when_messages_are_big(stack: RunningStack, client: Client) -> None:
    store(stack, "big", "{% if name %}{{ 'x' * 7000000 }}{% endif %}")
    with Watched(stack) as watched:
        batch_id = send(client, "big", make_rows(40))
        wait_until(lambda: client.batch(batch_id)["sentCount"] == 40, within_seconds=90, what="The big messages")
    watched.check()
