"""Senders in the admin: one from which no mail can come is refused, and one that was used is kept.

What an administrator types enters. A Sender leaves, with the exact header lines that its mails will have.
"""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib import admin, messages
from django.db.models import Model, QuerySet
from django.forms import ModelForm
from django.http import HttpRequest
from django.urls import URLPattern, path, reverse
from django.utils.html import format_html
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from batches import audit
from batches.admin.sender_check import show_check
from batches.jobs.senders import keep_default_sender
from batches.mailboxes import SenderFault, parse_mailbox
from batches.models import DEFAULT_SENDER, AuditAction, EmailJob, Relay, Sender
from batches.rendering.headers import encode_mailbox
from batches.sender_form import shorten
from batches.translations import say

IS_SHOWN_LATER = "It is shown here after the sender is saved."

LIST_MAX_CHARS = 50

FROM_THE_SETTING = ("display_name", "address")
"""The fields that the setting DEFAULT_FROM_EMAIL fills until somebody edits one of them."""


class SenderForm(forms.ModelForm):  # type: ignore[type-arg]  # Django's class takes no argument at run time
    class Meta:
        model = Sender
        fields = ("key", "display_name", "address", "reply_to", "users", "groups", "relays")
        widgets = {
            name: forms.TextInput(attrs={"class": "vLargeTextField"})
            for name in ("display_name", "address", "reply_to")
        }
        help_texts = {"key": _("A short name for programs, without spaces, such as school-office.")}


@admin.register(Sender)
class SenderAdmin(admin.ModelAdmin):  # type: ignore[type-arg]
    form = SenderForm
    list_display = ("key", "shown", "reply_to", "for_whom", "follows", "set_up")
    search_fields = ("key", "display_name", "address")
    filter_horizontal = ("users", "groups", "relays")
    prepopulated_fields = {"key": ("display_name",)}
    readonly_fields = ("header", "set_up")
    actions = ("follow_setting",)
    fieldsets = (
        (None, {"fields": ("key", "display_name", "address", "reply_to", "header", "set_up")}),
        (
            _("Who may send from it"),
            {
                "fields": ("users", "groups"),
                "description": _(
                    "Choose nobody, and everybody may. Otherwise these users and the members of these "
                    "groups may, and nobody else: an administrator who is not among them neither."
                ),
            },
        ),
        (_("What carries it"), {"fields": ("relays",)}),
    )

    def get_queryset(self, request: HttpRequest) -> QuerySet[Sender]:
        keep_default_sender()
        return super().get_queryset(request).prefetch_related("users", "groups")

    @admin.display(description=_("sender"))
    def shown(self, sender: Sender) -> str:
        """Show the sender cut, so that a long name does not push the other columns out of the window."""
        return shorten(str(sender), max_chars=LIST_MAX_CHARS)

    @admin.display(description=_("who may use it"))
    def for_whom(self, sender: Sender) -> str:
        names = [
            *map(str, sender.users.all()),
            *(gettext("group %(group)s") % {"group": group} for group in sender.groups.all()),
        ]
        if not names:
            return gettext("nobody: its users and groups were deleted") if sender.is_limited else gettext("everybody")
        shown = ", ".join(names[:3])
        more = {"names": shown, "count": len(names) - 3}
        return gettext("%(names)s and %(count)s more") % more if len(names) > 3 else shown

    @admin.display(description=_("follows"))
    def follows(self, sender: Sender) -> str:
        return "DEFAULT_FROM_EMAIL" if sender.is_from_settings else ""

    @admin.display(description=_("set up right?"))
    def set_up(self, sender: Sender) -> str:
        """Link the page that checks DNS and a round trip."""
        if sender.pk is None:
            return IS_SHOWN_LATER
        return format_html('<a href="{}">{}</a>', reverse("admin:batches_sender_check", args=[sender.pk]), _("Check"))

    def get_urls(self) -> list[URLPattern]:
        view = self.admin_site.admin_view(show_check)
        return [path("<int:sender_id>/check/", view, name="batches_sender_check"), *super().get_urls()]

    @admin.display(description=_("header of its mails"))
    def header(self, sender: Sender) -> str:
        """Show the header lines as they go out, so that nobody has to guess how a name is encoded."""
        if not sender.address:
            return IS_SHOWN_LATER
        try:
            lines = [encode_mailbox("From", sender.mailbox)]
            if sender.reply_to:
                lines.append(encode_mailbox("Reply-To", parse_mailbox(sender.reply_to)))
        except SenderFault as exc:
            return say(exc) if sender.pk else IS_SHOWN_LATER
        return format_html("<pre>{}</pre>", b"\n".join(lines).decode())

    def save_model(self, request: HttpRequest, obj: Sender, form: ModelForm[Sender], change: bool) -> None:
        """Save the sender. The default one no longer follows the setting if its name or address was edited."""
        if obj.is_from_settings and any(name in form.changed_data for name in FROM_THE_SETTING):
            obj.is_from_settings = False
            self.message_user(request, "The sender no longer follows the setting DEFAULT_FROM_EMAIL.", messages.INFO)
        super().save_model(request, obj, form, change)

    def save_related(self, request: HttpRequest, form: ModelForm[Sender], formsets: Any, change: bool) -> None:
        """Save who may use it, and note whether that is limited."""
        super().save_related(request, form, formsets, change)
        form.instance.is_limited = bool(form.cleaned_data["users"] or form.cleaned_data["groups"])
        form.instance.save(update_fields=["is_limited"])

    @admin.action(description=_("Follow DEFAULT_FROM_EMAIL again"), permissions=["change"])
    def follow_setting(self, request: HttpRequest, senders: QuerySet[Sender]) -> None:
        if not senders.filter(key=DEFAULT_SENDER).update(is_from_settings=True):
            self.message_user(request, f"Only the sender '{DEFAULT_SENDER}' can follow it.", messages.WARNING)
            return
        keep_default_sender(even_local=True)
        default = Sender.objects.get(key=DEFAULT_SENDER)
        audit.record(AuditAction.SENDER_CHANGE, default, target_name=default.key, act="follow the setting")
        self.message_user(request, f"The default sender is now {default}.", messages.SUCCESS)

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> tuple[str, ...]:
        """Keep the key of the default sender, because the key makes it the default."""
        return (*self.readonly_fields, "key") if _is_default(obj) else self.readonly_fields

    def get_prepopulated_fields(self, request: HttpRequest, obj: Any = None) -> dict[str, Any]:
        return {} if obj is not None else dict(self.prepopulated_fields)

    def has_delete_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        """Keep the default sender, and each that a job or a relay names.

        Otherwise everybody could replay what it sent, and the relay would carry every sender.
        """
        return not (obj is not None and _is_kept(obj)) and super().has_delete_permission(request, obj)


def _is_kept(sender: Model) -> bool:
    return (
        _is_default(sender)
        or EmailJob.objects.filter(sender=sender.pk).exists()
        or Relay.objects.filter(senders=sender.pk).exists()
    )


def _is_default(obj: Any) -> bool:
    return isinstance(obj, Sender) and obj.key == DEFAULT_SENDER
