"""An AuditEntry says who did what, to which object, when, and from where. Rows are only inserted."""

from __future__ import annotations

from django.db import models
from django.db.models.functions import Now

from batches.models.choices import AuditAction


class AuditEntry(models.Model):
    """One act, or one refusal, of a person, a token or a command.

    A trigger refuses UPDATE and DELETE. So an entry has no foreign key, which would have to be set to null, and no
    address of a recipient, which would have to be erased: where an act is about one person, ``details`` has a digest.
    """

    at = models.DateTimeField(db_default=Now())
    action = models.CharField(max_length=40, choices=AuditAction)
    is_refused = models.BooleanField(default=False, help_text="It was tried, and refused.")
    actor_id = models.BigIntegerField(null=True, help_text="The user. Empty: a stranger, a command or the program.")
    actor_name = models.CharField(max_length=150, blank=True, help_text="The user's name at that time.")
    via = models.CharField(max_length=120, help_text="page, token NAME, admin, command NAME, or the program itself.")
    target = models.CharField(max_length=40, blank=True, help_text="The kind of object, such as batch.")
    target_id = models.CharField(max_length=64, blank=True)
    target_name = models.CharField(max_length=255, blank=True)
    batch_id = models.BigIntegerField(null=True, help_text="The batch that the act is about, if it is about one.")
    client = models.GenericIPAddressField(null=True, help_text="The address of the client.")
    details = models.JSONField(default=dict)

    class Meta:
        ordering = ["-id"]
        verbose_name_plural = "audit entries"
        indexes = [
            models.Index(fields=["actor_id", "-id"], name="audit_of_actor"),
            models.Index(fields=["batch_id", "-id"], name="audit_of_batch"),
            models.Index(fields=["action", "-id"], name="audit_of_action"),
            models.Index(fields=["at"], name="audit_by_time"),
        ]

    def __str__(self) -> str:
        return f"{self.actor_name or self.via}: {self.action}"
