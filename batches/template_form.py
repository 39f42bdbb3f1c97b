"""Check a template that a person writes. The admin and the pages share this one form."""

from __future__ import annotations

from typing import Any

from django import forms
from django.forms.models import ModelChoiceIterator

from batches.models import EmailTemplate, TemplateKind, Topic
from batches.rendering import children
from batches.rendering.template import TemplateFault
from batches.template_analysis import keep_analysis
from batches.template_sources import Written, compose

KEY_OF_DIGITS = "A key of digits alone would be taken for the number of a template. Add a letter to it."
"""Else anybody could write a template whose key is the number that the programs of others send with."""


class _Titles(ModelChoiceIterator):  # type: ignore[type-arg]  # Django's class takes no argument at run time
    """The templates to choose from, without their bodies: all of them would be megabytes for each page."""

    def __init__(self, field: forms.ModelChoiceField[Any]) -> None:
        super().__init__(field)
        self.queryset = self.queryset.defer("source", "html", "text")


class TemplateField(forms.ModelChoiceField):  # type: ignore[type-arg]  # likewise
    """A choice of one template by its key."""

    iterator = _Titles

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(EmailTemplate.objects.all(), to_field_name="key", **kwargs)


class CheckedTemplateForm(forms.ModelForm):  # type: ignore[type-arg]  # Django's class takes no argument at run time
    """Refuses a template that can't be used. A subclass names the fields; the message parts are among them."""

    user_id: int | None = None
    """Who writes the template."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if "kind" in self.fields:
            self.fields["kind"].required = False

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or {}
        key = cleaned.get("key", "")
        if key.isdigit() and key != self.initial.get("key"):  # one of an earlier release stays
            self.add_error("key", KEY_OF_DIGITS)
        written = self._read_written(cleaned)
        # The database constraint has a sentence for a template without a body.
        if self.errors or not (written.html or written.text or written.kind == TemplateKind.MARKDOWN):
            return cleaned
        try:
            parts = compose(written, user_id=self.user_id)
            cleaned |= {"html": written.html, "text": written.text}
            topic: Topic | None = cleaned.get("topic")
            parts = parts.with_topic(topic and topic.message_topic)
            parts.check_lengths()
            keep_analysis(self.instance, parts, children.analyse_sound(parts, user_id=self.user_id))
        except (TemplateFault, children.RenderingBusy) as exc:
            raise forms.ValidationError(str(exc)) from exc
        return cleaned

    def _read_written(self, cleaned: dict[str, Any]) -> Written:
        """Return what the person wrote. A form that names no kind changes a template of the kind that it has."""
        kind = cleaned.get("kind") or self.instance.kind
        written = Written(
            subject=cleaned.get("subject", ""),
            kind=kind,
            source=cleaned.get("source", "") if kind == TemplateKind.MARKDOWN else "",
            html=cleaned.get("html", ""),
            text=cleaned.get("text", ""),
        )
        cleaned |= {"kind": kind, "source": written.source}
        return written
