"""Explains an error that means that the local stack is not running, in a sentence instead of a traceback."""

from __future__ import annotations

import redis
from django.conf import settings
from django.db import DatabaseError, connection


def explain(error: BaseException) -> str | None:
    """Return a sentence if this error means that the local stack is not running, else None.

    Errors of a service outside the local stack are left alone, and so are errors of a service that answers.
    """
    if isinstance(error, SystemExit) and not error.code:
        return None
    for cause in _chain(error):
        if isinstance(cause, DatabaseError) and settings.IS_LOCAL_DATABASE and not _is_database_there():
            return _sentence("database")
        if isinstance(cause, redis.ConnectionError) and settings.IS_LOCAL_REDIS:
            return _sentence("Redis")
    return None


def _sentence(service: str) -> str:
    return (
        f"The {service} of the local stack is not running for {settings.DATA_DIR}. Start it with make up in another "
        f"terminal, or set {'DATABASE_URL' if service == 'database' else 'REDIS_URL'} to use a service of your own."
    )


def _is_database_there() -> bool:
    connection.close()
    try:
        connection.ensure_connection()
    except DatabaseError:
        return False
    return True


def _chain(error: BaseException) -> list[BaseException]:
    """Return an error and its causes, the newest first."""
    found: list[BaseException] = []
    link: BaseException | None = error
    while link is not None and link not in found:
        found.append(link)
        link = link.__cause__ or link.__context__
    return found
