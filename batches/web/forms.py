"""The forms of the pages: what a person types, checked before the domain is called."""

from __future__ import annotations

from typing import Any

from django import forms
from django.utils import timezone

from batches.models import EmailTemplate
from batches.rendering.template import CompiledTemplate, TemplateFault


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
        empty_label=None,
        error_messages={"required": "Choose a template. If there is none, make one under Templates first."},
    )
    subject = forms.CharField(required=False, max_length=998, strip=True)
    then = forms.ChoiceField(choices=[("review", "Review first"), ("send", "Send at once")], initial="review")
    key = forms.CharField(max_length=64, widget=forms.HiddenInput)


class MessageForm(FriendlyForm):
    """Which template and subject go to a batch; review, test message and send share it."""

    template = forms.ModelChoiceField(EmailTemplate.objects.all(), empty_label=None)
    subject = forms.CharField(required=False, max_length=998, strip=True)
    scheduled_at = forms.DateTimeField(
        required=False, error_messages={"invalid": "Write the time like 2026-03-31 09:00, or leave it empty."}
    )

    def clean_scheduled_at(self) -> Any:
        scheduled_at = self.cleaned_data["scheduled_at"]
        if scheduled_at and scheduled_at <= timezone.now():
            raise forms.ValidationError("That time has passed. Choose a later one, or leave it empty to send now.")
        return scheduled_at


class TemplateForm(forms.ModelForm):  # type: ignore[type-arg]  # can't be subscripted at run time
    class Meta:
        model = EmailTemplate
        fields = ["name", "key", "subject", "html", "text"]
        widgets = {
            "subject": forms.TextInput(),
            "html": forms.Textarea(attrs={"rows": 14, "class": "code", "spellcheck": "false"}),
            "text": forms.Textarea(attrs={"rows": 10, "class": "code"}),
        }

    def clean(self) -> dict[str, Any] | None:
        cleaned = super().clean()
        if not self.errors:
            self._compile()
        return cleaned

    def _compile(self) -> None:
        try:
            CompiledTemplate(**{part: self.cleaned_data[part] for part in ("subject", "html", "text")})
        except TemplateFault as exc:
            self.add_error(None, str(exc))
