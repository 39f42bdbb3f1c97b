"""Templates in the admin: refused when they do not compile, and one of them the default."""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib import admin, messages
from django.db import transaction
from django.db.models import QuerySet
from django.http import HttpRequest

from batches.models import EmailTemplate
from batches.rendering.template import CompiledTemplate, TemplateFault


class TemplateForm(forms.ModelForm):  # type: ignore[type-arg]
    class Meta:
        model = EmailTemplate
        fields = ("key", "name", "subject", "html", "text")

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or {}
        parts = {part: cleaned.get(part, "") for part in ("subject", "html", "text")}
        if not self.errors and (parts["html"] or parts["text"]):  # without a body the constraint says it better
            try:
                CompiledTemplate(**parts)
            except TemplateFault as exc:
                raise forms.ValidationError(str(exc)) from exc
        return cleaned


@admin.register(EmailTemplate)
class EmailTemplateAdmin(admin.ModelAdmin):  # type: ignore[type-arg]
    form = TemplateForm
    list_display = ("name", "key", "is_default", "updated_at")
    search_fields = ("name", "key", "subject")
    actions = ("make_default",)
    readonly_fields = ("is_default",)
    fields = ("key", "name", "subject", "html", "text", "is_default")
    prepopulated_fields = {"key": ("name",)}

    @admin.action(description="Make it the default", permissions=["change"])
    def make_default(self, request: HttpRequest, templates: QuerySet[EmailTemplate]) -> None:
        if templates.count() != 1:
            self.message_user(request, "Choose one template: there is one default.", messages.WARNING)
            return
        template = templates.get()
        with transaction.atomic():
            # Locked in the order of the key: two who choose at once wait instead of meeting at the unique index.
            list(EmailTemplate.objects.select_for_update().order_by("pk").values_list("pk"))
            EmailTemplate.objects.filter(is_default=True).update(is_default=False)
            EmailTemplate.objects.filter(pk=template.pk).update(is_default=True)
        self.message_user(request, f"“{template}” is now the default template.", messages.SUCCESS)
