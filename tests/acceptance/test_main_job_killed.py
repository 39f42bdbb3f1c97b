"""The main job while its processes are killed: every recipient gets the mail, within a bounded time.

``make chaos`` does this at random instants and in many more ways, on a stack of its own. Here it is ``make up`` as
every user has it, with its supervisor, its leases and its pauses.
"""

from __future__ import annotations

import os
import re
import signal
import time
from collections import Counter
from collections.abc import Callable, Iterator

import psutil
import pytest

from tests.acceptance.client import Client
from tests.acceptance.stack import RunningStack, stack_in_new_folder, wait_until
from tests.smtpserver import Behaviour, RunningServer

RECIPIENTS = 4000
RATE = 1000
"""Messages per second that the relay answers. A run lasts 4 s, so a kill hits its middle."""

COMPLETE_SECONDS = 75
WINDOW = 128
DRAIN_SECONDS = 15

Report = Callable[[str], None]


@pytest.fixture(scope="module")
def relay() -> Iterator[RunningServer]:
    with RunningServer(Behaviour(rate=RATE, reply_jitter_ms=20)) as server:
        yield server


@pytest.fixture(scope="module")
def stack(relay: RunningServer) -> Iterator[RunningStack]:
    with stack_in_new_folder("killed", workers=2, environment={"EMAIL_URL": relay.url}) as running:
        yield running


@pytest.fixture(scope="module")
def client(stack: RunningStack) -> Client:
    return Client(stack)


@pytest.fixture
def report(capsys: pytest.CaptureFixture[str]) -> Report:
    """Print a measurement although pytest captures the output."""

    def say(sentence: str) -> None:
        with capsys.disabled():
            print(f"\n{sentence}", flush=True)  # noqa: T201

    return say


class Middle:
    """A batch in the middle of its job: a third of it is sent when the constructor returns."""

    def __init__(self, stack: RunningStack, relay: RunningServer, client: Client) -> None:
        self.relay, self.client = relay, client
        stack.wait_for_workers(2)
        self.tag = f"t{time.monotonic_ns()}"
        self.addresses = {f"r{number}@{self.tag}.example.org" for number in range(RECIPIENTS)}
        before = relay.stats()["accepted"]
        recipients = [{"email": address, "name": "Kim"} for address in self.addresses]
        self.batch_id = client.post("/api/emails/send-bulk", {"recipients": recipients})["batchId"]
        wait_until(
            lambda: relay.stats()["accepted"] - before > RECIPIENTS / 3, within_seconds=60, what="A third of the run"
        )

    def finish(self, *, since: float) -> tuple[float, int]:
        """Wait for the end, and check the promises. Return the seconds since then, and the number of duplicates."""
        self.client.wait_for_end(self.batch_id, within_seconds=COMPLETE_SECONDS - (time.monotonic() - since))
        seconds = time.monotonic() - since
        batch = self.client.batch(self.batch_id)
        assert (batch["status"], batch["sentCount"], batch["failedCount"]) == ("completed", RECIPIENTS, 0)
        self.relay.stats()  # after this answer the record is complete
        copies = Counter(each.recipient for each in self.relay.accepted() if self.tag in each.recipient)
        assert copies.keys() == self.addresses
        return seconds, copies.total() - RECIPIENTS


@pytest.fixture
def middle(stack: RunningStack, relay: RunningServer, client: Client) -> Middle:
    return Middle(stack, relay, client)


def kill_and_wait(pid: int, number: int, *, within_seconds: float = 10) -> None:
    """Signal a process and poll until it has ended. It is not our child, so we cannot wait for it."""
    process = psutil.Process(pid)
    os.kill(pid, number)
    wait_until(
        lambda: not process.is_running() or process.status() == psutil.STATUS_ZOMBIE,
        within_seconds=within_seconds,
        what=f"The end of process {pid}",
    )


def test_every_recipient_gets_the_mail_when_a_work_horse_is_killed(
    middle: Middle, stack: RunningStack, report: Report
) -> None:
    before = len(stack.log)
    killed_at = time.monotonic()
    kill_and_wait(stack.work_horse_pids()[0], signal.SIGKILL)
    seconds, duplicates = middle.finish(since=killed_at)
    assert duplicates <= WINDOW
    requeued = re.search(r"Reaped lane .*: (\d+) emails back to pending", stack.log[before:])
    assert requeued and int(requeued[1]) <= WINDOW  # the work-horse was sending
    report(f"kill -9 of a work-horse: complete after {seconds:.1f} s, {duplicates} duplicates")


def test_every_recipient_gets_the_mail_when_a_worker_is_killed(
    middle: Middle, stack: RunningStack, report: Report
) -> None:
    before = len(stack.log)
    name, pid = next(iter(stack.pids("worker").items()))
    work_horses = psutil.Process(pid).children()
    killed_at = time.monotonic()
    kill_and_wait(pid, signal.SIGKILL)
    wait_until(
        lambda: not any(map(is_alive, work_horses)), within_seconds=2, what="The end of the work-horse with its worker"
    )
    wait_until(lambda: stack.pids().get(name, pid) != pid, within_seconds=20, what="The restart of the worker")
    seconds, duplicates = middle.finish(since=killed_at)
    assert work_horses and "Reaped lane" in stack.log[before:]
    assert duplicates <= WINDOW
    report(f"kill -9 of a worker: complete after {seconds:.1f} s, {duplicates} duplicates")


def is_alive(process: psutil.Process) -> bool:
    return process.is_running() and process.status() != psutil.STATUS_ZOMBIE


def test_no_recipient_gets_the_mail_twice_when_a_worker_is_asked_to_stop(
    middle: Middle, stack: RunningStack, report: Report
) -> None:
    before = len(stack.log)
    name, pid = next(iter(stack.pids("worker").items()))
    asked_at = time.monotonic()
    kill_and_wait(pid, signal.SIGTERM, within_seconds=DRAIN_SECONDS)
    drained = time.monotonic() - asked_at
    wait_until(lambda: stack.pids().get(name, pid) != pid, within_seconds=20, what="The restart of the worker")
    seconds, duplicates = middle.finish(since=asked_at)
    assert duplicates == 0
    assert "Reaped lane" not in stack.log[before:]
    report(f"SIGTERM of a worker: stopped after {drained:.1f} s, complete after {seconds:.1f} s, no duplicates")
