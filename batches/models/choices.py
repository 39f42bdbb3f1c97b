"""The statuses and kinds. Each value is written here as a literal and nowhere else."""

from django.db import models


class BatchStatus(models.TextChoices):
    DRAFT = "draft"
    SCHEDULED = "scheduled"
    PENDING = "pending"
    PROCESSING = "processing"
    PAUSED = "paused"
    COMPLETED = "completed"
    FAILED = "failed"
    CANCELLED = "cancelled"


class BatchSource(models.TextChoices):
    UPLOAD = "upload", "uploaded file"
    USERS = "users", "group of users"
    LIST = "list", "list posted to the API"


class EmailStatus(models.TextChoices):
    PENDING = "pending"
    SENDING = "sending"
    SENT = "sent"
    FAILED = "failed"
    UNKNOWN = "unknown"
    SUPPRESSED = "suppressed"
    CANCELLED = "cancelled"


class JobStatus(models.TextChoices):
    SCHEDULED = "scheduled"
    QUEUED = "queued"
    PROCESSING = "processing"
    PAUSED = "paused"
    COMPLETED = "completed"
    FAILED = "failed"
    CANCELLED = "cancelled"


class JobKind(models.TextChoices):
    """The emails of the batch that a job sends."""

    FIRST = "first", "first send"
    FAILED = "failed", "replay of the failed"
    UNKNOWN = "unknown", "replay of the unknown"
    ALL = "all", "replay of all"
    UNSENT = "unsent", "to those who have not got it"


class JobPriority(models.TextChoices):
    """The RQ queue in which a job's lanes are enqueued."""

    HIGH = "high"
    DEFAULT = "default"


class CrashPolicy(models.TextChoices):
    """What happens to the emails that a dead worker had in flight, and to those in doubt (``SEND_ON_CRASH``)."""

    RESEND = "resend"
    """Attempt them again. The recipient may get the message twice."""
    HOLD = "hold"
    """End them as unknown until a person decides."""


class RelayPreset(models.TextChoices):
    """Providers whose usual limits the admin fills in."""

    NONE = "none", "none"
    MICROSOFT365 = "microsoft365", "Microsoft 365"
    WORKSPACE = "workspace", "Google Workspace"
    GMAIL = "gmail", "Gmail"
    SES = "ses", "Amazon SES"


class RejectionKind(models.TextChoices):
    INVALID = "invalid"
    DUPLICATE = "duplicate"
    HIDDEN = "hidden", "hidden in the sheet"


class SharedAddresses(models.TextChoices):
    """What happens to rows of one list that have the same address, as two children of one parent."""

    FIRST = "first", "the first row only"
    """The first row makes an email. The others are rejected as duplicates."""
    EACH = "each", "one mail for each row"
    TOGETHER = "together", "all rows in one mail"
    """One email holds the cells of all rows, and its template shows them with ``{% for row in rows %}``."""


class LetterCheckState(models.TextChoices):
    """How far the check of every letter of a draft is: ``waiting -> running -> waiting | done | killed``."""

    WAITING = "waiting"
    RUNNING = "running"
    DONE = "done"
    KILLED = "killed"
    """The work-horse died, for example because one letter takes too much memory."""


class ApprovalStatus(models.TextChoices):
    """The answer to the question whether a batch may be sent as it was reviewed."""

    WAITING = "waiting"
    APPROVED = "approved"
    REFUSED = "refused"
    VOID = "void"
    """What was to be approved has changed, or the batch was sent or discarded."""


class TokenScope(models.TextChoices):
    """What an API token may do, of what its user may do."""

    READ = "read", "read batches, jobs and templates"
    SEND = "send", "upload, send and steer"
    TEMPLATES = "templates", "write templates"


class AuditAction(models.TextChoices):
    """What an AuditEntry is about."""

    SIGN_IN = "sign_in", "signed in"
    SIGN_OUT = "sign_out", "signed out"
    SIGN_OUT_EVERYWHERE = "sign_out_everywhere", "signed out everywhere"
    PASSWORD_CHANGE = "password_change", "changed a password"
    FACTOR_ADD = "factor_add", "added a second factor"
    FACTOR_REMOVE = "factor_remove", "removed a second factor"
    REAUTHENTICATE = "reauthenticate", "proved again who it is"
    TOKEN_MAKE = "token_make", "made a token"
    TOKEN_REVOKE = "token_revoke", "revoked a token"
    UPLOAD = "upload", "uploaded a list"
    LIST_CHANGE = "list_change", "changed a list"
    REVIEW = "review", "reviewed a batch"
    TEST = "test", "sent a test"
    SEND = "send", "sent a batch"
    DISCARD = "discard", "discarded a draft"
    PAUSE = "pause", "paused a batch"
    RESUME = "resume", "resumed a batch"
    CANCEL = "cancel", "cancelled a batch"
    REPLAY = "replay", "replayed a batch"
    APPROVAL_ASK = "approval_ask", "asked for approval"
    APPROVE = "approve", "approved a batch"
    APPROVAL_REFUSE = "approval_refuse", "refused approval"
    APPROVAL_VOID = "approval_void", "made an approval void"
    TEMPLATE_CHANGE = "template_change", "saved a template"
    TEMPLATE_DELETE = "template_delete", "deleted a template"
    TEMPLATE_DEFAULT = "template_default", "chose the default template"
    SENDER_CHANGE = "sender_change", "changed a sender"
    RELAY_CHANGE = "relay_change", "changed a relay"
    DOWNLOAD = "download", "downloaded data"
    PERSON_SEARCH = "person_search", "searched for a person"
    PERSON_EXPORT = "person_export", "exported a person"
    PERSON_ERASE = "person_erase", "erased a person"
    PURGE = "purge", "purged old data"
    PERMISSION_CHANGE = "permission_change", "changed permissions"
    USER_CHANGE = "user_change", "changed a user"
    ADMIN_CHANGE = "admin_change", "changed something in the admin"
    AUDIT_READ = "audit_read", "downloaded the audit"


LIVE_JOB_STATUSES = (JobStatus.SCHEDULED, JobStatus.QUEUED, JobStatus.PROCESSING, JobStatus.PAUSED)
"""A batch has at most one job with one of these statuses."""
