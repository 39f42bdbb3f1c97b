"""Check a template that a person writes. The admin and the pages share this one form."""

from __future__ import annotations

from typing import Any

from django import forms

from batches.models import Topic
from batches.rendering import children
from batches.rendering.template import MessageParts, TemplateFault
from batches.template_analysis import keep_analysis

KEY_OF_DIGITS = "A key of digits alone would be taken for the number of a template. Add a letter to it."
"""Else anybody could write a template whose key is the number that the programs of others send with."""


class CheckedTemplateForm(forms.ModelForm):  # type: ignore[type-arg]  # Django's class takes no argument at run time
    """Refuses a template that can't be used. A subclass names the fields; the message parts are among them."""

    user_id: int | None = None
    """Who writes the template."""

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or {}
        key = cleaned.get("key", "")
        if key.isdigit() and key != self.initial.get("key"):  # one of an earlier release stays
            self.add_error("key", KEY_OF_DIGITS)
        has_body = cleaned.get("html") or cleaned.get("text")
        if self.errors or not has_body:  # the database constraint has a sentence for a template without a body
            return cleaned
        try:
            parts = MessageParts(subject=cleaned["subject"], html=cleaned["html"], text=cleaned["text"])
            topic: Topic | None = cleaned.get("topic")
            parts = parts.with_topic(topic and topic.message_topic)
            parts.check_lengths()
            keep_analysis(self.instance, parts, children.analyse_sound(parts, user_id=self.user_id))
        except (TemplateFault, children.RenderingBusy) as exc:
            raise forms.ValidationError(str(exc)) from exc
        return cleaned
