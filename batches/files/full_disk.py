"""Recognise a full disk, the server's own or PostgreSQL's, and answer it with StorageFull.

The one place that knows how a full disk shows. API, uploads and imports all ask here.
"""

from __future__ import annotations

import errno
from collections.abc import Iterator
from contextlib import contextmanager

import psycopg.errors
from django.db import OperationalError

from batches.files.errors import StorageFull


def is_disk_full(exc: BaseException) -> bool:
    """Say whether an error means that a disk is full, or that a disk quota is used up."""
    if isinstance(exc, OSError):
        return exc.errno in (errno.ENOSPC, errno.EDQUOT)
    return isinstance(exc, psycopg.errors.DiskFull) or isinstance(exc.__cause__, psycopg.errors.DiskFull)


@contextmanager
def refuse_full_disk() -> Iterator[None]:
    """Turn a full disk into a refusal that a person understands.

    Raises:
        StorageFull: a disk was full. Every other error passes through.
    """
    try:
        yield
    except (OSError, psycopg.errors.DiskFull, OperationalError) as exc:
        if not is_disk_full(exc):
            raise
        raise StorageFull from exc
