"""The forms of the pages: what a person types, checked before the domain is called."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from django import forms
from django.utils import timezone

from batches.models import EmailTemplate
from batches.template_form import CheckedTemplateForm
from batches.web.list_view import ENCODINGS


class FriendlyForm(forms.Form):
    """A form whose faulty fields say so to a screen reader, and which can take a sentence from the domain."""

    def refuse(self, sentence: str) -> None:
        """Show why the domain refused what was typed; everything typed stays in place."""
        self.add_error(None, sentence)


class UploadForm(FriendlyForm):
    file = forms.FileField(
        label="File of recipients",
        allow_empty_file=True,  # the reader's own sentence says more than Django's
        error_messages={"required": "Choose a file of recipients first."},
    )
    template = forms.ModelChoiceField(
        EmailTemplate.objects.all(),
        to_field_name="key",
        empty_label=None,
        error_messages={"required": "Choose a template. If there is none, make one under Templates first."},
    )
    subject = forms.CharField(required=False, max_length=998, strip=True)
    encoding = forms.ChoiceField(required=False, choices=[("", "found from the file"), *ENCODINGS.items()])
    then = forms.ChoiceField(choices=[("review", "Review first"), ("send", "Send at once")], initial="review")
    key = forms.CharField(max_length=64, widget=forms.HiddenInput)


class MessageForm(FriendlyForm):
    """What goes out to a batch, and when; the review's test message and its send button share it."""

    template = forms.ModelChoiceField(EmailTemplate.objects.all(), to_field_name="key", empty_label=None)
    subject = forms.CharField(required=False, max_length=998)
    to = forms.EmailField(label="Address for a test", required=False)
    scheduled_at = forms.DateTimeField(
        label="Send at",
        required=False,
        widget=forms.DateTimeInput(attrs={"type": "datetime-local"}, format="%Y-%m-%dT%H:%M"),
        error_messages={"invalid": "Write the time like 2026-03-31 09:00, or leave it empty."},
    )

    def clean_scheduled_at(self) -> datetime | None:
        scheduled_at: datetime | None = self.cleaned_data["scheduled_at"]
        if scheduled_at and scheduled_at <= timezone.now():
            raise forms.ValidationError("That time has passed. Choose a later one, or leave it empty to send now.")
        return scheduled_at

    def job_options(self) -> dict[str, Any]:
        """The arguments of ``creation.create_job``, without the batch and the user."""
        chosen = self.cleaned_data
        return {
            "template": chosen["template"],
            "subject": chosen["subject"] or None,
            "scheduled_at": chosen["scheduled_at"],
        }


class TemplateForm(CheckedTemplateForm):
    class Meta:
        model = EmailTemplate
        fields = ["name", "key", "subject", "html", "text"]
        help_texts = {"key": "What programs call it: letters, digits, hyphens and underscores."}
        widgets = {
            "subject": forms.TextInput(),
            "html": forms.Textarea(attrs={"rows": 14, "class": "code", "spellcheck": "false"}),
            "text": forms.Textarea(attrs={"rows": 10, "class": "code"}),
        }
