"""The only door in: files, groups of users and lists become batches of emails. It neither sends nor enqueues."""

from batches.files.errors import (
    FileTooLarge,
    IdempotencyConflict,
    IntakeError,
    NotADraft,
    StorageFull,
    UnreadableFile,
    UnsupportedFile,
)
from batches.intake.copying import Counts
from batches.intake.editing import append_csv, discard_draft, rename_merge_fields, reread_upload
from batches.intake.import_progress import ImportProgress, read_import_progress, report_to_redis
from batches.intake.importing import IdempotencyKey, Imported, import_csv, import_group, import_list, import_users

__all__ = [
    "Counts",
    "FileTooLarge",
    "IdempotencyConflict",
    "IdempotencyKey",
    "ImportProgress",
    "Imported",
    "IntakeError",
    "NotADraft",
    "StorageFull",
    "UnreadableFile",
    "UnsupportedFile",
    "append_csv",
    "discard_draft",
    "import_csv",
    "import_group",
    "import_list",
    "import_users",
    "read_import_progress",
    "rename_merge_fields",
    "report_to_redis",
    "reread_upload",
]
