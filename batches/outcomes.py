"""The outcomes of one attempt at one email, and the meanings of a relay's reply.

SMTP determines both. The ledger records the outcome with the Attempt.
"""

from django.db.models import TextChoices
from django.utils.translation import gettext_noop as _


class Outcome(TextChoices):
    """The outcome of one attempt."""

    SENT = "sent", _("Sent")
    """The relay accepted the message: a 2xx reply after its final dot."""
    DEFERRED = "deferred", _("Deferred")
    """Temporary: a 4xx reply, or the connection was lost before the message was complete."""
    FAILED = "failed", _("Failed")
    """Permanent: a 5xx reply about the recipient or the message."""
    UNKNOWN = "unknown", _("Unknown")
    """The whole message was sent and no reply came. Nobody can know whether the relay accepted it."""
    INTERRUPTED = "interrupted", "worker died"
    """The worker died during the attempt. Only the sweep records this one."""
    REQUEUED = "requeued", _("Requeued")
    """The relay refused us, not this email. The email is pending again, and no attempt is counted or recorded."""


class ReplyMeaning(TextChoices):
    """What a refusal is about. The rules are in batches/smtp/reply_rules.toml."""

    RECIPIENT = "recipient", "about the recipient"
    CONTENT = "content", "about the message"
    RATE = "rate", "too fast"
    QUOTA = "quota", "the quota is used up"
    LOGIN = "login", "about our login"
    SENDER = "sender", "about the sender"
    POLICY = "policy", "about us, by the relay's policy"
    RELAY = "relay", "a fault of the relay"
