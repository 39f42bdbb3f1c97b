"""One batch from two workers to a real relay, and what became of its recipients, as PostgreSQL has it."""

from __future__ import annotations

from collections import Counter

from batches.models import EmailStatus
from tests.acceptance.test_worker import statuses
from tests.chaos.stack import Stack, wait_until
from tests.chaos.trial import write_recipients


def send(stack: Stack, port: int, addresses: list[str], *, policy: str, **extra: str) -> None:
    """Start two workers that send to the relay at this port, and a batch."""
    environment = {
        "EMAIL_URL": f"smtp://127.0.0.1:{port}",
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
