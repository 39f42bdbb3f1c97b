"""Make secrets, and the headers that prove who posts a message (Standard Webhooks, version 1, symmetric signatures)."""

from __future__ import annotations

import base64
import secrets
from datetime import datetime

from standardwebhooks import Webhook as Signer

SECRET_PREFIX = "whsec_"  # noqa: S105  (of every secret)

SECRET_BYTES = 32
"""The specification allows 24 to 64."""

SECRETS_MAX = 2
"""How many secrets a Webhook has while its receiver changes from one to the next."""


def make_secret() -> str:
    """Return a new random secret, as receivers expect it."""
    return SECRET_PREFIX + base64.b64encode(secrets.token_bytes(SECRET_BYTES)).decode()


def add_secret(stored: str) -> str:
    """Return the stored secrets with a new one in front. Of the others, the newest stays."""
    return " ".join([make_secret(), *stored.split()][:SECRETS_MAX])


def make_headers(*, message_id: str, body: str, secret: str, now: datetime) -> dict[str, str]:
    """Return the headers of one attempt. The id is the same in each attempt, and the time is that of this one.

    Args:
        secret: one secret, or several between blanks: then there is a signature by each.
    """
    signatures = [Signer(each).sign(message_id, now, body) for each in secret.split()]
    return {
        "Content-Type": "application/json",
        "webhook-id": message_id,
        "webhook-timestamp": str(int(now.timestamp())),
        "webhook-signature": " ".join(signatures),
    }
