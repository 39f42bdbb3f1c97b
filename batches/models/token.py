"""An ApiToken lets a program act as a user. Only its digest is stored."""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Iterable
from datetime import datetime, timedelta

from django.conf import settings
from django.contrib.auth.models import User
from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models.functions import Now
from django.utils import timezone
from django.utils.crypto import constant_time_compare
from django.utils.translation import gettext_lazy as _

LAST_USE_PERIOD = timedelta(minutes=1)
"""How often the last use of a token is written at most, so that a busy program costs no write for each request."""


class TokenScope(models.TextChoices):
    """What an API token may do, of what its user may do."""

    READ = "read", _("read batches, jobs and templates")
    SEND = "send", _("upload, send and steer")
    TEMPLATES = "templates", _("write templates")


def digest_token(token: str) -> str:
    """Return the SHA-256 of a token in hex. A token has 256 random bits, so a slow hash would add nothing."""
    return hashlib.sha256(token.encode()).hexdigest()


class ApiTokenQuerySet(models.QuerySet["ApiToken"]):
    def issue(
        self,
        user: User,
        *,
        name: str = "",
        scopes: Iterable[TokenScope] = tuple(TokenScope),
        expires_at: datetime | None = None,
    ) -> str:
        """Create a token for a user and return it. It cannot be read again later. ``make_token`` also records that."""
        token = secrets.token_urlsafe(32)
        self.create(
            user=user,
            name=name,
            digest=digest_token(token),
            scopes=list(scopes),
            password_digest=user.get_session_auth_hash(),
            expires_at=expires_at,
        )
        return token

    def find_usable(self, token: str) -> ApiToken | None:
        """Find the row of a token that still holds, with its user, and note that it was used.

        None: there is no such token, it has expired, its user is not active, or the user's password has changed since
        the token was made.
        """
        found = self.filter(digest=digest_token(token), user__is_active=True).select_related("user").first()
        if found is None or not found.holds(timezone.now()):
            return None
        if found.last_used_at is None or found.last_used_at < timezone.now() - LAST_USE_PERIOD:
            found.note_use()
        return found

    def find_user(self, token: str, *, scope: TokenScope | None = None) -> User | None:
        """Find the active user to whom a token belongs, or None. A token without the scope is none."""
        found = self.find_usable(token)
        return found.user if found and (scope is None or found.allows(scope)) else None


class ApiToken(models.Model):
    """One token of one user, who may have several."""

    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="api_tokens")
    name = models.CharField(max_length=100, db_default="", help_text=_("What the token is for."))
    digest = models.CharField(max_length=64, unique=True)
    scopes = ArrayField(
        models.CharField(max_length=16, choices=TokenScope),
        default=list,
        db_default=models.Value([scope.value for scope in TokenScope], ArrayField(models.CharField(max_length=16))),
        help_text=_("What it may do, of what its user may do. A token of an older release has all scopes."),
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

    objects = ApiTokenQuerySet.as_manager()

    def __str__(self) -> str:
        return f"token {self.name}" if self.name else f"token {self.pk}"

    def holds(self, now: datetime) -> bool:
        """Tell whether the token has not expired, and its user has the password of the time when it was made."""
        if self.expires_at is not None and self.expires_at <= now:
            return False
        # A session ends by the same comparison. A new SECRET_KEY ends neither while the old one is a fallback.
        hashes = [self.user.get_session_auth_hash(), *self.user.get_session_auth_fallback_hash()]
        return any(constant_time_compare(self.password_digest, each) for each in hashes)

    def allows(self, scope: TokenScope) -> bool:
        """Tell whether the token has a scope."""
        return scope.value in self.scopes

    def note_use(self) -> None:
        """Write when the token was used, unless another request has done so within LAST_USE_PERIOD."""
        stale = models.Q(last_used_at=None) | models.Q(last_used_at__lt=Now() - LAST_USE_PERIOD)
        ApiToken.objects.filter(stale, pk=self.pk).update(last_used_at=Now())
