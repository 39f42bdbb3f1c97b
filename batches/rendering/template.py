"""A message before and after its merge fields are filled in: its parts, the values, and what was rendered. Pure.

The templates are written by users. So what is not plain is compiled and rendered in child processes only
(``children``, ``row_renderer``), and nothing here knows the template engine.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple, Protocol, Self

from batches.rendering.typed_names import ROWS
from batches.rendering.wording import PARTS

PART_MAX_CHARS = 256 * 1024
"""The longest part of a template that may be saved or previewed. Mail programs show less."""

SUBJECT_MAX_CHARS = 998
"""The longest subject that forms and the API accept: one that could fill a line (RFC 5322 section 2.1.1)."""

OUTPUT_MAX_CHARS = 10_000_000
"""A longer part is a fault of the template, because relays refuse such messages."""

FAULT_MAX_CHARS = 2_000
"""The longest sentence of a fault. It is stored with each email that has the fault, and again with each attempt, and it
may quote a tag or name fields."""

_CUT = "… This sentence is too long to be shown whole. Shorten the tags of the template, and look again."

TOO_EXPENSIVE = "The template takes too much time or memory. Make its loops and repetitions smaller."
_NOT_IN_A_HEADER = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]+")


class TemplateFault(Exception):
    """The template can't be compiled, or can't be rendered for this recipient. The message says why.

    ``group`` is the message without the recipient's values, so that faults of many recipients can be counted.
    """

    def __init__(self, message: str, *, group: str = "") -> None:
        message = _cut_fault(message)
        super().__init__(message)
        self.group = _cut_fault(group) or message


def _cut_fault(message: str) -> str:
    return message if len(message) <= FAULT_MAX_CHARS else message[: FAULT_MAX_CHARS - len(_CUT)] + _CUT


class Rendered(NamedTuple):
    """The subject and bodies of one recipient. A body that the template lacks is an empty string."""

    subject: str
    html: str
    text: str

    @property
    def size_bytes(self) -> int:
        """The size of the bigger body, as mail programs measure it."""
        return max(len(body.encode("utf-8", "replace")) for body in (self.html, self.text))


UNSUBSCRIBE_URL = "unsubscribe_url"
"""The name of the link with which the recipient of news unsubscribes. It is no merge field."""


class TopicSource(Protocol):
    """What a message says of its topic."""

    @property
    def key(self) -> str: ...
    @property
    def is_news(self) -> bool: ...
    @property
    def footer(self) -> str: ...


class PartsSource(Protocol):
    """Anything with a subject, HTML, text and topic: a template, a job, a lane's spec."""

    @property
    def subject(self) -> str: ...
    @property
    def html(self) -> str: ...
    @property
    def text(self) -> str: ...
    @property
    def message_topic(self) -> TopicSource | None: ...


class ListSource(Protocol):
    """Anything with the names of a list: a batch, a lane's spec."""

    @property
    def merge_fields(self) -> Sequence[str]: ...
    @property
    def address_heading(self) -> str: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class MessageParts:
    """The subject, HTML and text that a job sends, before any merge field is filled in, and what its topic adds."""

    subject: str
    html: str
    text: str
    topic: str = ""
    """The key of the topic. Empty: service."""
    is_news: bool = False
    """Whether its recipients can unsubscribe. Then each body has a link for that, or gets the footer."""
    footer: str = ""
    """The topic's text for bodies of news without a link. Empty: our own."""

    @classmethod
    def of(cls, source: PartsSource, subject: str | None = None, topic: TopicSource | None = None) -> Self:
        """Copy the parts of a template or a job. ``subject`` and ``topic`` replace its own, unless they are empty."""
        parts = cls(subject=source.subject, html=source.html, text=source.text).with_subject(subject)
        return parts.with_topic(topic or source.message_topic)

    def with_topic(self, topic: TopicSource | None) -> Self:
        """Copy these parts with a topic. None: service."""
        if topic is None:
            return replace(self, topic="", is_news=False, footer="")
        return replace(self, topic=topic.key, is_news=topic.is_news, footer=topic.footer)

    def with_subject(self, subject: str | None) -> Self:
        """Copy these parts with another subject. An empty one, or None, keeps the subject as it is."""
        return replace(self, subject=subject or self.subject)

    def check_lengths(self) -> None:
        """Refuse parts that are too long to be saved or previewed. A stored template may be longer, and is sent.

        Raises:
            TemplateFault: A part has more characters than a form accepts.
        """
        for part, name in PARTS.items():
            if len(getattr(self, part)) > PART_MAX_CHARS:
                raise TemplateFault(f"The {name} has more than {PART_MAX_CHARS:,} characters. Make it shorter.")


def name_cells(merge_fields: Iterable[str], cells: Iterable[Any], *, address: str) -> dict[str, Any]:
    """Name the cells of one row by their merge fields. The address is the merge field ``email``."""
    context = dict(zip(merge_fields, cells, strict=False))
    context["email"] = address
    return context


def make_context(merge_fields: Sequence[str], cells: Sequence[Any], *, address: str) -> dict[str, Any]:
    """Name one email's cells by their merge fields, with ``rows`` if the email is for several rows of the list.

    ``rows`` is a list of such dicts, one for each row.
    """
    context = name_cells(merge_fields, cells, address=address)
    if len(cells) > len(merge_fields):
        context[ROWS] = [name_cells(merge_fields, row, address=address) for row in cells[len(merge_fields)]]
    return context


def as_one_line(subject: str) -> str:
    """Replace line ends and other control characters of a subject by spaces: a header can't contain them."""
    if not subject.isprintable():
        subject = _NOT_IN_A_HEADER.sub(" ", subject)
    return subject.strip()
