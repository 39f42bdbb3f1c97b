"""Webhooks in the admin: set one up, test it, change its secret, and see the last deliveries.

A form enters. The secret leaves once, in the answer to the form or the action that made it.
"""

from __future__ import annotations

import ipaddress
import json
from collections.abc import Sequence
from typing import Any

from django import forms
from django.contrib import admin, messages
from django.db import transaction
from django.db.models import Model, QuerySet
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils.formats import localize
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString
from django.utils.timezone import localtime
from django.utils.translation import gettext, ngettext
from django.utils.translation import gettext_lazy as _

from batches import audit
from batches.accounts.proof import require_proof
from batches.admin.readonly import ReadOnlyAdmin
from batches.models import AuditAction, Webhook, WebhookDelivery, WebhookEvent
from batches.permissions import Permission, may
from batches.translations import figure, say
from batches.webhooks.addresses import EndpointRefused, keep_public, read_url
from batches.webhooks.deliveries import send_again
from batches.webhooks.events import emit_test
from batches.webhooks.signing import add_secret

LAST_COUNT = 20
"""How many deliveries the page of a webhook shows."""

CHOICES = [
    (WebhookEvent.BATCH_ENDED.value, _("a batch ended")),
    (WebhookEvent.EMAIL_FAILED.value, _("an email failed")),
    (WebhookEvent.EMAIL_RETURNED.value, _("an email came back")),
    (WebhookEvent.UNSUBSCRIBED.value, _("an unsubscription")),
]
"""The events that a webhook may want, in words that fit into one line of the admin."""


class WebhookForm(forms.ModelForm):  # type: ignore[type-arg]  # Django's class takes no argument at run time
    events = forms.MultipleChoiceField(
        choices=CHOICES,
        widget=forms.CheckboxSelectMultiple,
        help_text=_("What the program is told. docs/webhooks.md says more."),
    )

    class Meta:
        model = Webhook
        fields = ("name", "url", "events", "is_enabled")
        widgets = {"url": forms.TextInput(attrs={"class": "vLargeTextField", "inputmode": "url"})}
        help_texts = {"url": _("Where events are posted, such as https://hooks.example.org/emailbatch.")}

    def clean_url(self) -> str:
        """Refuse an address to which nothing will ever be posted. A name is resolved later, before each message."""
        url = str(self.cleaned_data["url"]).strip()
        try:
            endpoint = read_url(url)
            if not endpoint.is_exempt:
                keep_public([ipaddress.ip_address(endpoint.host)], host=endpoint.host)
        except EndpointRefused as exc:
            raise forms.ValidationError(str(exc)) from exc
        except ValueError:
            pass  # the host is a name
        return url


class SeesAllMixin:
    """For what tells about the batches of everybody: only who may see them may use it."""

    def has_view_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return _may_see_all(request) and super().has_view_permission(request, obj)  # type: ignore[misc]


def _may_see_all(request: HttpRequest) -> bool:
    return bool(may(request.user, Permission.VIEW_ALL_BATCHES))


