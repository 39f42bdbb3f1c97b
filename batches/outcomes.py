"""The outcomes of one attempt at one email. SMTP determines an outcome, and the ledger records it with the Attempt."""

from django.db.models import TextChoices


class Outcome(TextChoices):
    """The outcome of one attempt."""

    SENT = "sent"
    """The relay accepted the message: a 2xx reply after its final dot."""
    DEFERRED = "deferred"
    """Temporary: a 4xx reply, or the connection was lost before the message was complete."""
    FAILED = "failed"
    """Permanent: a 5xx reply about the recipient or the message."""
    UNKNOWN = "unknown"
    """The whole message was sent and no reply came. Nobody can know whether the relay accepted it."""
    INTERRUPTED = "interrupted", "worker died"
    """The worker died during the attempt. Only the sweep records this one."""
    REQUEUED = "requeued"
    """The relay refused us, not this email. The email is pending again, and no attempt is counted or recorded."""
