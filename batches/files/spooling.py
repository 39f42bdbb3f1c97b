"""Bring an upload into a file that can be read more than once, and refuse an upload that is too long."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from typing import BinaryIO

from django.conf import settings
from django.template.defaultfilters import filesizeformat

from batches.files.errors import FileTooLarge
from batches.files.survey import CHUNK_BYTES


@contextmanager
def seekable(stream: BinaryIO) -> Iterator[BinaryIO]:
    """Give the stream itself if it can seek, else a copy in a temporary file that ends with the context.

    Raises:
        FileTooLarge: the stream is longer than UPLOAD_MAX_BYTES. A stream that can't seek is read no further than that.
    """
    if stream.seekable():
        check_size(stream.seek(0, 2))
        stream.seek(0)
        yield stream
        return
    with tempfile.TemporaryFile() as file:
        spool(stream, file)
        file.seek(0)
        yield file


def spool(stream: BinaryIO, file: BinaryIO) -> None:
    """Copy a stream in chunks.

    Raises:
        FileTooLarge: the stream is longer than UPLOAD_MAX_BYTES.
    """
    size = 0
    while chunk := stream.read(CHUNK_BYTES):
        size += len(chunk)
        check_size(size)
        file.write(chunk)
    file.flush()


def check_size(size: int) -> None:
    """Refuse a list by its size in bytes.

    Raises:
        FileTooLarge: it is longer than UPLOAD_MAX_BYTES.
    """
    if size > settings.UPLOAD_MAX_BYTES:
        raise FileTooLarge(too_large_sentence())


def too_large_sentence() -> str:
    """Say that a list, or the request that brings it, is too large. Every door answers with this sentence."""
    return (
        f"The list is larger than the limit of {filesizeformat(settings.UPLOAD_MAX_BYTES)}. "
        "Split it into smaller lists, or ask the administrator to raise UPLOAD_MAX_BYTES."
    )
