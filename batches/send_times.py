"""Which times a batch may be sent at, and what a time on the clock means in a zone.

A wrong time can't be taken back: the mail has gone, or nobody expects it. So a time that the clocks skip is refused,
and one that they show twice needs a choice.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, tzinfo
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

AHEAD_MAX = timedelta(days=36525)
"""A hundred years. It also keeps every time in reach of PostgreSQL's and Python's calendars in any zone."""

PASSED_MAX = timedelta(days=1)
"""How long ago the time in a request of a program may be, because clocks differ. The mail then goes now."""

ZONE_MAX_CHARS = 64
"""No name of a zone is longer. Another one is not looked for among the files of this machine."""


class UnknownZone(Exception):
    """This machine knows no time zone of that name."""

    def __init__(self, zone: str) -> None:
        super().__init__(zone)
        self.zone = zone[:ZONE_MAX_CHARS]


class DoesNotExist(Exception):
    """The clocks go forward over this time."""

    def __init__(self, zone: str, later: datetime) -> None:
        super().__init__(f"{later} in {zone}")
        self.zone = zone
        self.later = later
        """The time that the clocks show when they would show it."""


class ComesTwice(Exception):
    """The clocks go back over this time, and nobody has chosen one of the two."""

    def __init__(self, zone: str) -> None:
        super().__init__(zone)
        self.zone = zone


def find_zone(name: str) -> ZoneInfo:
    """Find a zone by its name in the time zone database, such as ``Europe/Berlin``.

    Raises:
        UnknownZone: there is none.
    """
    if not name or len(name) > ZONE_MAX_CHARS:
        raise UnknownZone(name)
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError) as exc:  # a name with .. or of a folder
        raise UnknownZone(name) from exc


def in_zone(typed: datetime, zone: tzinfo, *, which: str = "") -> datetime:
    """Return the moment at which the clocks of a zone show a time.

    Args:
        typed: Date and time without a zone.
        which: ``first`` or ``second``, if the clocks show it twice.

    Raises:
        DoesNotExist: the clocks never show it.
        ComesTwice: they show it twice, and ``which`` is neither.
    """
    first, second = typed.replace(tzinfo=zone, fold=0), typed.replace(tzinfo=zone, fold=1)
    if first.utcoffset() == second.utcoffset():
        return first
    later = first.astimezone(UTC).astimezone(zone)
    if later.replace(tzinfo=None) != typed:  # PEP 495: a time in a gap does not survive the way over UTC
        raise DoesNotExist(str(zone), later)
    if which not in ("first", "second"):
        raise ComesTwice(str(zone))
    return first if which == "first" else second


def twins_of(typed: datetime, zone: tzinfo) -> tuple[datetime, ...]:
    """Return the two moments at which the clocks show a time. Empty: they show it once, or never."""
    try:
        in_zone(typed, zone)
    except ComesTwice:
        return in_zone(typed, zone, which="first"), in_zone(typed, zone, which="second")
    except DoesNotExist:
        return ()
    return ()


def name_offset(at: datetime) -> str:
    """Say how far a time is from UTC: ``"+2"``, ``"-3:30"``."""
    minutes = int((at.utcoffset() or timedelta()).total_seconds() // 60)
    hours, rest = divmod(abs(minutes), 60)
    return f"{'-' if minutes < 0 else '+'}{hours}{f':{rest:02}' if rest else ''}"


def say_bad_send_time(at: datetime, *, now: datetime, passed_max: timedelta = PASSED_MAX) -> str:
    """Say why a batch can't be sent at a time, and what to do. Empty: it can. Both times have a zone."""
    if at - now > AHEAD_MAX:
        return "That time is more than a hundred years away. Write an earlier one."
    if now - at >= passed_max:
        return "That time has passed. Choose a later one, or none to send now."
    return ""
