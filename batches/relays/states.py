"""What each relay does now, in words, for the admin."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import NamedTuple

from django.db import connection
from django.utils import timezone

from batches.models import Relay
from batches.relays import registry, sql
from batches.relays.sql import QuotaUse
from batches.relays.windows import Window, find_opening
from batches.smtp.relay import RelayUrlError
from batches.waiting import say_quota, say_time

CARRIES = "carries mail"


class RelayState(NamedTuple):
    """``address`` has no credentials. ``is_carrying`` says whether mail can go now."""

    words: str
    is_carrying: bool
    address: str
    uses: tuple[str, ...]
    """How much of each quota is used, such as ``1,200 of 10,000 in 24 hours``."""


def read_states(relays: Sequence[Relay]) -> dict[int, RelayState]:
    """Return the state of each relay by its id, in a few queries however many relays there are."""
    now = timezone.now()
    uses: Mapping[int, list[QuotaUse]] = defaultdict(list)
    with connection.cursor() as cursor:
        for use in sql.QUOTA_USES.rows(cursor.execute(sql.QUOTA_USES).fetchall()):
            uses[use.relay_id].append(use)
    return {relay.pk: _read_state(relay, uses.get(relay.pk, []), now) for relay in relays}


def _read_state(relay: Relay, uses: Sequence[QuotaUse], now: datetime) -> RelayState:
    fault, address = "", "none"
    if relay.name not in registry.relay_urls():
        fault = f"not configured: {registry.url_variable(relay.name)} is not set"
    else:
        try:
            found = registry.read_address(relay.name)
            address = f"{found}, by access token" if getattr(found, "oauth", "") else str(found)
        except RelayUrlError as exc:
            fault = str(exc)
    words = fault or _find_words(relay, uses, now)
    return RelayState(
        words=words,
        is_carrying=words == CARRIES,
        address=address,
        uses=tuple(f"{use.used + use.reserved:,} of {say_quota(use.amount, use.period_seconds)}" for use in uses),
    )


def _find_words(relay: Relay, uses: Sequence[QuotaUse], now: datetime) -> str:
    if not relay.is_enabled:
        return "disabled"
    pauses = sorted(
        (pause for pause in relay.pauses.all() if pause.until > now), key=lambda each: each.until, reverse=True
    )
    for pause in pauses:
        if pause.sender is None:
            return f"paused. {pause.sentence} Next try {say_time(pause.until, now=now)}."
    window = Window(opens_at=relay.opens_at, closes_at=relay.closes_at, weekdays=relay.weekdays)
    opening = find_opening(window, now=now, zone=timezone.get_default_timezone())
    if opening.opens_in_seconds:
        opens_at = now + timedelta(seconds=opening.opens_in_seconds)
        return f"opens {say_time(opens_at, now=now)}, because it carries mail only {window}"
    for use in uses:
        if use.used >= use.amount:
            return f"waits, because its limit of {say_quota(use.amount, use.period_seconds)} is used up"
    if pauses:
        retry_at = say_time(pauses[0].until, now=now)
        return f"paused for mail of {pauses[0].sender}. {pauses[0].sentence} Next try {retry_at}."
    return CARRIES
