"""Words for what a batch waits for and when it will be done: times, quotas, and whole sentences.

Plain values enter, and sentences leave. Times are said in the site's time zone (``TIME_ZONE``). Nothing here reads a
table or a clock: the caller passes the present time.
"""

from __future__ import annotations

import re
from datetime import datetime, timedelta

from django.utils import timezone

from batches import phrases
from batches.phrases import ABOUT, AT, AT_SECOND, Moment, make_moment

_OUR_RELAY = re.compile(r"^The relay (?:default )?")
"""Most sites have one relay only, whose name says nothing."""

SECONDS_SHOWN = 120
"""A time that is nearer than this is said with its second."""

MINUTE, HOUR, DAY = 60, 3600, 86400

NO_WORKER = "No worker is running, so no email is sent now. The batch waits, and sending starts when a worker starts."
AWAITS_APPROVAL = "A second person must approve it before it is sent."
COUNTING = "Every recipient is done. The counts are now compared with the list."
NOT_KNOWN = "When it will be done is not known yet."
NOT_IN_A_LIFETIME = "It would take more than a hundred years with the limits of the mail server. Ask an administrator."
NOT_KNOWN_WHILE_REFUSED = "When it will be done is not known while the mail server accepts no mail."
NOT_KNOWN_WHILE_PAUSED = "When it will be done is not known until it is resumed."


def say_limit(relay: str, amount: int, period_seconds: int) -> str:
    """Say that a quota is used up: ``"The daily limit of relay m365 is used up (10,000 in 24 hours)."``"""
    kinds = {DAY: "daily limit", HOUR: "hourly limit", MINUTE: "limit per minute"}
    kind = kinds.get(period_seconds, "limit")
    return f"The {kind} of relay {relay} is used up ({say_quota(amount, period_seconds)})."


def say_quota(amount: int, period_seconds: int) -> str:
    """Say a quota: ``"10,000 in 24 hours"``."""
    return f"{amount:,} in {say_period(period_seconds)}"


def say_period(seconds: int) -> str:
    """Say a length of time in the largest unit that fits: ``"24 hours"``, ``"90 minutes"``, ``"7 days"``.

    One or two days are said in hours, as providers do.
    """
    for size, unit in ((DAY, "day"), (HOUR, "hour"), (MINUTE, "minute")):
        if seconds % size == 0 and not (unit == "day" and seconds <= 2 * DAY):
            count = seconds // size
            return f"{count:,} {unit}{'' if count == 1 else 's'}"
    return f"{seconds:,} second{'' if seconds == 1 else 's'}"


def time_of(at: datetime, *, now: datetime) -> Moment:
    """Say a time as a person does: ``"at 16:20"``, ``"tomorrow at 09:12"``, ``"on Thursday 3 December at 09:12"``.

    A time less than two minutes away has its second. A time between two minutes is rounded up, because nothing happens
    before it.
    """
    local = timezone.localtime(at)
    if abs((at - now).total_seconds()) < SECONDS_SHOWN:
        return make_moment(local, AT_SECOND, now=now)
    return make_moment(_round_up(local, MINUTE), AT, now=now)


def say_time(at: datetime, *, now: datetime) -> str:
    """Say a time in words: see ``time_of``."""
    return time_of(at, now=now)["words"]


def finish_of(at: datetime, *, now: datetime) -> Moment | None:
    """Say when a batch will be done, no more exactly than it can be known.

    Less than an hour away: to the minute. Today or tomorrow: to five minutes. Later: the day alone. None: at once.
    """
    seconds = (at - now).total_seconds()
    if seconds < MINUTE:
        return None
    local = _round_up(timezone.localtime(at), MINUTE if seconds < HOUR else 5 * MINUTE)
    days = (local.date() - timezone.localtime(now).date()).days
    return make_moment(local, ABOUT if days <= 1 else phrases.DAY, now=now)


def say_finish(at: datetime, *, now: datetime) -> str:
    """Say when a batch will be done: see ``finish_of``."""
    moment = finish_of(at, now=now)
    if moment is None:
        return "Done in less than a minute."
    when = moment["words"]
    return f"Done {when}."


def say_waiting(sentence: str, *, next_try_at: datetime | None, waiting_count: int, now: datetime) -> str:
    """Say what a batch waits for, until when, and how many emails wait. Empty if ``sentence`` is.

    ``"The daily limit of relay m365 is used up (10,000 in 24 hours). Next try at 16:20. 3,400 are waiting."``
    A reader of a page knows the relay as the mail server, so a sentence about "the relay" says that instead.
    """
    if not sentence:
        return ""
    parts = [_for_readers(sentence)]
    if next_try_at is not None and next_try_at > now:
        parts.append(f"Next try {say_time(next_try_at, now=now)}.")
    if waiting_count:
        parts.append(_say_waiting(waiting_count))
    return " ".join(parts)


def say_canary(until: datetime, *, may_stop: bool, waiting_count: int, now: datetime) -> str:
    """Say that a batch waits for what comes back of its first emails, and when it goes on.

    Args:
        may_stop: Whether it stops by itself if too much comes back. Otherwise only a person stops it.
    """
    sent_ahead = "The first emails of this batch were sent ahead, to see what comes back."
    time = say_time(until, now=now) if until > now else "now"
    after = (
        f"Sending goes on {time}, unless too much does."
        if may_stop
        else f"Sending goes on {time}, unless you pause or cancel it."
    )
    return " ".join((sent_ahead, after, _say_waiting(waiting_count)))


def _say_waiting(count: int) -> str:
    return f"{count:,} is waiting." if count == 1 else f"{count:,} are waiting."


def say_ahead(name: str) -> str:
    """Say that a batch begins when a worker is free. The two are then sent in turns.

    Args:
        name: What the batch is called that is being sent. Empty: the reader may not know it.
    """
    if name:
        return f"It waits for its turn: “{name}” is being sent now."
    return "It waits for its turn: another batch is being sent now."


def say_scheduled(at: datetime, *, now: datetime) -> str:
    """Say when a scheduled batch begins: ``"The emails go out tomorrow at 09:00."``"""
    return f"The emails go out {say_time(at, now=now)}."


def _for_readers(sentence: str) -> str:
    said = _OUR_RELAY.sub("The mail server ", sentence.strip())
    return said if said.endswith((".", "!", "?")) else f"{said}."


def _round_up(at: datetime, seconds: int) -> datetime:
    """Round a local time up to whole minutes of its hour. ``seconds`` divides an hour."""
    past = (at.minute * MINUTE + at.second + at.microsecond / 1e6) % seconds
    return at + timedelta(seconds=seconds - past) if past else at
