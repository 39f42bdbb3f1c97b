"""What can be wrong with a request that changes or makes a batch. Each message is a sentence to act on."""

from __future__ import annotations

from batches.files.errors import ListRefused


class IdempotencyConflict(ListRefused):
    """The idempotency key was used before, for another request."""

    http_status = 409


class NotADraft(ListRefused):
    """The batch was sent or is being sent, so its list can't change any more."""

    http_status = 409


class NoRecipients(ListRefused):
    """No row of the list can become an email."""
