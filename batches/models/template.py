"""An EmailTemplate is subject, HTML and text, with merge fields."""

from __future__ import annotations

from django.db import models
from django.db.models.functions import Now


class EmailTemplate(models.Model):
    """What a job sends. A job keeps a snapshot, so an edit changes nothing that was queued."""

    key = models.SlugField(max_length=100, unique=True)
    name = models.CharField(max_length=200)
    subject = models.TextField(help_text="Merge fields look like {{ name }}.")
    html = models.TextField("HTML", blank=True)
    text = models.TextField(blank=True)
    is_default = models.BooleanField(default=False, help_text="Used by an upload that names no template.")
    created_at = models.DateTimeField(db_default=Now())
    updated_at = models.DateTimeField(auto_now=True)

    class Meta:
        ordering = ["name"]
        constraints = [
            models.UniqueConstraint(
                fields=["is_default"], condition=models.Q(is_default=True), name="template_one_default"
            ),
            models.CheckConstraint(
                condition=~models.Q(html="", text=""),
                name="template_has_body",
                violation_error_message="Give the template an HTML body, a text body, or both.",
            ),
        ]

    def __str__(self) -> str:
        return self.name
