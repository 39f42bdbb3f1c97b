from __future__ import annotations

import errno

import psycopg.errors
import pytest
from django.db import OperationalError

from batches.files.errors import StorageFull
from batches.files.full_disk import is_disk_full, refuse_full_disk


def wrapped(cause: Exception) -> OperationalError:
    """An error of PostgreSQL as Django raises it."""
    error = OperationalError("could not extend file")
    error.__cause__ = cause
    return error


FULL = [
    OSError(errno.ENOSPC, "No space left on device"),
    OSError(errno.EDQUOT, "Disk quota exceeded"),
    psycopg.errors.DiskFull("could not extend file"),
    wrapped(psycopg.errors.DiskFull("could not extend file")),
]
OTHER = [
    OSError(errno.EACCES, "Permission denied"),
    wrapped(psycopg.errors.OutOfMemory("out of memory")),
    OperationalError("the connection is closed"),
]


@pytest.mark.parametrize("error", FULL, ids=repr)
def test_storage_is_full_when_the_disk_or_the_quota_is(error: Exception) -> None:
    assert is_disk_full(error)
    with pytest.raises(StorageFull, match="disk is full, so nothing was kept") as caught, refuse_full_disk():
        raise error
    assert caught.value.http_status == 507


@pytest.mark.parametrize("error", OTHER, ids=repr)
def test_error_passes_through_when_it_is_about_something_else(error: Exception) -> None:
    assert not is_disk_full(error)
    with pytest.raises(type(error)) as caught, refuse_full_disk():
        raise error
    assert caught.value is error
