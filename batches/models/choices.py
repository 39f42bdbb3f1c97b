"""The statuses and kinds. Each value is written here as a literal and nowhere else."""

from django.db import models
from django.utils.translation import gettext_lazy as _


class BatchStatus(models.TextChoices):
    DRAFT = "draft", _("Draft")
    SCHEDULED = "scheduled", _("Scheduled")
    PENDING = "pending", _("Pending")
    PROCESSING = "processing", _("Processing")
    PAUSED = "paused", _("Paused")
    COMPLETED = "completed", _("Completed")
    FAILED = "failed", _("Failed")
    CANCELLED = "cancelled", _("Cancelled")


class BatchSource(models.TextChoices):
    UPLOAD = "upload", _("uploaded file")
    USERS = "users", _("group of users")
    LIST = "list", _("list posted to the API")


class EmailStatus(models.TextChoices):
    PENDING = "pending", _("Pending")
    SENDING = "sending", _("Sending")
    SENT = "sent", _("Sent")
    FAILED = "failed", _("Failed")
    UNKNOWN = "unknown", _("Not certain")
    SUPPRESSED = "suppressed", _("On the do-not-send list")
    CANCELLED = "cancelled", _("Not sent")


class EmailState(models.TextChoices):
    """By what a list of emails is filtered: by the state of an email, or by what came back of a sent one."""

    PENDING = EmailStatus.PENDING.value, EmailStatus.PENDING.label
    SENDING = EmailStatus.SENDING.value, EmailStatus.SENDING.label
    SENT = EmailStatus.SENT.value, EmailStatus.SENT.label
    FAILED = EmailStatus.FAILED.value, EmailStatus.FAILED.label
    UNKNOWN = EmailStatus.UNKNOWN.value, EmailStatus.UNKNOWN.label
    SUPPRESSED = EmailStatus.SUPPRESSED.value, EmailStatus.SUPPRESSED.label
    CANCELLED = EmailStatus.CANCELLED.value, EmailStatus.CANCELLED.label
    RETURNED = "returned", _("Came back")
    COMPLAINED = "complained", _("Complained")


class JobStatus(models.TextChoices):
    SCHEDULED = "scheduled", _("Scheduled")
    QUEUED = "queued", _("Queued")
    PROCESSING = "processing", _("Processing")
    PAUSED = "paused", _("Paused")
    COMPLETED = "completed", _("Completed")
    FAILED = "failed", _("Failed")
    CANCELLED = "cancelled", _("Cancelled")


class JobKind(models.TextChoices):
    """The emails of the batch that a job sends."""

    FIRST = "first", _("first send")
    FAILED = "failed", _("replay of the failed")
    UNKNOWN = "unknown", _("replay of the unknown")
    ALL = "all", _("replay of all")
    UNSENT = "unsent", _("to those who have not got it")


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

    NONE = "none", _("none")
    MICROSOFT365 = "microsoft365", _("Microsoft 365")
    WORKSPACE = "workspace", _("Google Workspace")
    GMAIL = "gmail", _("Gmail")
    SES = "ses", _("Amazon SES")


class RejectionKind(models.TextChoices):
    INVALID = "invalid", _("Invalid")
    DUPLICATE = "duplicate", _("Duplicate")
    HIDDEN = "hidden", _("hidden in the sheet")


class SharedAddresses(models.TextChoices):
    """What happens to rows of one list that have the same address, as two children of one parent."""

    FIRST = "first", _("the first row only")
    """The first row makes an email. The others are rejected as duplicates."""
    EACH = "each", _("one mail for each row")
    TOGETHER = "together", _("all rows in one mail")
    """One email holds the cells of all rows, and its template shows them with ``{% for row in rows %}``."""


class LetterCheckState(models.TextChoices):
    """How far the check of every letter of a draft is: ``waiting -> running -> waiting | done | killed``."""

    WAITING = "waiting"
    RUNNING = "running"
    DONE = "done"
    KILLED = "killed"
    """The work-horse died, for example because one letter takes too much memory."""


class TopicKind(models.TextChoices):
    """Whether recipients can unsubscribe from a topic."""

    NEWS = "news", _("news: recipients can unsubscribe")
    SERVICE = "service", _("service: what somebody has to get")


class SuppressionReason(models.TextChoices):
    """Why an address gets no mail. Only ``UNSUBSCRIBED`` leaves service mail alone."""

    UNSUBSCRIBED = "unsubscribed", _("unsubscribed")
    BOUNCED = "bounced", _("mail came back")
    COMPLAINED = "complained", _("complained")
    MANUAL = "manual", _("entered by hand")
    IMPORTED = "imported", _("imported")
    ERASED = "erased", _("erased on request")


class ReturnKind(models.TextChoices):
    """What came back after a relay had taken a message."""

    BOUNCED = "bounced", _("came back")
    """A delivery status notification, or a bounce in another form (RFC 3464)."""
    COMPLAINED = "complained", _("complaint")
    """A feedback report (RFC 5965)."""
    AUTO_REPLY = "auto_reply", _("automatic reply")
    """Such as an out-of-office reply (RFC 3834). It says nothing about the delivery."""
    REFUSED = "refused", _("refused by the relay")
    """The relay refused it in the session, so the email failed and did not come back. Kept for what it says about the
    address: see ``returns.thresholds``."""


class ReturnClass(models.TextChoices):
    """What a bounce means for the next mail to the same address."""

    GONE = "gone", _("the address is gone")
    FULL = "full", _("the mailbox is full")
    BLOCKED = "blocked", _("blocked by the receiver")
    CONTENT = "content", _("the content was refused")
    PASSING = "passing", _("passing")
    OTHER = "other", _("not known")


class WebhookEvent(models.TextChoices):
    """What a Webhook can tell another program."""

    BATCH_ENDED = "batch.ended", _("a batch ended")
    EMAIL_FAILED = "email.failed", _("an email failed")
    EMAIL_RETURNED = "email.returned", _("an email came back")
    UNSUBSCRIBED = "recipient.unsubscribed", _("a recipient unsubscribed")
    TEST = "webhook.test", _("a test")
    """Sent by a person's press, to one Webhook, whatever it wants."""


class ApprovalStatus(models.TextChoices):
    """The answer to the question whether a batch may be sent as it was reviewed."""

    WAITING = "waiting", _("Waiting")
    APPROVED = "approved", _("Approved")
    REFUSED = "refused", _("Refused")
    VOID = "void", _("Void")
    """What was to be approved has changed, or the batch was sent or discarded."""


LIVE_JOB_STATUSES = (JobStatus.SCHEDULED, JobStatus.QUEUED, JobStatus.PROCESSING, JobStatus.PAUSED)
"""A batch has at most one job with one of these statuses."""


class TemplateKind(models.TextChoices):
    """How a person writes the body of a template."""

    MARKDOWN = "markdown", _("Letter")
    HTML = "html", _("HTML")
