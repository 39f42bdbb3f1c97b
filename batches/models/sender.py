"""A Sender is whom a mail comes from: display name, address and Reply-To, and who may use it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Self

from django.conf import settings
from django.contrib.auth.models import AbstractBaseUser, AnonymousUser, Group
from django.core.exceptions import ValidationError
from django.db import models
from django.db.models import Exists, OuterRef, Q
from django.db.models.functions import Now
from django.utils.translation import gettext_lazy as _

from batches.mailboxes import Mailbox, SenderFault, split_mailbox
from batches.sender_addresses import check_address, check_name, join_sender, read_sender, refuse_local

DEFAULT_SENDER = "default"
"""The key of the sender that the migration makes of DEFAULT_FROM_EMAIL."""

REPLY_TO_MAX_CHARS = 320


class SenderQuerySet(models.QuerySet["Sender"]):
    def usable_by(self, user: AbstractBaseUser | AnonymousUser | None) -> Self:
        """Filter by what a user may send from. A sender that was never limited to users or groups is everybody's.

        A superuser is no exception, so that nobody sends in another's name by accident. A superuser can add himself.
        None stands for a command of the operator, who may use every sender.
        """
        if user is None:
            return self
        in_users = Sender.users.through.objects.filter(sender=OuterRef("pk"))
        in_groups = Sender.groups.through.objects.filter(sender=OuterRef("pk"))
        is_open = Q(is_limited=False) & ~Exists(in_users) & ~Exists(in_groups)
        if user.is_anonymous:
            return self.filter(is_open)
        is_named = Exists(in_users.filter(user=user.pk)) | Exists(in_groups.filter(group__user=user.pk))
        return self.filter(is_open | Q(is_named))


class Sender(models.Model):
    """Whom a mail comes from. A job keeps a copy of the headers, so an edit changes no job that exists."""

    key = models.SlugField(max_length=100, unique=True)
    display_name = models.CharField(max_length=200, blank=True, help_text=_("The name that a reader sees."))
    address = models.CharField(max_length=320, help_text=_("The address in the From header, such as news@example.org."))
    reply_to = models.CharField(
        "Reply-To",
        max_length=REPLY_TO_MAX_CHARS,
        blank=True,
        help_text=_("Where answers go. Empty: to the address above."),
    )
    relays = models.ManyToManyField(
        "batches.Relay",
        blank=True,
        related_name="+",
        help_text=_("The relays that may carry this sender. None: every relay."),
    )
    users = models.ManyToManyField(
        settings.AUTH_USER_MODEL, blank=True, related_name="senders", help_text=_("The users who may send from it.")
    )
    groups = models.ManyToManyField(
        Group, blank=True, related_name="senders", help_text=_("The groups whose members may send from it.")
    )
    is_limited = models.BooleanField(
        default=False,
        db_default=False,
        editable=False,
        help_text=_("It stays limited when the last of its users and groups is deleted: then nobody may use it."),
    )
    is_from_settings = models.BooleanField(
        default=False, editable=False, help_text=_("It follows DEFAULT_FROM_EMAIL until somebody edits it.")
    )
    created_at = models.DateTimeField(db_default=Now())
    updated_at = models.DateTimeField(auto_now=True)

    objects = SenderQuerySet.as_manager()

    class Meta:
        ordering = ["key"]

    def __str__(self) -> str:
        return self.mailbox.shown

    @property
    def mailbox(self) -> Mailbox:
        """The name and address of the From header."""
        return Mailbox(self.display_name, self.address)

    @property
    def reply_mailbox(self) -> Mailbox | None:
        """The name and address of the Reply-To header, if there is one."""
        return split_mailbox(self.reply_to) if self.reply_to else None

    def clean(self) -> None:
        """Put name, address and Reply-To into their stored form.

        Raises:
            ValidationError: no mail can come from it. Each field has its sentence.
        """
        faults: dict[str, str] = {}

        def store(field: str, make: Callable[[str], str]) -> None:
            try:
                setattr(self, field, make(getattr(self, field)))
            except SenderFault as exc:
                faults[field] = str(exc)

        store("display_name", check_name)
        store("address", _check_address)
        store("reply_to", _check_reply_to)
        if not faults:
            try:
                join_sender(self.display_name, self.address)
            except SenderFault as exc:
                faults["display_name"] = str(exc)
        if faults:
            raise ValidationError(faults)


def _check_address(text: str) -> str:
    address = check_address(text)
    if not settings.IS_LOCAL_INBOX:  # the inbox of the local stack takes mail from localhost
        refuse_local(address)
    return address


def _check_reply_to(text: str) -> str:
    if not text.strip():
        return ""
    reply_to = str(read_sender(text))
    if len(reply_to) > REPLY_TO_MAX_CHARS:
        raise SenderFault(f"The Reply-To has {len(reply_to)} characters. Shorten its name.")
    return reply_to
