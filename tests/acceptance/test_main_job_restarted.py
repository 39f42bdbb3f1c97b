"""The main job over two runs of ``make up``: Ctrl-C stops it in the middle, and the next start continues it."""

from __future__ import annotations

import os
import shutil
import signal
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.acceptance.client import Client
from tests.acceptance.stack import STOP_SECONDS, RunningStack, launch_stack, processes_of, wait_until
from tests.chaos.stack import shared_golden

RECIPIENTS = 1200
SLOWLY = {"SEND_RATE": "400"}


@pytest.fixture
def folder() -> Iterator[Path]:
    made = Path(tempfile.mkdtemp(prefix="emailbatch-restarted-"))
    shared_golden().copy_to(made)
    yield made
    shutil.rmtree(made, ignore_errors=True)


def press_ctrl_c(stack: RunningStack) -> None:
    """Send SIGINT as a terminal does: to make and every process that it started, at once."""
    if stack.process.poll() is None:
        os.killpg(stack.process.pid, signal.SIGINT)
    stack.process.wait(timeout=STOP_SECONDS)


def test_batch_continues_when_make_up_is_stopped_and_started_again(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    first = launch_stack(folder, workers=2, environment=SLOWLY, with_make=True)
    try:
        first.wait_until_ready()
        recipients = [f"p{number}@example.org" for number in range(RECIPIENTS)]
        batch_id = Client(first).post("/api/emails/send-bulk", {"recipients": recipients})["batchId"]
        wait_until(lambda: first.mail_count() > RECIPIENTS / 4, within_seconds=30, what="A quarter of the run")
    finally:
        press_ctrl_c(first)
    between = first.mail_count()
    assert between < RECIPIENTS
    wait_until(lambda: processes_of(folder) == [], within_seconds=10, what="The end of every process")

    began = time.monotonic()
    second = launch_stack(folder, workers=2, environment=SLOWLY, with_make=True)
    try:
        second.wait_until_ready()
        seconds = time.monotonic() - began
        assert Client(second).wait_for_end(batch_id)["sentCount"] == RECIPIENTS
    finally:
        press_ctrl_c(second)
    assert Counter(to for to, _ in second.raw_mails()) == Counter(recipients)
    with capsys.disabled():
        print(f"\nSecond make up after {between} mails: ready after {seconds:.1f} s, each mail sent once")  # noqa: T201
