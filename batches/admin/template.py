"""Templates in the admin: a template that can't be compiled is refused, and one template is the default.

A save goes through ``template_versions``, as on the pages: it writes a version, and only the owner and template editors
may change a template.
"""

from __future__ import annotations

from typing import Any

from django.contrib import admin, messages
from django.contrib.auth.models import User
from django.db.models import QuerySet
from django.http import HttpRequest
from django.urls import reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from batches.models import EmailTemplate
from batches.permissions import Permission, may
from batches.template_form import CheckedTemplateForm
from batches.template_notes import TemplateNotes
from batches.template_versions import make_default, may_edit, save_template


class TemplateForm(CheckedTemplateForm):
    class Meta:
        model = EmailTemplate
        fields = ("key", "name", "subject", "sender", "topic", "kind", "source", "html", "text")


@admin.register(EmailTemplate)
class EmailTemplateAdmin(admin.ModelAdmin):  # type: ignore[type-arg]
    form = TemplateForm
    list_display = ("name", "key", "kind", "owner", "version", "sender", "topic", "is_default", "updated_at")
    list_select_related = ("sender", "owner", "topic")
    search_fields = ("name", "key", "subject")
    actions = ("make_default",)
    readonly_fields = ("owner", "versions", "is_default")
    list_filter = ("kind",)
    fields = (
        *("key", "name", "subject", "sender", "topic", "kind", "source", "html", "text"),
        *("owner", "versions", "is_default"),
    )
    prepopulated_fields = {"key": ("name",)}

    def get_form(self, request: HttpRequest, obj: Any = None, change: bool = False, **kwargs: Any) -> Any:
        """Let the form know who writes the template. Django makes a class of its own for each request."""
        form = super().get_form(request, obj, change, **kwargs)
        form.user_id = request.user.pk  # type: ignore[attr-defined]
        return form

    def has_change_permission(self, request: HttpRequest, obj: EmailTemplate | None = None) -> bool:
        """Whether the user may change templates in the admin, and this one at all."""
        return super().has_change_permission(request, obj) and (obj is None or may_edit(_user_of(request), obj))

    def has_delete_permission(self, request: HttpRequest, obj: EmailTemplate | None = None) -> bool:
        """Whether the user may delete templates in the admin. It takes them from everybody, so it is for editors."""
        return super().has_delete_permission(request, obj) and self.has_default_permission(request)

    def has_default_permission(self, request: HttpRequest) -> bool:
        return may(request.user, Permission.EDIT_ALL_TEMPLATES)

    @admin.display(description=_("versions"))
    def versions(self, template: EmailTemplate) -> SafeString | str:
        if template.pk is None:
            return gettext("none yet")
        address = reverse("template-versions", args=[template.key])
        return format_html('<a href="{}">{}</a>', address, gettext("%(count)s saved") % {"count": template.version})

    def save_model(self, request: HttpRequest, obj: EmailTemplate, form: Any, change: bool) -> None:
        """Save the template, and say what it may lack."""
        save_template(obj, by=_user_of(request))
        for sentence in TemplateNotes.of_template(obj, user_id=request.user.pk).first_sentences():
            self.message_user(request, sentence, messages.WARNING)

    @admin.action(description=_("Make it the default"), permissions=["default"])
    def make_default(self, request: HttpRequest, templates: QuerySet[EmailTemplate]) -> None:
        if templates.count() != 1:
            self.message_user(request, "Choose one template only: there can be only one default.", messages.WARNING)
            return
        template = templates.get()
        make_default(template, by=_user_of(request))
        self.message_user(request, f"“{template}” is now the default template.", messages.SUCCESS)


def _user_of(request: HttpRequest) -> User:
    assert isinstance(request.user, User)  # noqa: S101  (the admin refuses everybody else)
    return request.user
