"""Reads the return mailbox until it is told to stop. One process in the fleet reads; the others wait.

The holder of an advisory lock reads. It loses the lock with its database connection, so another process takes over at
once when it dies. Two that read for a moment harm nothing: everything counts once.
"""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Mapping

from django.db import DatabaseError, InterfaceError, connection

from batches.returns.doors.address import MailboxAddress, make_mailbox_client
from batches.returns.doors.imap import Mailbox, MailboxError, TokenSource, open_mailbox
from batches.smtp.access_tokens import AccessTokens

logger = logging.getLogger(__name__)

ADVISORY_LOCK = 0x72657475726E  # "return": one process in the fleet reads the mailbox at a time

TURN_SECONDS = 5.0
"""How often a process that waits asks whether it may read."""

RETRY_SECONDS = (5.0, 10.0, 30.0, 60.0)
"""How long the reader waits after a failure, and after each further one."""

_HOLD = """
SELECT EXISTS (
    SELECT FROM pg_locks
    WHERE locktype = 'advisory' AND pid = pg_backend_pid() AND granted
      AND (classid::bigint << 32 | objid::bigint) = %(lock)s AND objsubid = 1
) OR pg_try_advisory_lock(%(lock)s)
"""

_READERS = """
SELECT count(*) FROM pg_locks
WHERE locktype = 'advisory' AND granted AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
  AND (classid::bigint << 32 | objid::bigint) = %(lock)s AND objsubid = 1
"""


def count_readers() -> int:
    """Return how many processes read the return mailbox now: one or none."""
    with connection.cursor() as cursor:
        cursor.execute(_READERS, {"lock": ADVISORY_LOCK})
        [(count,)] = cursor.fetchall()
    return int(count)


def make_token_source(address: MailboxAddress, values: Mapping[str, str]) -> TokenSource | None:
    """Return where the access tokens of a mailbox with ``?oauth=`` come from. None: its login is by password.

    The tokens are kept in this process: no other one reads the mailbox.

    Raises:
        ReturnsUrlError: a variable of RETURNS_OAUTH_* is missing or cannot be used.
    """
    if not address.oauth:
        return None
    tokens = AccessTokens(make_mailbox_client(address, values))

    def find_token(*, refused: str = "") -> str:
        return asyncio.run(tokens.get(refused=refused)).text

    return find_token


class MailboxReader:
    """Reads one mailbox in one thread. Setting ``stop`` ends it within seconds, between two chunks."""

    def __init__(
        self, address: MailboxAddress, *, stop: threading.Event, find_token: TokenSource | None = None
    ) -> None:
        self._address, self._stop, self._find_token = address, stop, find_token
        self._failure_count = 0
        self._is_waiting = False

    def run(self) -> None:
        """Read until ``stop`` is set. An outage of PostgreSQL or of the mail server is waited out."""
        while not self._stop.is_set():
            try:
                if self._holds_lock():
                    self._read()
                else:
                    self._wait_for_lock()
            except MailboxError as exc:
                self._wait_after(str(exc))
            except (DatabaseError, InterfaceError) as exc:
                connection.close()
                self._wait_after(f"PostgreSQL can't be used ({type(exc).__name__}).")
        connection.close()

    def read_once(self) -> dict[bool, int] | None:
        """Read the mailbox once and return how many messages were understood, and how many were not.

        None: another process reads it.

        Raises:
            MailboxError: the mailbox can't be used.
        """
        if not self._holds_lock():
            return None
        with open_mailbox(self._address, find_token=self._find_token) as mailbox:
            return mailbox.read(self._stop.is_set)

    def _read(self) -> None:
        """Read one connection to its end."""
        with open_mailbox(self._address, find_token=self._find_token) as mailbox:
            logger.info("The return mailbox is read.", extra={"action": "read_returns"})
            while not self._stop.is_set() and self._holds_lock():
                self._tell(mailbox.read(self._stop.is_set), mailbox)
                self._failure_count = 0
                mailbox.wait(self._stop.is_set)

    def _tell(self, counts: Mapping[bool, int], mailbox: Mailbox) -> None:
        if any(counts.values()):
            logger.info(
                "Read %s messages of the return mailbox; %s more were not understood and are in its folder %s.",
                counts[True],
                counts[False],
                mailbox.not_understood,
            )

    def _holds_lock(self) -> bool:
        """Take the lock, or see that it is still ours: a connection that was lost has lost it."""
        with connection.cursor() as cursor:
            cursor.execute(_HOLD, {"lock": ADVISORY_LOCK})
            [(is_ours,)] = cursor.fetchall()
        return bool(is_ours)

    def _wait_for_lock(self) -> None:
        if not self._is_waiting:
            logger.info("Another process reads the return mailbox. This one waits.")
        self._is_waiting = True
        self._stop.wait(TURN_SECONDS)

    def _wait_after(self, sentence: str) -> None:
        seconds = RETRY_SECONDS[min(self._failure_count, len(RETRY_SECONDS) - 1)]
        self._failure_count += 1
        logger.warning("%s The return mailbox is read again in %g s.", sentence, seconds)
        self._stop.wait(seconds)
