"""Relays in the admin: their limits, what they do now, and why one carries no mail.

The relays themselves come from the environment, so none is added here. A saved change reaches every lane within
seconds, and ends the wait of jobs that wait for a relay.
"""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib import admin, messages
from django.contrib.admin.views.main import ChangeList
from django.db.models import Model, QuerySet
from django.db.models.functions import Now
from django.forms import BaseInlineFormSet
from django.http import HttpRequest, HttpResponse
from django.utils.html import format_html_join
from django.utils.safestring import SafeString
from django.utils.translation import gettext, ngettext
from django.utils.translation import gettext_lazy as _

from batches import audit
from batches.models import AuditAction, Relay, RelayPause, RelayQuota, Sender
from batches.relays import sync, wake_jobs
from batches.relays.presets import MINUTE_SECONDS, apply_preset, read_limits
from batches.relays.registry import keep_minute_quotas, relay_urls
from batches.relays.states import RelayState, read_states
from batches.relays.wording import DAYS, list_days
from batches.translations import figure, say
from batches.waiting import say_period

UNITS = {1: _("seconds"), 60: _("minutes"), 3600: _("hours"), 86_400: _("days")}


WINDOW_FIELDS: tuple[str | tuple[str, ...], ...] = (("opens_at", "closes_at"), "weekdays")


class RelayForm(forms.ModelForm):  # type: ignore[type-arg]
    weekdays = forms.TypedMultipleChoiceField(
        choices=list(enumerate(DAYS)),
        coerce=int,
        required=False,
        widget=forms.CheckboxSelectMultiple,
        help_text=_("The days on which it carries mail. None: every day."),
    )

    class Meta:
        model = Relay
        fields = "__all__"  # noqa: DJ007  (the admin's fieldsets name them)

    def clean(self) -> dict[str, Any]:
        cleaned: dict[str, Any] = super().clean() or {}
        opens_at, closes_at = cleaned.get("opens_at"), cleaned.get("closes_at")
        if opens_at is not None and opens_at == closes_at:
            self.add_error("closes_at", _("Both times are the same. For the whole day, leave both empty."))
        return cleaned


