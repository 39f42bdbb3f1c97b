"""Compare the messages that the relay accepted with the rows of the table, recipient by recipient, and judge them.

Nothing here knows how a fault was injected, so unit tests can give it every kind of broken promise.
"""

from __future__ import annotations

import dataclasses
from collections import Counter, defaultdict
from collections.abc import Container, Iterable, Mapping, Sequence

from batches.models.choices import EmailStatus
from tests.smtpserver import Accepted

TERMINAL = {EmailStatus.SENT, EmailStatus.FAILED, EmailStatus.UNKNOWN, EmailStatus.SUPPRESSED, EmailStatus.CANCELLED}


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Row:
    """One recipient's row in the table after the batch has ended."""

    address: str
    status: str


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Counts:
    """The counts that the batch and its job show."""

    batch: dict[str, int]
    job_sent: int
    job_failed: int


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Comparison:
    """The comparison as numbers. Each promise of docs/design.md is a limit on one of them."""

    recipients: int
    lost: int
    """Recipients with no row, with no terminal status, or neither accepted nor recorded as failed or unknown."""
    duplicated: int
    """Copies that the relay accepted after the first one of each recipient."""
    duplicated_recipients: int
    unknown: int
    failed: int
    failed_though_accepted: int
    sent_without_acceptance: int
    strangers: int
    """Accepted recipients who are not in the file."""
    message_ids_changed: int
    """Recipients whose copies do not share one Message-ID."""
    message_ids_shared: int
    """Message-IDs that two recipients have."""
    misdirected: int
    """Messages without the merge field of their recipient: somebody else's message."""
    counts_differ: str
    """Where the counts shown differ from the table; empty when they agree."""


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Bounds:
    """The most that a fault may cost. A trial that costs more has broken a promise."""

    duplicates: int = 0
    unknown: int = 0
    failed: int = 0
    failed_exactly: bool = False
    """Whether fewer failures than ``failed`` break a promise too."""
    failed_though_accepted: int = 0
    recover_seconds: float = 30.0


def compare(
    *,
    expected: Mapping[str, str],
    rows: Iterable[Row],
    accepted: Sequence[Accepted],
    counts: Counts,
    unwilling: Container[str] = (),
) -> Comparison:
    """Compare the file, the table and the relay's record of one batch.

    ``expected`` maps each address of the file to a word that only the message of this recipient contains. ``unwilling``
    are those who unsubscribed while the batch ran: they may end suppressed.
    """
    table = {row.address: row.status for row in rows}
    copies = Counter(each.recipient for each in accepted)
    by_status = Counter(table.values())
    ids, owners = _message_ids(accepted)
    return Comparison(
        recipients=len(expected),
        lost=sum(
            _is_lost(table.get(address), is_accepted=address in copies or address in unwilling) for address in expected
        ),
        duplicated=sum(count - 1 for count in copies.values()),
        duplicated_recipients=sum(count > 1 for count in copies.values()),
        unknown=by_status[EmailStatus.UNKNOWN],
        failed=by_status[EmailStatus.FAILED],
        failed_though_accepted=sum(
            status == EmailStatus.FAILED and address in copies for address, status in table.items()
        ),
        sent_without_acceptance=sum(
            status == EmailStatus.SENT and address not in copies for address, status in table.items()
        ),
        strangers=len(set(copies) - set(expected)),
        message_ids_changed=sum(len(each) > 1 for each in ids.values()),
        message_ids_shared=sum(len(each) > 1 for each in owners.values()),
        misdirected=sum(expected.get(each.recipient, "").encode() not in (each.raw or b"") for each in accepted),
        counts_differ=describe_difference(counts, by_status),
    )


def _is_lost(status: str | None, *, is_accepted: bool) -> bool:
    if status not in TERMINAL:
        return True
    return not is_accepted and status not in (EmailStatus.FAILED, EmailStatus.UNKNOWN)


def _message_ids(accepted: Iterable[Accepted]) -> tuple[dict[str, set[str]], dict[str, set[str]]]:
    ids: dict[str, set[str]] = defaultdict(set)
    owners: dict[str, set[str]] = defaultdict(set)
    for each in accepted:
        ids[each.recipient].add(each.message_id)
        owners[each.message_id].add(each.recipient)
    return ids, owners


def count_sent_by(ports: Container[int], accepted: Iterable[Accepted], *, after: float) -> int:
    """Count the messages that came from these client ports after a Unix time."""
    return sum(each.port in ports and each.at > after for each in accepted)


def describe_difference(counts: Counts, by_status: Counter[str]) -> str:
    """Say where the counts shown differ from the table; empty when they agree."""
    wrong = [
        f"batch.{name} {count} != {by_status[name]}" for name, count in counts.batch.items() if count != by_status[name]
    ]
    if counts.job_sent != by_status[EmailStatus.SENT]:
        wrong.append(f"job.sent {counts.job_sent} != {by_status[EmailStatus.SENT]}")
    if counts.job_failed != by_status[EmailStatus.FAILED]:
        wrong.append(f"job.failed {counts.job_failed} != {by_status[EmailStatus.FAILED]}")
    return ", ".join(wrong)


def judge(found: Comparison, bounds: Bounds, *, recover_seconds: float | None) -> list[str]:
    """Return one sentence for each broken promise; an empty list when all were kept."""
    limits = {
        "lost": 0,
        "duplicated": bounds.duplicates,
        "unknown": bounds.unknown,
        "failed": bounds.failed,
        "failed_though_accepted": bounds.failed_though_accepted,
        "sent_without_acceptance": 0,
        "strangers": 0,
        "message_ids_changed": 0,
        "message_ids_shared": 0,
        "misdirected": 0,
    }
    broken = [
        f"{name.replace('_', ' ')}: {getattr(found, name)}, allowed {limit}"
        for name, limit in limits.items()
        if getattr(found, name) > limit
    ]
    if bounds.failed_exactly and found.failed != bounds.failed:
        broken.append(f"failed: {found.failed}, expected exactly {bounds.failed}")
    if found.counts_differ:
        broken.append(f"counts: {found.counts_differ}")
    if recover_seconds is not None and recover_seconds > bounds.recover_seconds:
        broken.append(f"recovered after {recover_seconds:.1f} s, allowed {bounds.recover_seconds:g} s")
    return broken
