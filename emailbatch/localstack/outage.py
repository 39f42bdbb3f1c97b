"""Explains an error that means that a service does not answer, in a sentence instead of a traceback."""

from __future__ import annotations

import redis
from django.conf import settings
from django.db import DatabaseError, connection


def explain(error: BaseException) -> str | None:
    """Return a sentence if this error means that PostgreSQL or the local stack's Redis does not answer, else None.

    Errors of a service that answers are left alone.
    """
    if isinstance(error, SystemExit) and not error.code:
        return None
    for cause in _chain(error):
        if isinstance(cause, DatabaseError) and (fault := _find_database_fault()):
            return _sentence("database") if settings.IS_LOCAL_DATABASE else fault
        if isinstance(cause, redis.ConnectionError) and settings.IS_LOCAL_REDIS:
            return _sentence("Redis")
    return None


def _sentence(service: str) -> str:
    return (
        f"The {service} of the local stack is not running for {settings.DATA_DIR}. Start it with make up in another "
        f"terminal, or set {'DATABASE_URL' if service == 'database' else 'REDIS_URL'} to use a service of your own."
    )


def _find_database_fault() -> str | None:
    """Connect, and return why that fails in a sentence, or None. libpq's messages contain no password."""
    connection.close()
    try:
        connection.ensure_connection()
    except DatabaseError as exc:
        reason = (str(exc).splitlines() or ["no reason is known"])[0].rstrip(".")
        return f"PostgreSQL can't be reached: {reason}. Start it, or correct DATABASE_URL."
    return None


def _chain(error: BaseException) -> list[BaseException]:
    """Return an error and its causes, the newest first."""
    found: list[BaseException] = []
    link: BaseException | None = error
    while link is not None and link not in found:
        found.append(link)
        link = link.__cause__ or link.__context__
    return found