@admin.register(Webhook)
class WebhookAdmin(SeesAllMixin, admin.ModelAdmin):  # type: ignore[type-arg]
    form = WebhookForm
    list_display = ("name", "doing", "url", "wanted")
    actions = ("send_test", "make_secret", "forget_secret")
    readonly_fields = ("doing", "shown_secret", "last")
    search_fields = ("name", "url")

    def get_fieldsets(self, request: HttpRequest, obj: Any = None) -> Any:
        fields = ("name", "url", "events", "is_enabled")
        if obj is None:
            return [(None, {"fields": fields, "description": _("The secret is made when you save, and shown once.")})]
        return [(None, {"fields": (*fields, "shown_secret", "doing")}), (_("Last deliveries"), {"fields": ("last",)})]

    def has_add_permission(self, request: HttpRequest) -> bool:
        return _may_see_all(request) and super().has_add_permission(request)

    def has_change_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return _may_see_all(request) and super().has_change_permission(request, obj)

    def has_delete_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return _may_see_all(request) and super().has_delete_permission(request, obj)

    def changeform_view(self, request: HttpRequest, *args: Any, **kwargs: Any) -> Any:
        if request.method == "POST":
            require_proof(request)  # it outlives the session, and tells another program about people
        return super().changeform_view(request, *args, **kwargs)

    def save_model(self, request: HttpRequest, obj: Webhook, form: Any, change: bool) -> None:
        if not change:
            obj.secret = add_secret("")
        if "url" in form.changed_data or "is_enabled" in form.changed_data:
            obj.failure_count, obj.waits_until = 0, None  # what is known of the receiver was about the other one
        super().save_model(request, obj, form, change)

    def response_add(self, request: HttpRequest, obj: Webhook, post_url_continue: str | None = None) -> HttpResponse:
        """Show the secret in place of the usual redirect. Only here is it shown."""
        return self._show_secret(request, obj)

    def _show_secret(self, request: HttpRequest, webhook: Webhook) -> HttpResponse:
        context = {
            **self.admin_site.each_context(request),
            "title": gettext("The secret of %(name)s") % {"name": webhook.name},
            "opts": self.opts,
            "webhook": webhook,
            "secret": webhook.secret.split()[0],
        }
        response = TemplateResponse(request, "admin/batches/webhook_secret.html", context)
        response.headers["Cache-Control"] = "no-store"
        return response

    @admin.display(description=_("events"))
    def wanted(self, webhook: Webhook) -> str:
        return ", ".join(str(WebhookEvent(event).label) for event in webhook.events)

    @admin.display(description=_("state"))
    def doing(self, webhook: Webhook) -> str:
        if not webhook.is_enabled:
            return gettext("disabled")
        if webhook.failure_count and webhook.waits_until is not None:
            sentence = gettext("The receiver is away. One message is tried at %(time)s.")
            return sentence % {"time": _say_time(webhook.waits_until)}
        waiting = webhook.deliveries.filter(next_attempt_at__isnull=False).count()
        return gettext("works, %(waiting)s waiting") % {"waiting": figure(waiting)} if waiting else gettext("works")

    @admin.display(description=_("secret"))
    def shown_secret(self, webhook: Webhook) -> str:
        """Show enough of each secret to tell it from another."""
        shown = [f"{secret[:10]}…" for secret in webhook.secret.split()]
        if len(shown) < 2:
            return gettext("%(secret)s Messages are signed with it.") % {"secret": "".join(shown)}
        sentence = gettext(
            "Messages are signed with %(new)s and with the old secret %(old)s. Forget the old one when the program uses"
            " the new one."
        )
        return sentence % {"new": shown[0], "old": shown[1]}

    @admin.display(description=_("deliveries"))
    def last(self, webhook: Webhook) -> SafeString:
        rows = [
            (_link(delivery), WebhookEvent(delivery.event).label, say_state(delivery), delivery.attempts)
            for delivery in webhook.deliveries.order_by("-pk")[:LAST_COUNT]
        ]
        if not rows:
            return format_html("{}", gettext("None yet. Choose “Send a test” in the list of webhooks."))
        head = format_html_join(
            "", "<th scope='col'>{}</th>", ((name,) for name in (_("When"), _("Event"), _("State"), _("Attempts")))
        )
        body = format_html_join("", "<tr><td>{}</td><td>{}</td><td>{}</td><td>{}</td></tr>", rows)
        every = reverse("admin:batches_webhookdelivery_changelist") + f"?webhook__id__exact={webhook.pk}"
        return format_html(
            '<div><table><thead><tr>{}</tr></thead><tbody>{}</tbody></table><p><a href="{}">{}</a></p></div>',
            *(head, body, every, _("All deliveries of this webhook")),
        )

    def get_deleted_objects(
        self, objs: Sequence[Any] | QuerySet[Any], request: HttpRequest
    ) -> tuple[list[str], dict[str, int], set[str], list[str]]:
        """List the webhooks that go, each with its deliveries, which Django would list one by one and refuse."""
        counts = {webhook.name: webhook.deliveries.count() for webhook in objs}
        lines = [say(f"{name} with its {count:,} deliveries") for name, count in counts.items()]
        return lines, {gettext("webhooks"): len(counts), gettext("deliveries"): sum(counts.values())}, set(), []

    def delete_model(self, request: HttpRequest, obj: Webhook) -> None:
        with transaction.atomic():
            list(Webhook.objects.select_for_update().filter(pk=obj.pk))  # no event is written for it from here on
            obj.deliveries.all()._raw_delete(obj.deliveries.db)  # Django would load every one of them
            super().delete_model(request, obj)

    def delete_queryset(self, request: HttpRequest, queryset: QuerySet[Webhook]) -> None:
        for webhook in queryset:
            self.delete_model(request, webhook)

    @admin.action(description=_("Send a test"), permissions=["change"])
    def send_test(self, request: HttpRequest, webhooks: QuerySet[Webhook]) -> None:
        disabled = [webhook.name for webhook in webhooks if not webhook.is_enabled]
        for webhook in webhooks.filter(is_enabled=True):
            emit_test(webhook)
            audit.record(AuditAction.ADMIN_CHANGE, webhook, act="send test")
            self.message_user(
                request,
                f"A test goes to {webhook.name} within seconds. Its page shows what was answered.",
                messages.SUCCESS,
            )
        if disabled:
            self.message_user(request, f"Disabled, so nothing is sent: {', '.join(disabled)}.", messages.WARNING)

    @admin.action(description=_("Make a new secret beside the old one"), permissions=["change"])
    def make_secret(self, request: HttpRequest, webhooks: QuerySet[Webhook]) -> HttpResponse | None:
        if len(webhooks) != 1:
            self.message_user(request, "Choose one webhook: its new secret is shown once.", messages.WARNING)
            return None
        require_proof(request)
        [webhook] = webhooks
        webhook.secret = add_secret(webhook.secret)
        webhook.save(update_fields=["secret"])
        audit.record(AuditAction.ADMIN_CHANGE, webhook, act="make secret")
        return self._show_secret(request, webhook)

    @admin.action(description=_("Forget the old secret"), permissions=["change"])
    def forget_secret(self, request: HttpRequest, webhooks: QuerySet[Webhook]) -> None:
        for webhook in webhooks:
            newest, *old = webhook.secret.split()
            if old:
                Webhook.objects.filter(pk=webhook.pk, secret=webhook.secret).update(secret=newest)
                audit.record(AuditAction.ADMIN_CHANGE, webhook, act="forget secret")
            sentence = _("%(name)s is signed with the new secret only.") if old else _("%(name)s has one secret.")
            self.message_user(request, sentence % {"name": webhook.name}, messages.SUCCESS)


