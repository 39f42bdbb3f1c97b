"""Check a template that a person writes. The admin and the pages share this one form."""

from __future__ import annotations

from typing import Any

from django import forms

from batches.rendering.template import MessageParts, TemplateFault


class CheckedTemplateForm(forms.ModelForm):  # type: ignore[type-arg]  # Django's class takes no argument at run time
    """Refuses a template that can't be compiled. A subclass names the fields; the message parts are among them."""

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or {}
        has_body = cleaned.get("html") or cleaned.get("text")
        if self.errors or not has_body:  # the database constraint has a sentence for a template without a body
            return cleaned
        try:
            MessageParts(subject=cleaned["subject"], html=cleaned["html"], text=cleaned["text"]).compile()
        except TemplateFault as exc:
            raise forms.ValidationError(str(exc)) from exc
        return cleaned
