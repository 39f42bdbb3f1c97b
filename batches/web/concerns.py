"""What a person should look at before a draft is sent, gathered in one place: the send button of the review has it.

A list as the review shows it and the chosen message enter. Concerns leave, each with the place that has more.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from django.contrib.humanize.templatetags.humanize import intcomma
from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from batches.web.list_view import ListView
from batches.web.message import MessageChoice


@dataclass(frozen=True, kw_only=True, slots=True)
class Concern:
    """One thing to look at."""

    sentence: str
    address: str
    """Where there is more about it."""


def list_concerns(described: ListView, choice: MessageChoice) -> list[Concern]:
    """List the concerns about the message first, then those about the list."""
    return [*_of_the_message(described, choice), *_of_the_list(described, choice)]


def _of_the_message(described: ListView, choice: MessageChoice) -> Iterator[Concern]:
    review = described.review
    if review.missing:
        names = ", ".join(field.name for field in review.missing)
        yield _point(_("The letter uses what the list has no column for: %(names)s.") % {"names": names}, "#message")
    for name, count in review.blank_counts.items():
        words = ngettext("%(count)s row has no “%(name)s”.", "%(count)s rows have no “%(name)s”.", count)
        yield _point(words % {"count": intcomma(count), "name": name}, "#message")
    if review.foreign_tags:
        yield _point(_("The letter has tags of another program, which go out as they are."), "#message")
    if choice.sender_warning:
        yield _point(_("Receivers refused mail of this sender lately."), "#message")


def _of_the_list(described: ListView, choice: MessageChoice) -> Iterator[Concern]:
    review = described.review
    for finding in described.findings:
        if finding.is_doubtful:
            yield _point(finding.text, "#list")
    rejected = f"{reverse('batch', args=[choice.batch.pk])}?status=rejected#rows"
    if review.rejected_count:
        words = ngettext("%(count)s line can't be used.", "%(count)s lines can't be used.", review.rejected_count)
        yield _point(words % {"count": intcomma(review.rejected_count)}, rejected)
    if review.duplicate_count:
        words = ngettext(
            "%(count)s line has an address that was there already.",
            "%(count)s lines have an address that was there already.",
            review.duplicate_count,
        )
        yield _point(words % {"count": intcomma(review.duplicate_count)}, rejected)
    left_out = sum(review.suppressed.values())
    if left_out:
        words = ngettext(
            "%(count)s recipient is on the do-not-send list, and gets nothing.",
            "%(count)s recipients are on the do-not-send list, and get nothing.",
            left_out,
        )
        yield _point(words % {"count": intcomma(left_out)}, "#list")
    if review.smtputf8_count:
        words = ngettext(
            "%(count)s address has unusual letters. The mail may not arrive.",
            "%(count)s addresses have unusual letters. The mail may not arrive.",
            review.smtputf8_count,
        )
        yield _point(words % {"count": intcomma(review.smtputf8_count)}, "#list")
    if review.same_content_at:
        yield _point(_("The same list was started within the last 24 hours."), "#list")


def _point(sentence: str, address: str) -> Concern:
    return Concern(sentence=sentence, address=address)
