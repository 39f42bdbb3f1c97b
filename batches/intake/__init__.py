"""The only door in: files, groups of users and lists become batches of emails. It neither sends nor enqueues."""

from batches.intake.copying import Counts
from batches.intake.drafts import append_csv, discard_draft, rename_merge_fields, reread_upload
from batches.intake.errors import (
    FileTooLarge,
    IdempotencyConflict,
    IntakeError,
    NotADraft,
    StorageFull,
    UnreadableFile,
    UnsupportedFile,
)
from batches.intake.exporting import rejected_csv, results_csv
from batches.intake.importing import IdempotencyKey, Imported, import_csv, import_group, import_list, import_users
from batches.intake.reporting import Loading, read_loading, report_to_redis
from batches.intake.reviewing import Review, ReviewRow, review

__all__ = [
    "Counts",
    "FileTooLarge",
    "IdempotencyConflict",
    "IdempotencyKey",
    "Imported",
    "IntakeError",
    "Loading",
    "NotADraft",
    "Review",
    "ReviewRow",
    "StorageFull",
    "UnreadableFile",
    "UnsupportedFile",
    "append_csv",
    "discard_draft",
    "import_csv",
    "import_group",
    "import_list",
    "import_users",
    "read_loading",
    "rejected_csv",
    "rename_merge_fields",
    "report_to_redis",
    "reread_upload",
    "results_csv",
    "review",
]
