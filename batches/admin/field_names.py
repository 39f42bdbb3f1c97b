"""The names of models and columns as administrators read them.

Django makes these names of those in the code: ``total_count`` is "total count". They are collected here, because a name
that is nowhere as a text cannot be translated. A test compares them with what the admin shows.
"""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.utils.functional import Promise
from django.utils.translation import gettext_lazy
from django.utils.translation import gettext_noop as _

MODELS = (
    *(_("API token"), _("API tokens"), _("audit entry"), _("batch"), _("email"), _("emails"), _("email job")),
    *(_("email jobs"), _("email template"), _("email templates"), _("relay"), _("relays"), _("sender"), _("senders")),
    *(_("topic"), _("topics"), _("unknown report"), _("unknown reports"), _("webhook"), _("webhooks")),
    *(_("webhook delivery"), _("lane"), _("lanes")),
)

COLUMNS = (
    *(_("HTML"), _("ID"), _("Reply-To"), _("accepted refusal"), _("accepted share"), _("action"), _("actor id")),
    *(_("actor name"), _("address"), _("at"), _("attempts"), _("batch id"), _("canary to row"), _("canary until")),
    *(_("client"), _("closes after refusals"), _("closes at"), _("columns"), _("completed at"), _("connections")),
    *(_("content"), _("created at"), _("created by"), _("description"), _("details"), _("digest")),
    *(_("display name"), _("door"), _("enabled"), _("event"), _("events"), _("expires at"), _("failed count")),
    *(_("failure words"), _("fields"), _("filename"), _("footer"), _("from email"), _("groups")),
    *(_("handed out to row"), _("html"), _("is default"), _("is refused"), _("is test"), _("key"), _("kind")),
    *(_("last error"), _("last used at"), _("line"), _("merge fields"), _("message id"), _("name")),
    *(_("next attempt at"), _("opens at"), _("order"), _("owner"), _("preset"), _("priority"), _("rate per minute")),
    *(_("rate per second"), _("received at"), _("recipient"), _("relay failure count"), _("relay retry at")),
    *(_("reply to"), _("resumed by"), _("row"), _("scheduled at"), _("scopes"), _("secret"), _("sent before at")),
    *(_("sent count"), _("shared addresses"), _("source"), _("started at"), _("status"), _("subject")),
    *(_("suppression version"), _("target"), _("target id"), _("target name"), _("template"), _("template key")),
    *(_("text"), _("topic footer"), _("total count"), _("updated at"), _("user"), _("users"), _("version"), _("via")),
    *(_("weekdays"), _("weight"), _("number"), _("worker"), _("unknown count"), _("retried count"), _("amount")),
)

ABBREVIATIONS = {"api token": "API token", "api tokens": "API tokens"}


def translate_names() -> None:
    """Replace the names that Django made by ones that are translated when they are shown. Safe to run twice."""
    known = set(MODELS) | set(COLUMNS)
    for model in admin.site._registry:
        if model._meta.app_label != "batches":
            continue
        described: list[Any] = [model._meta, *model._meta.concrete_fields, *model._meta.many_to_many]
        for named in described:
            own = getattr(named, "verbose_name", "")
            if isinstance(own, Promise):
                continue
            if named is model._meta and "verbose_name_plural" not in model._meta.original_attrs:
                plural = f"{own}s"
                model._meta.verbose_name_plural = gettext_lazy(ABBREVIATIONS.get(plural, plural))
            name = ABBREVIATIONS.get(own, own)
            if name in known:
                named.verbose_name = gettext_lazy(name)
