"""An ApiToken lets a program act as a user; only its digest is kept."""

from __future__ import annotations

import hashlib
import secrets

from django.conf import settings
from django.contrib.auth.models import User
from django.db import models
from django.db.models.functions import Now


def digest_token(token: str) -> str:
    """SHA-256 in hex: a token has 256 random bits, so a slow hash would add nothing."""
    return hashlib.sha256(token.encode()).hexdigest()


class ApiTokenManager(models.Manager["ApiToken"]):
    def issue(self, user: User) -> str:
        """Make a token for a user and return it, which is the only time that it can be seen."""
        token = secrets.token_urlsafe(32)
        self.create(user=user, digest=digest_token(token))
        return token

    def find_user(self, token: str) -> User | None:
        """The active user whom a token stands for, or None."""
        found = self.filter(digest=digest_token(token), user__is_active=True).select_related("user").first()
        return found.user if found else None


class ApiToken(models.Model):
    """One token of one user."""

    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="api_tokens")
    digest = models.CharField(max_length=64, unique=True)
    created_at = models.DateTimeField(db_default=Now())

    objects = ApiTokenManager()

    def __str__(self) -> str:
        return f"token of {self.user}"
