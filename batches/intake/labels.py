"""What people call a batch, and whether it is a test. A Label enters with an import, or a new name for a batch."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import PurePath
from typing import Any

from django.contrib.auth.models import User
from django.db import transaction

from batches import audit
from batches.models import AuditAction, Batch

NAME_MAX_CHARS = 200


@dataclass(frozen=True, kw_only=True, slots=True)
class Label:
    """What a batch is called, and whether it is a test. Without a name, the pages show the name of its file."""

    name: str = ""
    is_test: bool = False

    def make_batch(self, user: User | None, **columns: Any) -> Batch:
        """Make a batch that is not saved yet."""
        return Batch(created_by=user, name=_tidy(self.name), is_test=self.is_test, **columns)


NO_LABEL = Label()


def name_after_file(filename: str) -> str:
    """Return the name that a person would give a batch: that of its file, without the ending."""
    return PurePath(filename.replace("\\", "/")).stem


def rename_batch(batch: Batch, name: str) -> None:
    """Give a batch another name. Empty: the pages show the name of its file again. Safe to run twice."""
    with transaction.atomic():
        if Batch.objects.rename(batch.pk, name=_tidy(name)):
            audit.record(AuditAction.LIST_CHANGE, batch, change="name")


def keep_printable(text: str) -> str:
    """Leave out the characters that can't be shown, and spaces at both ends."""
    return "".join(char for char in text if char.isprintable()).strip()


def _tidy(name: str) -> str:
    return keep_printable(name)[:NAME_MAX_CHARS]
