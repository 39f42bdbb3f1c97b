"""Record events: each one once, with the counts of its batch, and with what follows for the address.

Events enter from any door, in any order, and again. One transaction has all of it: the Return, the counts, the
suppression and the event for webhooks. So a door that was killed gives its events again, and nothing is counted twice.
"""

from __future__ import annotations

import logging
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import NamedTuple

from django.db import transaction
from django.db.models import F
from django.utils import timezone

from batches import progress
from batches.models import Batch, Return, ReturnKind, WaitingReturn, WebhookEvent
from batches.returns.events import ReturnEvent
from batches.returns.matching import Forged, Match, Matched, match_event
from batches.returns.thresholds import Judged, suppress_returned
from batches.suppressions import find_digest
from batches.webhooks.events import emit_many

logger = logging.getLogger(__name__)

EVENTS_MAX = 500
"""How many events one transaction records."""

_COUNTS = {ReturnKind.BOUNCED: "returned_count", ReturnKind.COMPLAINED: "complained_count"}


@dataclass(kw_only=True, slots=True)
class Recorded:
    """What became of some events, in counts."""

    recorded: int = 0
    repeated: int = 0
    """They were known already."""
    waiting: int = 0
    """Their email is not found yet. The sweep compares them again."""
    forged: int = 0
    """They came to a return path that we have not made, and count never."""
    suppressed: int = 0
    """The addresses that get no more mail because of them."""

    def add(self, other: Recorded) -> None:
        self.recorded += other.recorded
        self.repeated += other.repeated
        self.waiting += other.waiting
        self.forged += other.forged
        self.suppressed += other.suppressed


class Found(NamedTuple):
    """An event with its email."""

    event: ReturnEvent
    match: Match


def record_events(events: Sequence[ReturnEvent]) -> Recorded:
    """Record events that a door has read. Opens its own transaction. Safe to run twice, and at once.

    After it returns, nothing of the events is lost: each is recorded, waits, or was known or forged.

    Raises:
        django.db.Error: PostgreSQL cannot be used. Then nothing is recorded, and the door keeps its message.
    """
    total = Recorded()
    for first in range(0, len(events), EVENTS_MAX):
        total.add(_record(events[first : first + EVENTS_MAX]))
    return total


def _record(events: Sequence[ReturnEvent]) -> Recorded:
    recorded = Recorded()
    found, waiting = [], []
    for event in {event.key: event.clean() for event in events}.values():
        match = match_event(event)
        if isinstance(match, Forged):
            recorded.forged += 1
            logger.warning(
                "An event at the door %s came to a return path that was not made here. It is not counted.",
                event.door,
                extra={"action": "forged_return_path"},
            )
        elif match is None:
            waiting.append(event)
        else:
            found.append(Found(event, match))
    recorded.repeated = len(events) - len(found) - len(waiting) - recorded.forged
    with transaction.atomic():
        recorded.add(record_found(found))
        recorded.add(_keep_waiting(waiting))
    return recorded


def record_found(found: Sequence[Found]) -> Recorded:
    """Record events whose emails are known, in the caller's transaction."""
    if not found:
        return Recorded()
    batch_ids = sorted({each.match.batch_id for each in found})
    # The lock on the batches makes counting exact: of two transactions with an event about the same email, the second
    # sees what the first has inserted. In one order, so that no two wait for each other.
    list(Batch.objects.filter(pk__in=batch_ids).order_by("pk").select_for_update(no_key=True).values_list("pk"))
    known = set(
        Return.objects.filter(event_key__in=[each.event.key for each in found]).values_list("event_key", flat=True)
    )
    new = [each for each in found if each.event.key not in known]
    if not new:
        return Recorded(repeated=len(found))
    _count(new)
    now = timezone.now()
    Return.objects.bulk_create(_make_return(each, now=now) for each in new)
    WaitingReturn.objects.filter(event_key__in=[each.event.key for each in new]).delete()
    suppressed = suppress_returned(_judge(new), now=now)
    _tell(new, batch_ids)
    return Recorded(recorded=len(new), repeated=len(found) - len(new), suppressed=suppressed)


def _count(new: Iterable[Found]) -> None:
    """Add the emails that have come back for the first time to the counts of their batches.

    Needs the batches locked, and the Returns not inserted yet.
    """
    for kind, column in _COUNTS.items():
        of_kind = {each.match.email_id: each.match.batch_id for each in new if each.event.kind == kind}
        if not of_kind:
            continue
        before = set(
            Return.objects.filter(email__in=of_kind.keys(), kind=kind).values_list("email_id", flat=True).distinct()
        )
        counts: defaultdict[int, int] = defaultdict(int)
        for email_id, batch_id in of_kind.items():
            counts[batch_id] += email_id not in before
        for batch_id, count in sorted(counts.items()):
            Batch.objects.filter(pk=batch_id).update(**{column: F(column) + count})


def _make_return(found: Found, *, now: datetime) -> Return:
    event, match = found
    return Return(
        email_id=match.email_id,
        batch_id=match.batch_id,
        kind=event.kind,
        return_class=event.return_class,
        status_code=event.status_code,
        # The words of a report have the address. After a purge nothing may have it.
        text=event.text if match.address else "",
        domain=match.domain[:255],
        address_digest=match.digest if match.address else None,
        door=event.door,
        event_key=event.key,
        happened_at=event.happened_at,
        received_at=now,
    )


def _judge(new: Iterable[Found]) -> list[Judged]:
    return [
        Judged(each.event.kind, each.event.return_class, each.match.digest)
        for each in new
        if each.match.digest is not None and _is_about_address(each)
    ]


def _is_about_address(found: Found) -> bool:
    """Whether an event is about the address that we sent to, and not about one to which it forwards.

    A list at the receiver's may forward a message to many people. If one of them is gone, the list is not.
    """
    event, match = found
    if event.kind == ReturnKind.COMPLAINED or match.by is Matched.RECIPIENT or not event.recipient:
        return True
    return find_digest(event.recipient) == match.digest


def _tell(new: Sequence[Found], batch_ids: Sequence[int]) -> None:
    """Write down the events for webhooks, and publish the counts after the commit."""
    told = [each for each in new if each.event.kind in _COUNTS]
    emit_many(WebhookEvent.EMAIL_RETURNED, [_describe(each) for each in told])
    if told:
        for batch_id in batch_ids:
            transaction.on_commit(partial(progress.publish, batch_id))


def _describe(found: Found) -> dict[str, object]:
    event, match = found
    return {
        "batchId": match.batch_id,
        "row": match.row,
        "address": match.address or None,
        "kind": event.kind.value,
        "returnClass": event.return_class.value,
        "statusCode": event.status_code,
        "text": event.text if match.address else "",  # as in the Return
        "happenedAt": event.happened_at,
    }


def _keep_waiting(events: Sequence[ReturnEvent]) -> Recorded:
    """Keep events whose email is not known, to compare them again."""
    if not events:
        return Recorded()
    keys = [event.key for event in events]
    known = set(Return.objects.filter(event_key__in=keys).values_list("event_key", flat=True))
    known.update(WaitingReturn.objects.filter(event_key__in=keys).values_list("event_key", flat=True))
    new = [WaitingReturn(event_key=event.key, event=event.describe()) for event in events if event.key not in known]
    WaitingReturn.objects.bulk_create(new, ignore_conflicts=True)
    return Recorded(waiting=len(new), repeated=len(events) - len(new))
