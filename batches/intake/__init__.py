"""The only door in: a list of recipients becomes a batch.

An uploaded file, a group of users, or a list posted to the API enters. A Batch leaves, with its emails and its rejected
rows, written in one transaction. A list that can't be used raises a ListRefused. This package sends
nothing and enqueues nothing.
"""

from batches.files.errors import FileTooLarge, ListRefused, StorageFull, UnreadableFile, UnsupportedFile
from batches.files.opening import ReadingOptions
from batches.intake.copying import Counts
from batches.intake.duplicating import copy_batch
from batches.intake.editing import append_csv, discard_draft, rename_merge_fields, reread_upload
from batches.intake.errors import IdempotencyConflict, NoRecipients, NotADraft
from batches.intake.import_progress import ImportProgress, read_import_progress, report_to_redis
from batches.intake.importing import (
    IdempotencyKey,
    Imported,
    import_csv,
    import_group,
    import_list,
    import_users,
)
from batches.intake.labels import NAME_MAX_CHARS, Label, name_after_file, rename_batch
from batches.intake.uploads import digest_file

__all__ = [
    "NAME_MAX_CHARS",
    "Counts",
    "FileTooLarge",
    "IdempotencyConflict",
    "IdempotencyKey",
    "ImportProgress",
    "Imported",
    "Label",
    "ListRefused",
    "NoRecipients",
    "NotADraft",
    "ReadingOptions",
    "StorageFull",
    "UnreadableFile",
    "UnsupportedFile",
    "append_csv",
    "copy_batch",
    "digest_file",
    "discard_draft",
    "import_csv",
    "import_group",
    "import_list",
    "import_users",
    "name_after_file",
    "read_import_progress",
    "rename_batch",
    "rename_merge_fields",
    "report_to_redis",
    "reread_upload",
]
