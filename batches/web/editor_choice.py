"""What is typed and chosen in the editor of a template: its parts, and whose values fill its fields.

A posted form or a stored template enters. Message parts leave, with the values of a recipient of a list or samples.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from django.http import QueryDict

from batches.models import Batch, Email, EmailTemplate, TemplateKind, Topic
from batches.models.template import ID_MAX_DIGITS
from batches.rendering import children
from batches.rendering.foreign import find_foreign_tags
from batches.rendering.template import MessageParts, Rendered, TemplateFault, make_context
from batches.reviewing import compare_with_newest_lists
from batches.template_sources import Written, compose
from batches.web.message import ROW_MAX_DIGITS
from batches.web.requests import SignedInRequest, batches_of
from batches.web.samples import sample_values
from batches.writing.checks import Finding, check_message
from batches.writing.fixes import Note, note_fault, note_foreign, note_missing

LISTS_OFFERED = 30
"""How many of the newest lists the editor offers."""

_FORMS = {TemplateKind.MARKDOWN: ("subject", "source"), TemplateKind.HTML: ("subject", "html", "text")}


@dataclass(frozen=True, kw_only=True)
class EditorChoice:
    """The letter as it is typed, and the list whose fields and values it shows."""

    written: Written
    topic: Topic | None
    batch: Batch | None
    user_id: int
    line: int = 0
    """The line of the recipient whose values are shown, or of the next one after it. 0: the first one."""

    @cached_property
    def recipient(self) -> Email | None:
        """The recipient whose values are shown. None: no list is chosen, or it is empty."""
        emails = self.batch.emails.order_by("row") if self.batch else Email.objects.none()
        return (emails.filter(row__gte=self.line).first() if self.line else None) or emails.first()

    @property
    def sources(self) -> dict[str, str]:
        """The parts that the person writes, by their names."""
        return {part: getattr(self.written, part) for part in _FORMS[TemplateKind(self.written.kind)]}

    @property
    def is_letter(self) -> bool:
        """Whether it is written in Markdown."""
        return self.written.kind == TemplateKind.MARKDOWN

    @property
    def fields(self) -> list[str]:
        """The fields of the list, with the address."""
        return [*self.batch.merge_fields, "email"] if self.batch else []

    def parts(self) -> MessageParts:
        """Return the message parts that would be stored.

        Raises:
            TemplateFault: The letter can't be used.
            RenderingBusy: Too many templates are being looked at.
        """
        parts = compose(self.written, user_id=self.user_id).with_topic(self.topic and self.topic.message_topic)
        parts.check_lengths()
        return parts

    def values(self, parts: MessageParts) -> Mapping[str, Any]:
        """Return the values of a recipient of the list, and samples for what it lacks or if none is chosen.

        A note says what the list lacks. The letter is shown anyway.
        """
        email = self.recipient
        if self.batch is None or email is None:
            return sample_values(children.analyse_sound(parts, user_id=self.user_id))
        analysis = children.analyse_sound(parts, self.batch, user_id=self.user_id)
        samples = {name: value for name, value in sample_values(analysis).items() if name in analysis.binding.missing}
        return {**samples, **make_context(self.batch.merge_fields, email.fields, address=email.address)}

    def render(self) -> Rendered:
        """Render the letter for one recipient.

        Raises:
            TemplateFault: It can't be used, or not with these values.
            RenderingBusy: Too many templates are being looked at.
        """
        parts = self.parts()
        children.analyse_sound(parts, user_id=self.user_id)
        heading = self.batch.address_heading if self.batch else ""
        return children.render(parts, self.values(parts), address_heading=heading, user_id=self.user_id)


@dataclass(frozen=True, kw_only=True, slots=True)
class EditorNotes:
    """What the editor says of a letter: notes beside its parts, and what the checks found."""

    notes: list[Note]
    findings: list[Finding]

    def _of(self, part: str) -> list[Note]:
        return [note for note in self.notes if note.part == part]

    @property
    def subject(self) -> list[Note]:
        return self._of("subject")

    @property
    def source(self) -> list[Note]:
        return self._of("source")

    @property
    def html(self) -> list[Note]:
        return self._of("html")

    @property
    def text(self) -> list[Note]:
        return self._of("text")

    @property
    def general(self) -> list[Note]:
        """Those that are about no part in particular."""
        return self._of("")


def read_choice(request: SignedInRequest, posted: QueryDict) -> EditorChoice:
    """Read what is typed. Whatever is missing is empty."""
    kind = posted.get("kind", "")
    written = Written(
        subject=posted.get("subject", ""),
        kind=kind if kind in TemplateKind.values else TemplateKind.HTML,
        source=posted.get("source", ""),
        html=posted.get("html", ""),
        text=posted.get("text", ""),
    )
    topic = Topic.objects.filter(pk=number).first() if (number := _read_number(posted.get("topic", ""))) else None
    return EditorChoice(
        written=written,
        topic=topic,
        batch=find_list(request, posted.get("list", "")),
        user_id=request.user.pk,
        line=_read_number(posted.get("line", ""), digits=ROW_MAX_DIGITS),
    )


def stored_choice(request: SignedInRequest, template: EmailTemplate, asked: QueryDict) -> EditorChoice:
    """Return the choice of a template as it is stored, with the list and the line that are asked for."""
    written = Written(
        subject=template.subject,
        kind=template.kind,
        source=template.source,
        html=template.html,
        text=template.text,
    )
    return EditorChoice(
        written=written,
        topic=template.topic,
        batch=find_list(request, asked.get("list", "")),
        user_id=request.user.pk,
        line=_read_number(asked.get("line", ""), digits=ROW_MAX_DIGITS),
    )


def list_batches(request: SignedInRequest) -> list[Batch]:
    """Return the newest lists of the user that have fields."""
    batches = batches_of(request).filter(is_test=False).exclude(merge_fields=[])
    return list(batches.only("pk", "name", "filename", "source", "created_at")[:LISTS_OFFERED])


def find_list(request: SignedInRequest, text: str) -> Batch | None:
    """Return the list of a number, if the user may see it."""
    number = _read_number(text)
    return batches_of(request).filter(pk=number).first() if number else None


def make_notes(choice: EditorChoice) -> EditorNotes:
    """Say what is wrong with a letter or may be, and check the message that it makes.

    Raises:
        RenderingBusy: Too many templates are being looked at.
    """
    sources, fields = choice.sources, choice.fields
    typed = MessageParts(
        subject=choice.written.subject,
        html=choice.written.html if "html" in sources else "",
        text=sources.get("source", choice.written.text),
    )
    notes = []
    for tag in find_foreign_tags(typed, fields):
        notes.append(note_foreign(tag, is_letter="source" in sources))
    if choice.batch is not None:
        notes += note_missing(sources, choice.batch.merge_fields, choice.batch.title)
    findings: list[Finding] = []
    try:
        if any(text.strip() for part, text in sources.items() if part != "subject"):
            parts = choice.parts()
            has_own_link = "unsubscribe_url" in parts.html + parts.text
            message = choice.render()
            if choice.batch is None and (compared := _compare(parts, choice.user_id)):
                notes.append(compared)
            findings = check_message(message, is_news=parts.is_news, has_own_link=has_own_link)
    except TemplateFault as exc:
        if not (notes and str(exc).startswith("The list has no column")):  # a note with its fix says so
            notes.insert(0, note_fault(str(exc), sources))
    return EditorNotes(notes=notes, findings=findings)


def _compare(parts: MessageParts, user_id: int) -> Note | None:
    """Compare a letter with the newest lists of the user, if none is chosen. None: one of them has every field."""
    compared = compare_with_newest_lists(parts, Batch.objects.filter(created_by_id=user_id), user_id=user_id)
    return Note(part="", text=compared.sentence) if compared else None


def _read_number(text: str, *, digits: int = ID_MAX_DIGITS) -> int:
    return int(text) if text.isascii() and text.isdigit() and len(text) <= digits else 0
