"""Store the file of a draft in the database, in chunks, and read it again as a file."""

from __future__ import annotations

import hashlib
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from typing import BinaryIO, cast

from batches.files.survey import CHUNK_BYTES
from batches.intake import sql
from batches.intake.copying import raw_cursor
from batches.intake.errors import NotADraft
from batches.models import Batch

NOT_STORED = "The file of this batch is no longer stored. Upload it again."


def store_upload(batch: Batch, file: BinaryIO) -> str:
    """Store the file with the batch, within the caller's transaction. Return its SHA-256 in hex.

    The file is left where it was, because its records may be read from there.
    """
    digest = hashlib.sha256()
    position = file.tell()
    file.seek(0)
    with raw_cursor() as cursor, cursor.copy(sql.COPY_UPLOAD) as copy:
        copy.set_types(["int8", "int4", "bytea"])
        number = 0
        while chunk := file.read(CHUNK_BYTES):
            digest.update(chunk)
            copy.write_row((batch.pk, number, chunk))
            number += 1
    file.seek(position)
    return digest.hexdigest()


def digest_file(file: BinaryIO) -> str:
    """Return the SHA-256 of a file in hex."""
    digest = hashlib.sha256()
    file.seek(0)
    while chunk := file.read(CHUNK_BYTES):
        digest.update(chunk)
    return digest.hexdigest()


@contextmanager
def reopen_upload(batch: Batch) -> Iterator[BinaryIO]:
    """Give the stored file as a temporary file that ends with the context.

    Raises:
        NotADraft: no file is stored, because the batch came from no file, was added to, or was sent.
    """
    with tempfile.TemporaryFile() as file:
        for number in range(batch.upload_chunks.count()):
            file.write(batch.upload_chunks.values_list("data", flat=True).get(number=number))
        if not file.tell():
            raise NotADraft(NOT_STORED)
        file.seek(0)
        yield cast(BinaryIO, file)