@admin.register(WebhookDelivery)
class WebhookDeliveryAdmin(SeesAllMixin, ReadOnlyAdmin):
    list_display = ("created_at", "webhook", "event", "state", "attempts")
    list_filter = ("webhook", "event")
    list_select_related = ("webhook",)
    actions = ("send_again",)
    fields = ("webhook", "event", "message_id", "state", "attempts", "created_at", "content")
    readonly_fields = ("state", "content")

    def has_resend_permission(self, request: HttpRequest) -> bool:
        return _may_see_all(request) and request.user.has_perm("batches.change_webhook")

    @admin.display(description=_("state"))
    def state(self, delivery: WebhookDelivery) -> str:
        return say_state(delivery)

    @admin.display(description=_("content"))
    def content(self, delivery: WebhookDelivery) -> SafeString:
        return format_html("<pre>{}</pre>", json.dumps(delivery.payload, indent=2, ensure_ascii=False))

    @admin.action(description=_("Send again"), permissions=["resend"])
    def send_again(self, request: HttpRequest, chosen: QuerySet[WebhookDelivery]) -> None:
        ended = [delivery for delivery in chosen if delivery.next_attempt_at is None]
        waiting_count = len(chosen) - len(ended)
        count = send_again(ended)
        for delivery in ended:
            audit.record(AuditAction.ADMIN_CHANGE, delivery, act="send again")
        if count:
            words = ngettext(
                "%(count)s message is sent again within seconds.",
                "%(count)s messages are sent again within seconds.",
                count,
            ) % {"count": figure(count)}
            self.message_user(request, words, messages.SUCCESS)
        if waiting_count:
            words = ngettext(
                "%(count)s of them already waits for the next attempt.",
                "%(count)s of them already wait for the next attempt.",
                waiting_count,
            ) % {"count": figure(waiting_count)}
            self.message_user(request, words, messages.WARNING)
        if disabled := sorted({delivery.webhook.name for delivery in ended if not delivery.webhook.is_enabled}):
            words = f"Disabled, so nothing is sent until you enable it: {', '.join(disabled)}."
            self.message_user(request, words, messages.WARNING)


def say_state(delivery: WebhookDelivery) -> str:
    """Say in words what became of a delivery, with the reason of its last failure."""
    if delivery.delivered_at is not None:
        return gettext("delivered, answered %(status)s") % {"status": delivery.status}
    if delivery.next_attempt_at is None:
        return gettext("given up. %(error)s") % {"error": say(delivery.error)}
    if not delivery.error:
        return gettext("waits for its first attempt")
    sentence = gettext("next attempt at %(time)s. %(error)s")
    return sentence % {"time": _say_time(delivery.next_attempt_at), "error": say(delivery.error)}


def _say_time(moment: Any) -> str:
    return str(localize(localtime(moment).replace(microsecond=0)))


def _link(delivery: WebhookDelivery) -> SafeString:
    url = reverse("admin:batches_webhookdelivery_change", args=[delivery.pk])
    return format_html('<a href="{}">{}</a>', url, _say_time(delivery.created_at))
