"""An ApiToken lets a program act as a user. Only its digest is stored."""

from __future__ import annotations

import hashlib
import secrets

from django.conf import settings
from django.contrib.auth.models import User
from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models.functions import Now


class TokenScope(models.TextChoices):
    """What an API token may do, of what its user may do."""

    READ = "read", "read batches, jobs and templates"
    SEND = "send", "upload, send and steer"
    TEMPLATES = "templates", "write templates"


def digest_token(token: str) -> str:
    """Return the SHA-256 of a token in hex. A token has 256 random bits, so a slow hash would add nothing."""
    return hashlib.sha256(token.encode()).hexdigest()


class ApiTokenManager(models.Manager["ApiToken"]):
    def issue(self, user: User) -> str:
        """Create a token for a user and return it. It cannot be read again later."""
        token = secrets.token_urlsafe(32)
        self.create(user=user, digest=digest_token(token))
        return token

    def find_user(self, token: str) -> User | None:
        """Find the active user to whom a token belongs, or None."""
        found = self.filter(digest=digest_token(token), user__is_active=True).select_related("user").first()
        return found.user if found else None


class ApiToken(models.Model):
    """One token of one user, who may have several."""

    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="api_tokens")
    name = models.CharField(max_length=100, db_default="", help_text="What the token is for.")
    digest = models.CharField(max_length=64, unique=True)
    scopes = ArrayField(
        models.CharField(max_length=16, choices=TokenScope),
        default=list,
        db_default=models.Value([scope.value for scope in TokenScope], ArrayField(models.CharField(max_length=16))),
        help_text="What it may do, of what its user may do. A token of an older release has all scopes.",
    )
    password_digest = models.CharField(
        max_length=64,
        blank=True,
        db_default="",
        editable=False,
        help_text="Of the user's session hash. The token ends when the password changes.",
    )
    expires_at = models.DateTimeField(null=True, blank=True)
    last_used_at = models.DateTimeField(null=True, blank=True)
    created_at = models.DateTimeField(db_default=Now())

    objects = ApiTokenManager()

    def __str__(self) -> str:
        return f"token of {self.user}"
