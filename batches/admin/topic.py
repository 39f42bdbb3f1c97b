"""Topics in the admin. What links in mails rely on stays: a topic keeps its kind, and one that was used is kept."""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib import admin
from django.db.models import Model
from django.http import HttpRequest

from batches.models import NEWS_TOPIC, SERVICE_TOPIC, EmailJob, EmailTemplate, Suppression, TemplateVersion, Topic
from batches.rendering.footers import find_footer_fault

FIRST_TOPICS = (NEWS_TOPIC, SERVICE_TOPIC)
"""The keys of the topics that a migration makes. The programs of others name them."""


class TopicForm(forms.ModelForm):  # type: ignore[type-arg]  # Django's class takes no argument at run time
    def clean_footer(self) -> str:
        footer = str(self.cleaned_data["footer"])
        if fault := find_footer_fault(footer):
            raise forms.ValidationError(fault)
        return footer


@admin.register(Topic)
class TopicAdmin(admin.ModelAdmin):  # type: ignore[type-arg]
    form = TopicForm
    list_display = ("name", "key", "kind", "description")
    list_filter = ("kind",)
    search_fields = ("name", "key")
    fields = ("name", "key", "kind", "description", "footer")

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> tuple[str, ...]:
        """Keep the kind: in news that was sent are links, and they must work. Keep the keys of the first topics."""
        if obj is None:
            return ()
        return ("kind", "key") if obj.key in FIRST_TOPICS else ("kind",)

    def get_prepopulated_fields(self, request: HttpRequest, obj: Any = None) -> dict[str, Any]:
        return {"key": ("name",)} if obj is None else {}

    def has_delete_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        """Keep the first topics, and each that was used: the links in its mails unsubscribe from it for years."""
        return not (isinstance(obj, Topic) and _is_kept(obj)) and super().has_delete_permission(request, obj)


def _is_kept(topic: Topic) -> bool:
    users = (EmailTemplate, TemplateVersion, EmailJob, Suppression)
    return topic.key in FIRST_TOPICS or any(model.objects.filter(topic=topic).exists() for model in users)
