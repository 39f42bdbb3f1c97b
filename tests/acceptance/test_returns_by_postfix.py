"""A tenth of the addresses is dead: what a real Postfix returns to a real Dovecot is matched, each to its email.

A relay as ``deploy/postfix`` has it takes all mail. The server after it refuses the dead addresses, so the relay
writes a report for each, and delivers it to the return mailbox, which a worker reads by IMAP.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from batches.models import EmailStatus, ReturnClass, ReturnKind, SuppressionReason
from tests.acceptance import deployed_relay, dovecot, postfix
from tests.acceptance.deployed_relay import DeployedRelay
from tests.acceptance.dovecot import Dovecot
from tests.acceptance.mail_server import free_port
from tests.acceptance.postfix import Accounts, Postfix
from tests.acceptance.test_worker import statuses
from tests.chaos.stack import ROOT, Stack, wait_until
from tests.chaos.trial import write_recipients

if (missing := postfix.missing() or deployed_relay.missing() or dovecot.missing()) and not os.environ.get(
    "REQUIRE_POSTFIX"
):
    pytest.skip(missing, allow_module_level=True)

RECIPIENTS, DEAD_EVERY = 3000 if os.environ.get("LONG_TESTS") else 1000, 10
BOUNCE_ADDRESS = "bounce@news.school.example"
LOGIN_ADDRESS = "news@news.school.example"
"""The sender of the mail. Without a return path of our own, it is what comes back to."""

ADDRESSES = [
    f"{'dead' if number % DEAD_EVERY == 0 else 'alive'}{number:05d}@dest.example" for number in range(RECIPIENTS)
]
DEAD = {address for address in ADDRESSES if address.startswith("dead")}


@pytest.fixture(scope="module")
def mailbox() -> Iterator[Dovecot]:
    with Dovecot() as running:
        yield running


@pytest.fixture(scope="module")
def receiver() -> Iterator[Postfix]:
    """The server of the recipients. It refuses the dead."""
    with Accounts("nobody", "nothing") as accounts, Postfix(accounts=accounts, unknown_users="^dead") as running:
        yield running


@pytest.fixture(scope="module")
def relay(receiver: Postfix, mailbox: Dovecot) -> Iterator[DeployedRelay]:
    with DeployedRelay(
        bounce_address=BOUNCE_ADDRESS, next_hop=receiver.port, returns_port=mailbox.lmtp_port
    ) as running:
        yield running


def start_worker(stack: Stack, relay: DeployedRelay) -> None:
    stack.environment |= {
        "EMAIL_URL": f"smtp://127.0.0.1:{relay.port}",
        "BOUNCE_ADDRESS": BOUNCE_ADDRESS,
        "DEFAULT_FROM_EMAIL": LOGIN_ADDRESS,
    }
    stack.start_worker()


@contextmanager
def reading(stack: Stack, url: str) -> Iterator[None]:
    """Take in what comes back, as a deployment does."""
    environment = stack.environment | {"RETURNS_URL": url}
    argv = [sys.executable, "manage.py", "readreturns"]
    with (
        (stack.folder / "readreturns.log").open("ab") as log,
        subprocess.Popen(argv, cwd=ROOT, env=environment, stdout=log, stderr=log) as process,
    ):
        try:
            yield
        finally:
            process.terminate()


def send(stack: Stack, addresses: list[str]) -> int:
    """Send to these addresses, and return the id of the batch when the relay has taken all mail."""
    batch_id = stack.send_batch(write_recipients(stack.folder / "recipients.csv", addresses))
    wait_until(
        lambda: count(stack, "SELECT sent_count FROM batches_batch WHERE id = %s", batch_id) == len(addresses),
        seconds=120,
        what="all mail to be sent",
        every=0.2,
    )
    return batch_id


def count(stack: Stack, statement: str, *values: object) -> int:
    with stack.services.connect() as connection:
        row = connection.execute(statement, values).fetchone()
    return int(row[0]) if row else 0


def count_returned(stack: Stack, batch_id: int) -> int:
    return count(stack, "SELECT returned_count FROM batches_batch WHERE id = %s", batch_id)


def wait_for_returns(stack: Stack, batch_id: int, dead: set[str]) -> None:
    """Wait until each dead address of a batch has come back, and look at what is stored of it."""
    wait_until(
        lambda: count_returned(stack, batch_id) == len(dead),
        seconds=180,
        what=lambda: f"{len(dead)} returns; there are {count_returned(stack, batch_id)}",
        every=0.5,
    )
    with stack.services.connect() as connection:
        returns = connection.execute(
            "SELECT address, kind, return_class FROM batches_return JOIN batches_email ON email_id = batches_email.id"
            " WHERE batches_email.batch_id = %s",
            [batch_id],
        ).fetchall()
    assert sorted(returns) == sorted((address, ReturnKind.BOUNCED, ReturnClass.GONE) for address in dead)


def count_suppressed(stack: Stack, batch_id: int) -> int:
    """Count the emails of a batch whose address is on the suppression list now."""
    return count(
        stack,
        "SELECT count(DISTINCT e.id) FROM batches_email e JOIN batches_suppression s ON s.digest = e.address_digest"
        " WHERE e.batch_id = %s AND s.reason = %s",
        batch_id,
        SuppressionReason.BOUNCED,
    )


def test_every_return_is_matched_by_verp_when_postfix_reports_while_the_batch_runs(
    stack: Stack, relay: DeployedRelay, mailbox: Dovecot
) -> None:
    start_worker(stack, relay)
    with reading(stack, mailbox.url("bounce")):
        batch_id = send(stack, ADDRESSES)
        wait_for_returns(stack, batch_id, DEAD)
    assert count_suppressed(stack, batch_id) == len(DEAD)
    assert statuses(stack)[EmailStatus.SENT] == RECIPIENTS  # sent stays true


def test_every_return_is_matched_by_message_id_when_the_relay_gets_no_return_path(
    stack: Stack, relay: DeployedRelay, mailbox: Dovecot
) -> None:
    """The dead addresses are in a newer batch too, so by the recipient alone every report would be matched to that."""
    with stack.services.connect() as connection:
        connection.execute("UPDATE batches_relay SET keeps_return_path = false")
    start_worker(stack, relay)
    older, newer = send(stack, ADDRESSES), send(stack, sorted(DEAD))
    with reading(stack, mailbox.url("news")):
        wait_for_returns(stack, older, DEAD)
        wait_for_returns(stack, newer, DEAD)
        wait_until(lambda: mailbox.counts("news")["INBOX"] == 0, seconds=20, what="an empty inbox", every=0.2)
    assert count_suppressed(stack, older) == len(DEAD)


def test_reports_count_when_the_relay_hands_them_to_the_application_itself(stack: Stack, receiver: Postfix) -> None:
    """The whole of ``deploy/postfix``: no mailbox, and a report waits in the relay while nobody listens."""
    port = free_port()
    addresses = ADDRESSES[:: DEAD_EVERY // 2][:40]
    with DeployedRelay(bounce_address=BOUNCE_ADDRESS, next_hop=receiver.port, returns_port=port) as relay:
        start_worker(stack, relay)
        batch_id = send(stack, addresses)
        wait_until(lambda: "status=deferred" in relay.log, seconds=30, what="a report that waits", every=0.2)
        with reading(stack, f"lmtp://127.0.0.1:{port}"):
            wait_for_returns(stack, batch_id, DEAD.intersection(addresses))
