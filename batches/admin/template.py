"""Templates in the admin: a template that can't be compiled is refused, and one template is the default."""

from __future__ import annotations

from typing import Any

from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest

from batches.models import EmailTemplate
from batches.rendering.template import MessageParts
from batches.template_form import CheckedTemplateForm
from batches.template_notes import TemplateNotes


class TemplateForm(CheckedTemplateForm):
    class Meta:
        model = EmailTemplate
        fields = ("key", "name", "subject", "sender", "html", "text")


@admin.register(EmailTemplate)
class EmailTemplateAdmin(admin.ModelAdmin):  # type: ignore[type-arg]
    form = TemplateForm
    list_display = ("name", "key", "sender", "is_default", "updated_at")
    list_select_related = ("sender",)
    search_fields = ("name", "key", "subject")
    actions = ("make_default",)
    readonly_fields = ("is_default",)
    fields = ("key", "name", "subject", "sender", "html", "text", "is_default")
    prepopulated_fields = {"key": ("name",)}

    def get_form(self, request: HttpRequest, obj: Any = None, change: bool = False, **kwargs: Any) -> Any:
        """Let the form know who writes the template. Django makes a class of its own for each request."""
        form = super().get_form(request, obj, change, **kwargs)
        form.user_id = request.user.pk  # type: ignore[attr-defined]
        return form

    def save_model(self, request: HttpRequest, obj: EmailTemplate, form: Any, change: bool) -> None:
        """Save the template, and say what it may lack."""
        super().save_model(request, obj, form, change)
        for sentence in TemplateNotes.make(MessageParts.of(obj), user_id=request.user.pk).first_sentences():
            self.message_user(request, sentence, messages.WARNING)

    @admin.action(description="Make it the default", permissions=["change"])
    def make_default(self, request: HttpRequest, templates: QuerySet[EmailTemplate]) -> None:
        if templates.count() != 1:
            self.message_user(request, "Choose one template only: there can be only one default.", messages.WARNING)
            return
        template = templates.get()
        EmailTemplate.objects.make_default(template.pk)
        self.message_user(request, f"“{template}” is now the default template.", messages.SUCCESS)
