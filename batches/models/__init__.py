"""Tables, constraints, conditional transitions and the hand-written SQL. Never sends, publishes or enqueues."""

from batches.models.approval import Approval
from batches.models.audit import AuditAction, AuditEntry
from batches.models.batch import Batch, RejectedRow, UploadChunk
from batches.models.choices import (
    LIVE_JOB_STATUSES,
    ApprovalStatus,
    BatchSource,
    BatchStatus,
    CrashPolicy,
    EmailState,
    EmailStatus,
    JobKind,
    JobPriority,
    JobStatus,
    LetterCheckState,
    RejectionKind,
    RelayPreset,
    ReturnClass,
    ReturnKind,
    SharedAddresses,
    SuppressionReason,
    TemplateKind,
    TopicKind,
    WebhookEvent,
)
from batches.models.confirmation import Confirmation, ConfirmedThing
from batches.models.email import WAS_SENT, Attempt, Email, EmailQuerySet
from batches.models.job import EmailJob, Lane
from batches.models.letter_frame import FRAME_ID, LetterFrame, Picture
from batches.models.person import NO_OWNER, Person, PersonEmail
from batches.models.preference import Preference
from batches.models.progress_mark import ProgressMark
from batches.models.relay import Relay, RelayPause, RelayQuota, RelayToken, RelayUse, Reservation
from batches.models.retention import Retention
from batches.models.returned import Return, WaitingReturn
from batches.models.round_trip import RoundTrip
from batches.models.sender import DEFAULT_SENDER, Sender
from batches.models.suppression import Suppression, SuppressionList
from batches.models.template import EmailTemplate, TemplateNotFound, TemplateVersion
from batches.models.token import ApiToken, TokenScope
from batches.models.topic import NEWS_TOPIC, SERVICE_TOPIC, Topic
from batches.models.unknown_report import UnknownReport
from batches.models.webhook import Webhook, WebhookDelivery

__all__ = [
    "DEFAULT_SENDER",
    "FRAME_ID",
    "LIVE_JOB_STATUSES",
    "NEWS_TOPIC",
    "NO_OWNER",
    "SERVICE_TOPIC",
    "WAS_SENT",
    "ApiToken",
    "Approval",
    "ApprovalStatus",
    "Attempt",
    "AuditAction",
    "AuditEntry",
    "Batch",
    "BatchSource",
    "BatchStatus",
    "Confirmation",
    "ConfirmedThing",
    "CrashPolicy",
    "Email",
    "EmailJob",
    "EmailQuerySet",
    "EmailState",
    "EmailStatus",
    "EmailTemplate",
    "JobKind",
    "JobPriority",
    "JobStatus",
    "Lane",
    "LetterCheckState",
    "LetterFrame",
    "Person",
    "PersonEmail",
    "Picture",
    "Preference",
    "ProgressMark",
    "RejectedRow",
    "RejectionKind",
    "Relay",
    "RelayPause",
    "RelayPreset",
    "RelayQuota",
    "RelayToken",
    "RelayUse",
    "Reservation",
    "Retention",
    "Return",
    "ReturnClass",
    "ReturnKind",
    "RoundTrip",
    "Sender",
    "SharedAddresses",
    "Suppression",
    "SuppressionList",
    "SuppressionReason",
    "TemplateKind",
    "TemplateNotFound",
    "TemplateVersion",
    "TokenScope",
    "Topic",
    "TopicKind",
    "UnknownReport",
    "UploadChunk",
    "WaitingReturn",
    "Webhook",
    "WebhookDelivery",
    "WebhookEvent",
]
