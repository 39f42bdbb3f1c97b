"""The only door in: files, groups of users and lists become batches of emails. It neither sends nor enqueues."""

from batches.intake.errors import (
    FileTooLarge,
    IdempotencyConflict,
    IntakeError,
    NotADraft,
    StorageFull,
    UnreadableFile,
    UnsupportedFile,
)
from batches.intake.importing import IdempotencyKey, Imported, import_csv, import_group, import_list, import_users

__all__ = [
    "FileTooLarge",
    "IdempotencyConflict",
    "IdempotencyKey",
    "Imported",
    "IntakeError",
    "NotADraft",
    "StorageFull",
    "UnreadableFile",
    "UnsupportedFile",
    "import_csv",
    "import_group",
    "import_list",
    "import_users",
]
