"""A Sender is whom a mail comes from: display name, address and Reply-To, and who may use it."""

from __future__ import annotations

from typing import Self

from django.conf import settings
from django.contrib.auth.models import AbstractBaseUser, AnonymousUser, Group, PermissionsMixin
from django.db import models
from django.db.models.functions import Now

DEFAULT_SENDER = "default"
"""The key of the sender that the migration makes of DEFAULT_FROM_EMAIL."""


class SenderQuerySet(models.QuerySet["Sender"]):
    def usable_by(self, user: AbstractBaseUser | PermissionsMixin | AnonymousUser | None) -> Self:
        """Filter by what a user may send from. A sender without users and groups is everybody's."""
        raise NotImplementedError


class Sender(models.Model):
    """Whom a mail comes from. A job keeps a copy of the headers, so an edit changes no job that exists."""

    key = models.SlugField(max_length=100, unique=True)
    display_name = models.CharField(max_length=200, blank=True, help_text="The name that a reader sees.")
    address = models.CharField(max_length=320, help_text="The address in the From header, such as news@example.org.")
    reply_to = models.CharField(
        "Reply-To", max_length=320, blank=True, help_text="Where answers go. Empty: to the address above."
    )
    relays = models.ManyToManyField(
        "batches.Relay",
        blank=True,
        related_name="+",
        help_text="The relays that may carry this sender. None: every relay.",
    )
    users = models.ManyToManyField(
        settings.AUTH_USER_MODEL, blank=True, related_name="senders", help_text="The users who may send from it."
    )
    groups = models.ManyToManyField(
        Group, blank=True, related_name="senders", help_text="The groups whose members may send from it."
    )
    is_from_settings = models.BooleanField(
        default=False, editable=False, help_text="It follows DEFAULT_FROM_EMAIL until somebody edits it."
    )
    created_at = models.DateTimeField(db_default=Now())
    updated_at = models.DateTimeField(auto_now=True)

    objects = SenderQuerySet.as_manager()

    class Meta:
        ordering = ["key"]

    def __str__(self) -> str:
        return f"{self.display_name} <{self.address}>" if self.display_name else self.address
