"""How long a session lasts: until it is idle for too long, and never longer than a maximum after the sign-in.

A session enters; whether it is over leaves, and its end is moved. The end is stored in the session's row. So pages, the
API and open sockets all see it, because none of them can load a session that has ended.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from allauth.usersessions.models import UserSession
from django.conf import settings
from django.contrib.sessions.models import Session

SIGNED_IN_AT = "signed_in_at"
_REFRESHED_AT = "refreshed_at"

REFRESH_SECONDS = 60
"""How often a used session is written. So an idle session may end this much earlier than ``SESSION_IDLE_SECONDS``."""


STRANGERS_SECONDS = 900
"""How long the session of a stranger lasts, which holds a sign-in that has begun: its challenge, or its first step."""


def begin(session: Any, *, now: datetime) -> None:
    """Begin the time of a session in which a user has just signed in."""
    session[SIGNED_IN_AT] = now.timestamp()
    _move_end(session, now=now)


def is_over(session: Any, *, now: datetime) -> bool:
    """Whether a signed-in session has lasted too long. One from before there were limits is over."""
    signed_in_at = session.get(SIGNED_IN_AT)
    return not isinstance(signed_in_at, int | float) or now.timestamp() >= signed_in_at + settings.SESSION_MAX_SECONDS


def refresh(session: Any, *, now: datetime) -> bool:
    """Move the end of a session that is used. Returns whether it was due: once a minute at most."""
    step = min(REFRESH_SECONDS, settings.SESSION_IDLE_SECONDS / 10)
    if now.timestamp() < session.get(_REFRESHED_AT, 0) + step:
        return False
    _move_end(session, now=now)
    return True


def shorten(session: Any, *, seconds: int = STRANGERS_SECONDS) -> None:
    """End the session of a stranger soon. Each request to begin a sign-in makes a new one."""
    if session.modified and not session.is_empty():
        session.set_expiry(seconds)


def has_ended(*, now: datetime) -> bool:
    """Whether there are sessions that ``forget_ended`` would delete."""
    return Session.objects.filter(expire_date__lt=now).exists()


def forget_ended(*, now: datetime) -> int:
    """Delete the sessions that have ended, with their devices and addresses. Returns how many ended."""
    count = Session.objects.filter(expire_date__lt=now).delete()[0]
    UserSession.objects.exclude(session_key__in=Session.objects.values("session_key")).delete()
    return count


def _move_end(session: Any, *, now: datetime) -> None:
    last = datetime.fromtimestamp(session[SIGNED_IN_AT] + settings.SESSION_MAX_SECONDS, tz=now.tzinfo)
    session[_REFRESHED_AT] = now.timestamp()
    session.set_expiry(min(now + timedelta(seconds=settings.SESSION_IDLE_SECONDS), last))
