"""Interoperation with a real Exim and its default limits: refusals, closings, full disks and limits of a connection."""

from __future__ import annotations

import os
from collections import Counter

import pytest

from batches.models import EmailStatus
from tests.acceptance import exim
from tests.acceptance.exim import Exim
from tests.acceptance.test_worker import statuses
from tests.chaos.stack import Stack, wait_until
from tests.chaos.trial import write_recipients

if exim.missing() and not os.environ.get("REQUIRE_EXIM"):
    pytest.skip(exim.missing(), allow_module_level=True)

RECIPIENTS = 2000
POLICIES = ["resend", "hold"]
REFUSE = "  {verb} message = {message}\n    local_parts = ^unknown"


def name_recipients(name: str, *, tenths_unknown: int) -> tuple[list[str], set[str]]:
    """Return addresses, evenly mixed, and those of them that Exim refuses."""
    addresses = [
        f"{'unknown' if number * 7 % 10 < tenths_unknown else 'known'}.{name}{number:05d}@example.org"
        for number in range(RECIPIENTS)
    ]
    return addresses, {address for address in addresses if address.startswith("unknown")}


def send(stack: Stack, relay: Exim, addresses: list[str], *, policy: str = "resend", **extra: str) -> None:
    """Start two workers and a batch."""
    environment = {
        "EMAIL_URL": f"smtp://127.0.0.1:{relay.port}",
        "SEND_RETRY_SECONDS": "0.2",
        "SEND_ON_CRASH": policy,
        **extra,
    }
    for _ in range(2):
        stack.start_worker(environment=environment, wait=False)
    stack.send_batch(write_recipients(stack.folder / "recipients.csv", addresses))


def wait_for_end(stack: Stack, *, seconds: float = 60) -> Counter[str]:
    """Wait until every recipient has its last status, and count them."""

    def count() -> Counter[str] | None:
        found = Counter(statuses(stack))
        is_over = sum(found.values()) and not found[EmailStatus.PENDING] and not found[EmailStatus.SENDING]
        return +found if is_over else None

    try:
        return wait_until(count, seconds=seconds, what="the end of the batch", every=0.1) or Counter()
    except TimeoutError as exc:
        with stack.services.connect() as connection:
            job = connection.execute("SELECT status, last_error, relay_retry_at FROM batches_emailjob").fetchall()
        logs = "\n".join(worker.read_log()[-300000:] for worker in stack.workers)
        raise AssertionError(f"the batch has not ended: {statuses(stack)} {job}\n{logs}") from exc


def read_addresses(stack: Stack, status: str) -> set[str]:
    with stack.services.connect() as connection:
        rows = connection.execute("SELECT address FROM batches_email WHERE status = %s", [status]).fetchall()
    return {address for (address,) in rows}


def count_doubts(stack: Stack) -> int:
    """Count the attempts of which nobody knew what became of them."""
    with stack.services.connect() as connection:
        row = connection.execute("SELECT count(*) FROM batches_attempt WHERE outcome = 'unknown'").fetchone()
    return row[0] if row else 0


@pytest.mark.parametrize("policy", POLICIES)
@pytest.mark.parametrize("tenths_unknown", [3, 6])
@pytest.mark.parametrize("verb", ["deny", "drop"])
def test_every_good_recipient_is_sent_once_when_exim_knows_many_users_not(
    stack: Stack, verb: str, tenths_unknown: int, policy: str
) -> None:
    addresses, unknown = name_recipients(verb, tenths_unknown=tenths_unknown)
    with Exim(at_rcpt=REFUSE.format(verb=verb, message="no such user here")) as relay:
        send(stack, relay, addresses, policy=policy)
        counts = wait_for_end(stack)
        print(f"{verb} {tenths_unknown}0 %, {policy}: {dict(counts)}, {count_doubts(stack)} in doubt")  # noqa: T201
        assert read_addresses(stack, EmailStatus.FAILED) == unknown
        assert read_addresses(stack, EmailStatus.SENT) == set(addresses) - unknown
        assert relay.accepted() == Counter(set(addresses) - unknown)
        assert count_doubts(stack) == 0
        assert "too many nonmail commands" not in relay.log
        assert "protocol error" not in relay.log
