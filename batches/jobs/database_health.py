"""Find out whether PostgreSQL answers, over a connection of its own: the pool of the requests may be empty.

Nothing enters. A yes or no leaves after a few seconds at most, also if the server hangs. One thread asks.
"""

from __future__ import annotations

import select
import time
from contextlib import suppress
from typing import Any

from django.db import DatabaseError, connection
from django.db.backends.base.base import BaseDatabaseWrapper

DATABASE_SECONDS = 3
"""A database that takes longer to answer `SELECT 1` counts as away."""

APPLICATION_NAME = "emailbatch health"
"""What pg_stat_activity says of the connection."""


class DatabaseProbe:
    """A connection that is kept from one question to the next. Use one in one thread only."""

    def __init__(self, *, answer_seconds: float = DATABASE_SECONDS) -> None:
        self._answer_seconds = answer_seconds
        self._connection: BaseDatabaseWrapper | None = None

    def is_up(self) -> bool:
        """Whether PostgreSQL answers in time. A connection that the server has closed is opened again."""
        deadline = time.monotonic() + self._answer_seconds
        is_kept = self._connection is not None
        if self._ask(deadline):
            return True
        return is_kept and time.monotonic() < deadline and self._ask(deadline)

    def close(self) -> None:
        if self._connection is not None:
            kept, self._connection = self._connection, None
            with suppress(DatabaseError):
                kept.close()

    def _ask(self, deadline: float) -> bool:
        try:
            self._connection = self._connection or _open()
            if _select_one(self._connection, deadline):
                return True
        except DatabaseError:
            pass
        self.close()
        return False


def _open() -> BaseDatabaseWrapper:
    own = connection.copy(alias="health")
    options: dict[str, Any] = own.settings_dict["OPTIONS"]
    options.pop("pool", None)
    options |= {"connect_timeout": DATABASE_SECONDS, "application_name": APPLICATION_NAME}
    own.connect()
    return own


def _select_one(own: BaseDatabaseWrapper, deadline: float) -> bool:
    """Ask through libpq, because psycopg waits for an answer without an end."""
    with own.wrap_database_errors:
        pgconn = own.connection.pgconn
        pgconn.send_query(b"SELECT 1")
        poll = select.poll()
        poll.register(pgconn.socket, select.POLLIN)
        has_answer = False
        while True:
            pgconn.consume_input()
            if not pgconn.is_busy():
                result = pgconn.get_result()
                if result is None:
                    return has_answer
                has_answer = result.ntuples == 1
            # At least one look after the deadline: this thread may have waited for its turn, and not for the server.
            elif not poll.poll(max(0.0, deadline - time.monotonic()) * 1000):
                return False
