"""Tables, constraints, conditional transitions and the named SQL. Never sends, publishes or enqueues."""

from batches.models.batch import Batch, RejectedRow, UploadChunk
from batches.models.choices import (
    LIVE_JOB_STATUSES,
    BatchSource,
    BatchStatus,
    CrashPolicy,
    EmailStatus,
    JobKind,
    JobPriority,
    JobStatus,
    RejectionKind,
)
from batches.models.claims import Claims, read_claims
from batches.models.email import Attempt, Email
from batches.models.job import EmailJob, Lane
from batches.models.template import EmailTemplate, TemplateNotFound
from batches.models.token import ApiToken

__all__ = [
    "LIVE_JOB_STATUSES",
    "ApiToken",
    "Attempt",
    "Batch",
    "BatchSource",
    "BatchStatus",
    "Claims",
    "CrashPolicy",
    "Email",
    "EmailJob",
    "EmailStatus",
    "EmailTemplate",
    "JobKind",
    "JobPriority",
    "JobStatus",
    "Lane",
    "RejectedRow",
    "RejectionKind",
    "TemplateNotFound",
    "UploadChunk",
    "read_claims",
]
