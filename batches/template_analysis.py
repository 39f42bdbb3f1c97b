"""What lists and forms show of a template: its merge fields, or its fault. It is worked out when a template is saved.

A template enters. What its row keeps leaves. Only a row that was written without it is looked at again, a few of them
in one request, so that no list of templates starts a child process for each.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass

from batches.models import EmailTemplate
from batches.rendering import children
from batches.rendering.analysis import Analysis
from batches.rendering.template import MessageParts

READING_VERSION = 2
"""Rises when the language of templates reads one of them differently: then each is looked at again."""

AT_ONCE_MAX = 5
"""How many templates one list works out. The others show no fields until the list is drawn again."""


@dataclass(frozen=True, kw_only=True, slots=True)
class KnownTemplate:
    """What is known of a template without a list."""

    merge_fields: list[str]
    """As the template writes them, in alphabetical order."""
    fault: str
    """Why it can't be used. Empty: it can."""


def work_out(template: EmailTemplate, *, user_id: int | None = None) -> KnownTemplate:
    """Set the fields of a template that keep what is known of it. Saves nothing.

    Raises:
        RenderingBusy: Too many templates are being looked at.
    """
    parts = MessageParts.of(template)
    analysis = children.analyse(parts, user_id=user_id)
    keep_analysis(template, parts, analysis)
    return KnownTemplate(merge_fields=analysis.written_fields, fault=analysis.fault)


def work_out_if_needed(template: EmailTemplate, *, user_id: int | None = None) -> None:
    """Set what is known of a template, unless it is known already, or too many templates are being looked at."""
    if template.analysed_digest != _make_digest(MessageParts.of(template)):
        with suppress(children.RenderingBusy):  # the next list works it out
            work_out(template, user_id=user_id)


def keep_analysis(template: EmailTemplate, parts: MessageParts, analysis: Analysis) -> None:
    """Set the fields of a template that keep what is known of its parts. Saves nothing."""
    template.merge_fields, template.fault = analysis.written_fields, analysis.fault
    template.analysed_digest = _make_digest(parts)


def read_known(templates: Iterable[EmailTemplate], *, user_id: int | None = None) -> list[KnownTemplate]:
    """Return what is known of each template, in their order. What a row lacks is worked out and stored."""
    left = AT_ONCE_MAX
    known = []
    for template in templates:
        if template.analysed_digest == _make_digest(MessageParts.of(template)):
            known.append(KnownTemplate(merge_fields=template.merge_fields, fault=template.fault))
            continue
        known.append(
            _work_out_and_store(template, user_id=user_id) if left else KnownTemplate(merge_fields=[], fault="")
        )
        left = max(0, left - 1)
    return known


def _work_out_and_store(template: EmailTemplate, *, user_id: int | None) -> KnownTemplate:
    try:
        known = work_out(template, user_id=user_id)
    except children.RenderingBusy:
        return KnownTemplate(merge_fields=[], fault="")
    # Only for the parts that were looked at: somebody may have saved others meanwhile. ``updated_at`` stays.
    unchanged = EmailTemplate.objects.filter(
        pk=template.pk, subject=template.subject, html=template.html, text=template.text, topic=template.topic_id
    )
    unchanged.update(merge_fields=template.merge_fields, fault=template.fault, analysed_digest=template.analysed_digest)
    return known


def _make_digest(parts: MessageParts) -> str:
    # Which topic it is, and its footer, change nothing of the analysis.
    text = repr((READING_VERSION, parts.subject, parts.html, parts.text, *(["news"] if parts.is_news else [])))
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()
