"""Compare the events again whose email was not known: for ten minutes, and by their recipient too.

A report can come before the ledger cycle that records the send. The sweep calls this. It sends nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

from django.db import transaction
from django.db.models.functions import Now
from django.utils import timezone

from batches.models import WaitingReturn
from batches.returns.events import ReturnEvent
from batches.returns.matching import Forged, Match, match_event, match_recipients
from batches.returns.recording import Found, record_found

GIVE_UP_SECONDS = 600.0

FIRST_WAIT_SECONDS = 4.0
"""The wait after the first comparison. Each further one is twice as long: 4, 8, 16 s and so on."""

EVENTS_MAX = 500
"""How many events one call compares."""


def retry_waiting() -> int:
    """Compare the waiting events that are due, and return how many were recorded. Takes a moment if there is none."""
    due = list(WaitingReturn.objects.filter(next_try_at__lte=Now()).order_by("next_try_at")[:EVENTS_MAX])
    if not due:
        return 0
    with transaction.atomic():
        found = _match([event for each in due if (event := _read(each)) is not None])
        recorded = record_found(found)
        matched = {each.event.key for each in found}
        _wait_on([each for each in due if each.event_key not in matched], now=timezone.now())
        WaitingReturn.objects.filter(event_key__in=matched).delete()
    return recorded.recorded


def _read(waiting: WaitingReturn) -> ReturnEvent | None:
    """Return the event that waits. None: another release has written it in another form, so it is given up in time."""
    try:
        return ReturnEvent.read(waiting.event)
    except (KeyError, TypeError, ValueError):
        return None


def _match(events: Sequence[ReturnEvent]) -> list[Found]:
    found: dict[str, Match] = {}
    rest = []
    for event in events:
        match = match_event(event)
        if match is None:
            rest.append(event)
        elif not isinstance(match, Forged):  # BOUNCE_ADDRESS may have been set meanwhile
            found[event.key] = match
    found |= match_recipients(rest)
    return [Found(event, found[event.key]) for event in events if event.key in found]


def _wait_on(waiting: Sequence[WaitingReturn], *, now: datetime) -> None:
    """Let the events wait longer, or give them up. An event that is given up keeps nothing about a person."""
    for each in waiting:
        waited = (now - each.received_at).total_seconds()
        if waited >= GIVE_UP_SECONDS:
            each.gave_up_at, each.next_try_at = now, None
            each.event = {name: each.event.get(name) for name in ("kind", "return_class", "door", "status_code")}
        else:
            each.next_try_at = now + timedelta(seconds=max(FIRST_WAIT_SECONDS, waited))
    WaitingReturn.objects.bulk_update(waiting, ["gave_up_at", "next_try_at", "event"])
