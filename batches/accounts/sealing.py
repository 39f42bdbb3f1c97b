"""Seal the secrets of authenticator apps and recovery codes, so that a copy of the database alone shows none.

The key comes from SECRET_KEY. After a new SECRET_KEY the sealed secrets cannot be read, and no code of theirs is right.
"""

from __future__ import annotations

import base64
import logging

from allauth.mfa.adapter import DefaultMFAAdapter
from allauth.mfa.totp.internal.auth import generate_totp_secret
from cryptography.fernet import Fernet, InvalidToken
from django.utils.crypto import salted_hmac
from django.utils.translation import gettext_lazy

logger = logging.getLogger(__name__)

_SALT = "batches.accounts.sealing"


class SealingAdapter(DefaultMFAAdapter):  # type: ignore[misc]  # allauth has no types
    """What django-allauth calls before it stores a secret and after it has read one, and what a wrong code is told."""

    error_messages = {
        **DefaultMFAAdapter.error_messages,
        "incorrect_code": gettext_lazy(
            "This code is not right. Write the one that the app shows now: it changes every 30 seconds. If it is still "
            "refused, set the clock of the phone, or use a recovery code."
        ),
    }

    def encrypt(self, text: str) -> str:
        return _box().encrypt(text.encode()).decode()

    def decrypt(self, encrypted_text: str) -> str:
        """Return the secret, or a new one that nobody knows if it was sealed with another key."""
        try:
            return _box().decrypt(encrypted_text.encode()).decode()
        except InvalidToken:
            logger.warning(
                "The secret of a second factor can't be read, because SECRET_KEY has changed since. Run manage.py "
                "removefactors USER for each user who has lost the factors, after you made sure who it is.",
                extra={"action": "factor_unreadable"},
            )
            return str(generate_totp_secret())


def _box() -> Fernet:
    return Fernet(base64.urlsafe_b64encode(salted_hmac(_SALT, "", algorithm="sha256").digest()))
