"""Which times a batch may be sent at. A wrong time can't be taken back: the mail has gone, or nobody expects it."""

from __future__ import annotations

from datetime import datetime, timedelta

AHEAD_MAX = timedelta(days=36525)
"""A hundred years. It also keeps every time in reach of PostgreSQL's and Python's calendars in any zone."""

PASSED_MAX = timedelta(days=1)
"""How long ago the time in a request of a program may be, because clocks differ. The mail then goes now."""


def say_bad_send_time(at: datetime, *, now: datetime, passed_max: timedelta = PASSED_MAX) -> str:
    """Say why a batch can't be sent at a time, and what to do. Empty: it can. Both times have a zone."""
    if at - now > AHEAD_MAX:
        return "That time is more than a hundred years away. Write an earlier one."
    if now - at >= passed_max:
        return "That time has passed. Choose a later one, or none to send now."
    return ""
