"""``manage.py readreturns`` is killed with kill -9 at random instants, while a real Dovecot fills. Nothing is lost.

Each email is sent already, and each report comes to a return path of its own. Some reports come twice, and some letters
are no reports.
"""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from batches.returns.doors.imap import DONE, NOT_UNDERSTOOD
from tests.acceptance import dovecot
from tests.acceptance.dovecot import Dovecot
from tests.chaos.stack import ROOT, Golden, Stack, run_command
from tests.returned_mail import make_bounce, make_letter

if dovecot.missing() and not os.environ.get("REQUIRE_DOVECOT"):
    pytest.skip(dovecot.missing(), allow_module_level=True)

EMAILS = 300
REPEATED = 60
LETTERS = 25
KILLS = 8
FAULT_SECONDS = 0.5
"""The reader is killed at most so long after it began to read. It takes a few times as long to read all."""
BOUNCE_ADDRESS = "bounce@site.example"

MAKE_BATCH = f"""
import json
from django.db.models.functions import Now
from batches.models import Batch, BatchSource, BatchStatus, Email, EmailStatus
from batches.return_paths import ReturnPathMaker, derive_key
from batches.suppressions import read_key
batch = Batch.objects.create(filename="list.csv", source=BatchSource.UPLOAD, status=BatchStatus.COMPLETED,
                             total_count={EMAILS}, sent_count={EMAILS}, completed_at=Now())
emails = Email.objects.bulk_create(
    Email(batch=batch, row=row, address=f"r{{row}}@dest.example", status=EmailStatus.SENT)
    for row in range(1, {EMAILS} + 1))
make = ReturnPathMaker("{BOUNCE_ADDRESS}", key=derive_key(read_key())).make
print(json.dumps({{email.address: make(email.pk, email.address) for email in emails}}))
"""

COUNT = """
import json
from batches.models import Batch, Return, UnknownReport, WaitingReturn
batch = Batch.objects.get()
print(json.dumps([batch.returned_count, Return.objects.count(), Return.objects.values("email").distinct().count(),
                  WaitingReturn.objects.count(), UnknownReport.objects.count()]))
"""


@pytest.fixture
def mailboxes() -> Iterator[Dovecot]:
    with Dovecot() as running:
        yield running


@pytest.fixture
def stack(golden: Golden, mailboxes: Dovecot) -> Iterator[Stack]:
    environment = {"RETURNS_URL": mailboxes.url(), "BOUNCE_ADDRESS": BOUNCE_ADDRESS}
    with Stack(golden, environment=environment, fsync=False) as running:
        yield running


def shell(stack: Stack, program: str) -> str:
    return run_command(["shell", "-v", "0", "-c", program], environment=stack.environment)


class Reader:
    """One process of ``manage.py readreturns``."""

    def __init__(self, stack: Stack) -> None:
        self.log: Path = stack.folder / "reader.log"
        with self.log.open("ab") as output:
            self.process = subprocess.Popen(
                [sys.executable, "manage.py", "readreturns"],
                cwd=ROOT,
                env=stack.environment,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )

    def kill_at_random(self, chance: random.Random, *, reads_before: int) -> None:
        """Kill -9 it at a random instant after it began to read."""
        deadline = time.monotonic() + 60
        while self.log.read_text().count("The return mailbox is read.") <= reads_before:
            assert self.process.poll() is None, self.log.read_text()
            assert time.monotonic() < deadline, self.log.read_text()
            time.sleep(0.005)
        time.sleep(chance.uniform(0, FAULT_SECONDS))  # the instant of the fault
        self.process.kill()
        self.process.wait(timeout=20)


def count_returns(stack: Stack) -> int:
    with stack.services.connect() as connection:
        [(count,)] = connection.execute("SELECT count(*) FROM batches_return").fetchall()
    return int(count)


def fill(mailboxes: Dovecot, paths: dict[str, str], chance: random.Random) -> list[bytes]:
    """Return the messages of the test in a random order."""
    reports = [
        (make_bounce(number, to=path, recipient=address), path) for number, (address, path) in enumerate(paths.items())
    ]
    reports += chance.sample(reports, REPEATED)
    reports += [(make_letter(number, to=BOUNCE_ADDRESS), BOUNCE_ADDRESS) for number in range(LETTERS)]
    chance.shuffle(reports)
    for message, recipient in reports:
        mailboxes.deliver(message, recipient)
    return [message for message, _ in reports]


@pytest.mark.parametrize("seed", [1])
def test_no_event_is_lost_and_none_counts_twice_when_the_reader_is_killed(
    stack: Stack, mailboxes: Dovecot, seed: int, capsys: pytest.CaptureFixture[str]
) -> None:
    chance = random.Random(seed)
    paths: dict[str, str] = json.loads(shell(stack, MAKE_BATCH))
    messages = fill(mailboxes, paths, chance)
    left = []
    for kill in range(KILLS):
        Reader(stack).kill_at_random(chance, reads_before=kill)
        counts = mailboxes.counts()
        left.append((counts["INBOX"], counts.get(DONE, 0), count_returns(stack)))
        if counts["INBOX"] == 0:
            break
    run_command(["readreturns", "--once"], environment=stack.environment)
    with capsys.disabled():
        print(f"\nAfter each kill -9, left, moved and counted: {left}", flush=True)  # noqa: T201
    counts = mailboxes.counts()
    assert counts["INBOX"] == 0
    assert counts[NOT_UNDERSTOOD] == LETTERS
    assert counts[DONE] + counts[NOT_UNDERSTOOD] == len(messages), "no message is lost, and none is there twice"
    returned, rows, emails, waiting, unknown = json.loads(shell(stack, COUNT))
    assert (returned, rows, emails, waiting, unknown) == (EMAILS, EMAILS, EMAILS, 0, LETTERS)
