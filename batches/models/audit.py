"""An AuditEntry says who did what, to which object, when, and from where. Rows are only inserted."""

from __future__ import annotations

from datetime import date, datetime, time, timedelta
from typing import Self

from django.contrib.auth.models import User
from django.db import models
from django.db.models.functions import Now
from django.utils import timezone
from django.utils.translation import gettext_lazy as _


class AuditAction(models.TextChoices):
    """What an AuditEntry is about."""

    SIGN_IN = "sign_in", _("signed in")
    SIGN_OUT = "sign_out", _("signed out")
    SIGN_OUT_EVERYWHERE = "sign_out_everywhere", _("signed out everywhere")
    PASSWORD_CHANGE = "password_change", _("changed a password")
    FACTOR_ADD = "factor_add", _("added a second factor")
    FACTOR_REMOVE = "factor_remove", _("removed a second factor")
    REAUTHENTICATE = "reauthenticate", _("proved their identity again")
    TOKEN_MAKE = "token_make", _("made a token")
    TOKEN_REVOKE = "token_revoke", _("revoked a token")
    UPLOAD = "upload", _("uploaded a list")
    LIST_CHANGE = "list_change", _("changed a list")
    REVIEW = "review", _("reviewed a batch")
    TEST = "test", _("sent a test")
    SEND = "send", _("sent a batch")
    DISCARD = "discard", _("discarded a draft")
    PAUSE = "pause", _("paused a batch")
    RESUME = "resume", _("resumed a batch")
    CANCEL = "cancel", _("cancelled a batch")
    RESCHEDULE = "reschedule", _("changed the time of a batch")
    WITHDRAW = "withdraw", _("took a batch back to a draft")
    COPY = "copy", _("copied a batch")
    REPLAY = "replay", _("replayed a batch")
    APPROVAL_ASK = "approval_ask", _("asked for approval")
    APPROVE = "approve", _("approved a batch")
    APPROVAL_REFUSE = "approval_refuse", _("refused approval")
    APPROVAL_VOID = "approval_void", _("made an approval void")
    TEMPLATE_CHANGE = "template_change", _("saved a template")
    TEMPLATE_DELETE = "template_delete", _("deleted a template")
    TEMPLATE_DEFAULT = "template_default", _("chose the default template")
    SENDER_CHANGE = "sender_change", _("changed a sender")
    RELAY_CHANGE = "relay_change", _("changed a relay")
    DOWNLOAD = "download", _("downloaded data")
    PERSON_SEARCH = "person_search", _("searched for a person")
    PERSON_EXPORT = "person_export", _("exported a person")
    PERSON_ERASE = "person_erase", _("erased a person")
    PURGE = "purge", _("purged old data")
    SUPPRESS = "suppress", _("added to the do-not-send list")
    LIFT = "lift", _("took off the do-not-send list")
    PERMISSION_CHANGE = "permission_change", _("changed permissions")
    USER_CHANGE = "user_change", _("changed a user")
    ADMIN_CHANGE = "admin_change", _("changed something in the admin")
    ADMIN_READ = "admin_read", _("opened a page of the admin")
    AUDIT_READ = "audit_read", _("read the audit")
    UNSUBSCRIBE = "unsubscribe", _("unsubscribed")
    UNSUBSCRIBE_UNDO = "unsubscribe_undo", _("took back an unsubscription")


class AuditEntryQuerySet(models.QuerySet["AuditEntry"]):
    def search(
        self,
        *,
        who: str = "",
        action: str = "",
        batch_id: int | None = None,
        since: date | None = None,
        until: date | None = None,
        is_refused: bool = False,
    ) -> Self:
        """Filter by what an auditor asks for. Each value that is left out filters nothing.

        Args:
            who: a user's name, now or at that time; or a door, such as ``token nightly`` or ``command purge``.
            since: the first day, in the site's time zone.
            until: the last day.
            is_refused: only what was refused.
        """
        found = self
        if who:
            ids = list(User.objects.filter(username=who).values_list("pk", flat=True))
            found = found.filter(models.Q(actor_id__in=ids) | models.Q(actor_name=who) | models.Q(via=who))
        if action:
            found = found.filter(action=action)
        if batch_id is not None:
            found = found.filter(batch_id=batch_id)
        if since is not None:
            found = found.filter(at__gte=_begin(since))
        if until is not None and until < date.max:  # which has no day after it
            found = found.filter(at__lt=_begin(until + timedelta(days=1)))
        return found.filter(is_refused=True) if is_refused else found


def _begin(day: date) -> datetime:
    return timezone.make_aware(datetime.combine(day, time()))


class AuditEntry(models.Model):
    """One act, or one refusal, of a person, a token or a command.

    A trigger refuses UPDATE and DELETE. So an entry has no foreign key, which would have to be set to null, and no
    address of a recipient, which would have to be erased: where an act is about one person, ``details`` has a digest.
    """

    at = models.DateTimeField(db_default=Now())
    action = models.CharField(max_length=40, choices=AuditAction)
    is_refused = models.BooleanField(default=False, help_text=_("It was tried, and refused."))
    actor_id = models.BigIntegerField(null=True, help_text=_("The user. Empty: a stranger, a command or the program."))
    actor_name = models.CharField(max_length=150, blank=True, help_text=_("The user's name at that time."))
    via = models.CharField(max_length=120, help_text=_("page, token NAME, admin, command NAME, or the program itself."))
    target = models.CharField(max_length=40, blank=True, help_text=_("The kind of object, such as batch."))
    target_id = models.CharField(max_length=64, blank=True)
    target_name = models.CharField(max_length=255, blank=True)
    batch_id = models.BigIntegerField(null=True, help_text=_("The batch that the act is about, if it is about one."))
    client = models.GenericIPAddressField(null=True, help_text=_("The address of the client."))
    details = models.JSONField(default=dict)

    objects = AuditEntryQuerySet.as_manager()

    class Meta:
        ordering = ["-id"]
        verbose_name_plural = _("audit entries")
        indexes = [
            models.Index(fields=["actor_id", "-id"], name="audit_of_actor"),
            models.Index(fields=["batch_id", "-id"], name="audit_of_batch"),
            models.Index(fields=["action", "-id"], name="audit_of_action"),
            models.Index(fields=["at"], name="audit_by_time"),
            # Search by name also finds users who were deleted or renamed, tokens and commands.
            models.Index(fields=["actor_name", "-id"], name="audit_of_name"),
            models.Index(fields=["via", "-id"], name="audit_of_door"),
            models.Index(fields=["-id"], name="audit_refused", condition=models.Q(is_refused=True)),
        ]

    def __str__(self) -> str:
        return f"{self.actor_name or self.via}: {self.action}"