class QuotaForm(forms.ModelForm):  # type: ignore[type-arg]
    """A quota as a person writes it: so many messages in so many hours."""

    number = forms.IntegerField(label=_("in"), min_value=1, max_value=366 * 86_400)
    unit = forms.TypedChoiceField(label=_("unit"), choices=list(UNITS.items()), coerce=int, initial=3600)

    class Meta:
        model = RelayQuota
        fields = ("amount",)
        labels = {"amount": _("messages")}

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if self.instance.pk:
            seconds = self.instance.period_seconds
            # A day is written as 24 hours, as the providers do.
            unit = next(each for each in (3600, 60, 1) if seconds % each == 0)
            self.initial.update(number=seconds // unit, unit=unit)

    def clean(self) -> dict[str, Any]:
        cleaned: dict[str, Any] = super().clean() or {}
        if "number" not in cleaned or "unit" not in cleaned:
            return cleaned
        period_seconds = cleaned["number"] * cleaned["unit"]
        if period_seconds == MINUTE_SECONDS:
            self.add_error("number", _("Write the messages of a minute above, as “rate per minute”."))
        if period_seconds > 366 * 86_400:
            self.add_error("number", _("A quota may cover 366 days at most."))
        cleaned["period_seconds"] = self.instance.period_seconds = period_seconds
        return cleaned


class QuotaFormSet(BaseInlineFormSet):  # type: ignore[type-arg]
    def clean(self) -> None:
        super().clean()
        forms_kept = [form for form in self.forms if form.cleaned_data and not form.cleaned_data.get("DELETE")]
        periods = [form.cleaned_data.get("period_seconds") for form in forms_kept]
        if len(periods) != len(set(periods)):
            raise forms.ValidationError(_("Two quotas have the same period. Keep the smaller one."))


class QuotaInline(admin.TabularInline):  # type: ignore[type-arg]
    model = RelayQuota
    form, formset = QuotaForm, QuotaFormSet
    readonly_fields = ("period",)
    extra = 1
    verbose_name = _("quota")
    verbose_name_plural = _("rolling quotas: so many messages in any span of so many hours")

    def get_queryset(self, request: HttpRequest) -> QuerySet[RelayQuota]:
        return super().get_queryset(request).exclude(period_seconds=MINUTE_SECONDS)

    def get_fields(self, request: HttpRequest, obj: Any = None) -> tuple[str, ...]:
        # The two fields of the form are none of the model, so a page that only shows the quota would have no value.
        return ("amount", "number", "unit") if self.has_change_permission(request, obj) else ("amount", "period")

    @admin.display(description=_("in"))
    def period(self, quota: RelayQuota) -> str:
        return say(say_period(quota.period_seconds))


class RelayChangeList(ChangeList):
    """A page of relays with their states."""

    def get_results(self, request: HttpRequest) -> None:
        super().get_results(request)
        states = read_states(self.result_list)
        for relay in self.result_list:
            relay.state = states[relay.pk]


@admin.register(Relay)
class RelayAdmin(admin.ModelAdmin):  # type: ignore[type-arg]
    form = RelayForm
    inlines = (QuotaInline,)
    list_display = ("name", "doing", "address", "used", "order", "weight", "preset")
    actions = ("try_again", "enable", "disable")
    filter_horizontal = ("senders",)
    readonly_fields = ("name", "doing", "address", "used", "days")
    fieldsets = (
        (None, {"fields": ("name", "address", "doing", "used", "is_enabled")}),
        (_("Share of the mail"), {"fields": (("weight", "order"), "senders")}),
        (
            _("Limits"),
            {
                "description": _(
                    "They hold for all workers together. Another preset replaces the messages per minute "
                    "and the quotas when you save, except those that you type together with it."
                ),
                "fields": ("preset", ("rate_per_second", "rate_per_minute"), "connections"),
            },
        ),
        (_("What comes back"), {"fields": ("keeps_return_path",)}),
        (_("Window of the day"), {"fields": WINDOW_FIELDS}),
        (_("Seen by the workers"), {"fields": ("closes_after_refusals",)}),
    )

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[ChangeList]:
        return RelayChangeList

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        sync()  # A relay may be new in the environment.
        return super().changelist_view(request, extra_context)

    def get_queryset(self, request: HttpRequest) -> QuerySet[Relay]:
        return super().get_queryset(request).prefetch_related("pauses__sender")

    def get_fieldsets(self, request: HttpRequest, obj: Any = None) -> Any:
        if self.has_change_permission(request, obj):
            return self.fieldsets
        # A page that only shows a relay would have the days as numbers.
        shown = {"fields": (*WINDOW_FIELDS[:-1], "days")}
        return [(name, shown if options["fields"] is WINDOW_FIELDS else options) for name, options in self.fieldsets]

    @admin.display(description=_("weekdays"))
    def days(self, relay: Relay) -> str:
        return say(list_days(relay.weekdays)) or gettext("every day")

    @admin.display(description=_("state"))
    def doing(self, relay: Relay) -> str:
        return say(_state(relay).words)

    @admin.display(description=_("address"))
    def address(self, relay: Relay) -> str:
        return say(_state(relay).address)

    @admin.display(description=_("used"))
    def used(self, relay: Relay) -> SafeString | str:
        return format_html_join("", "<div>{}</div>", ((say(use),) for use in _state(relay).uses)) or gettext("no quota")

    def save_related(self, request: HttpRequest, form: Any, formsets: Any, change: bool) -> None:
        # The relay itself is saved by now, and its quotas are not.
        typed = {name: form.initial[name] for name in ("rate_per_minute", "keeps_return_path")}
        before = read_limits(form.instance)._replace(**typed)
        super().save_related(request, form, formsets, change)
        if "preset" in form.changed_data:
            self.message_user(request, apply_preset(form.instance, before=before), messages.INFO)
        keep_minute_quotas()
        wake_jobs()

    @admin.action(description=_("Try again now: end the pauses"), permissions=["change"])
    def try_again(self, request: HttpRequest, relays: QuerySet[Relay]) -> None:
        chosen = list(relays.values_list("pk", flat=True))
        ended, _by_model = RelayPause.objects.filter(relay__in=chosen).delete()
        _record(relays, "end pauses")
        Relay.objects.filter(pk__in=chosen).update(updated_at=Now())  # The lanes look for this every few seconds.
        woken = wake_jobs()
        self.message_user(
            request,
            f"{_say_ended(ended)} {_say_woken(woken)}",
            messages.SUCCESS,
        )

    @admin.action(description=_("Enable"), permissions=["change"])
    def enable(self, request: HttpRequest, relays: QuerySet[Relay]) -> None:
        self._switch(request, relays, is_enabled=True)

    @admin.action(description=_("Disable: carry no more mail"), permissions=["change"])
    def disable(self, request: HttpRequest, relays: QuerySet[Relay]) -> None:
        self._switch(request, relays, is_enabled=False)

    def _switch(self, request: HttpRequest, relays: QuerySet[Relay], *, is_enabled: bool) -> None:
        count = relays.exclude(is_enabled=is_enabled).update(is_enabled=is_enabled, updated_at=Now())
        _record(relays, "enable" if is_enabled else "disable")
        wake_jobs()
        self.message_user(request, _say_switched(count, is_enabled=is_enabled), messages.SUCCESS)
        if not Relay.objects.filter(is_enabled=True, name__in=relay_urls()).exists():
            self.message_user(request, "Every relay is disabled, so no mail is sent.", messages.WARNING)

    def get_actions(self, request: HttpRequest, *args: Any, **kwargs: Any) -> dict[str, Any]:
        actions = super().get_actions(request, *args, **kwargs)  # Django 6.1 asks where the actions are shown.
        actions.pop("delete_selected", None)  # A relay of the environment would be there again at once.
        return actions

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        if isinstance(obj, Relay) and (obj.name in relay_urls() or Sender.objects.filter(relays=obj).exists()):
            # A relay of the environment would be there again at once. And a sender whose only relay is deleted would be
            # carried by every relay.
            return False
        return super().has_delete_permission(request, obj)


def _record(relays: QuerySet[Relay], act: str) -> None:
    for relay in relays:
        audit.record(AuditAction.RELAY_CHANGE, relay, act=act)


def _state(relay: Relay) -> RelayState:
    state: RelayState | None = getattr(relay, "state", None)  # on a list, read for all relays at once
    return state or read_states([relay])[relay.pk]


def _say_switched(count: int, *, is_enabled: bool) -> str:
    if is_enabled:
        sentence = ngettext("%(count)s relay was enabled.", "%(count)s relays were enabled.", count)
    else:
        sentence = ngettext("%(count)s relay was disabled.", "%(count)s relays were disabled.", count)
    return sentence % {"count": figure(count)}


def _say_ended(count: int) -> str:
    sentence = ngettext("%(count)s pause was ended.", "%(count)s pauses were ended.", count)
    return sentence % {"count": figure(count)}


def _say_woken(count: int) -> str:
    sentence = ngettext(
        "%(count)s waiting job goes on within seconds.", "%(count)s waiting jobs go on within seconds.", count
    )
    return sentence % {"count": figure(count)}
