"""What can stop an import. Each message is a full sentence that a person can act on."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from contextlib import contextmanager

import psycopg.errors
from django.db import OperationalError


class IntakeError(Exception):
    """The request can't become a batch. Nothing was kept of it."""

    http_status = 400

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.message = message


class UnreadableFile(IntakeError):
    """The file is broken; the message names the line where it shows."""


class UnsupportedFile(IntakeError):
    """The file is not a list of recipients at all: an archive, a picture, a program."""

    http_status = 415


class FileTooLarge(IntakeError):
    """The file is longer than UPLOAD_MAX_BYTES, or unpacks to more than a sheet may."""

    http_status = 413


class IdempotencyConflict(IntakeError):
    """The key came before with another request."""

    http_status = 409


class NotADraft(IntakeError):
    """The batch was sent, or is being sent: its list can't change any more."""

    http_status = 409


class StorageFull(IntakeError):
    """The disk of the database or of the temporary files is full."""

    http_status = 507


@contextmanager
def storage_errors() -> Iterator[None]:
    """Turn a full disk, ours or PostgreSQL's, into StorageFull."""
    try:
        yield
    except OSError as exc:
        if exc.errno not in (errno.ENOSPC, errno.EDQUOT):
            raise
        raise _storage_full() from exc
    except psycopg.errors.DiskFull as exc:
        raise _storage_full() from exc
    except OperationalError as exc:
        if not isinstance(exc.__cause__, psycopg.errors.DiskFull):
            raise
        raise _storage_full() from exc


def _storage_full() -> StorageFull:
    return StorageFull("The disk is full, so nothing was imported. Ask the administrator to make room, then try again.")
