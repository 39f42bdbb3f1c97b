"""Write a job's messages; lay a template of plain ``{{ field }}`` out once, with gaps to fill for each email.

Templates and merge fields enter, messages leave. What is laid out is what the general way makes of marks in
the place of merge fields, so the two can't differ in layout; an email that the gaps might not fit goes the
general way. ADR 13.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from operator import itemgetter
from secrets import token_hex

from batches.rendering.message import LINE_MAX_OCTETS, Message, MessageLayout, canonical, encode_subject
from batches.rendering.template import OUTPUT_MAX_CHARS, CompiledTemplate, Rendered, TemplateFault, as_one_line

_TAG = re.compile(r"\{\{\s*(\w+)\s*\}\}|\{[{%#]")
_LONE_CR = re.compile(r"\r(?!\n)")
_HEAD_SLOTS = 4
"""Address, subject line, Message-ID and date; then come the fields, and the fields as HTML has them."""

_GROWTH_MAX = 32
"""A mark of 32 characters makes room for 998 octets at most, the longest line."""

_MARKUP = {b"&": b"&amp;", b"<": b"&lt;", b">": b"&gt;", b'"': b"&quot;", b"'": b"&#x27;", b"/": b"&#x2f;"}
"""What minijinja writes for them in HTML; the ampersand first, as the others bring one."""

_CONTROLS = bytes({*range(0x20), 0x7F} - {ord("\n")})
_NOT_AS_IS = _CONTROLS + b"".join(_MARKUP)


class MessageWriter:
    """Makes the messages of one job from its template."""

    def __init__(self, template: CompiledTemplate, layout: MessageLayout) -> None:
        self._template, self._layout = template, layout
        self._plain = find_plain_layout(template, layout)

    def write(self, *, email_id: int, address: str, context: Mapping[str, str], allow_8bit: bool) -> Message:
        """Make one recipient's message.

        Raises:
            TemplateFault: a merge field is missing, or a limit is passed.
        """
        if allow_8bit and self._plain is not None:
            message = self._plain.fill(email_id, address, context)
            if message is not None:
                return message
        rendered = self._template.render(context)
        return self._layout.build(email_id=email_id, address=address, rendered=rendered, allow_8bit=allow_8bit)


class PlainLayout:
    """A job's whole message in 8bit, with gaps."""

    def __init__(self, plan: _Plan, layout: MessageLayout) -> None:
        self._layout = layout
        self._names, self._subject, self._room = plan.names, plan.subject, plan.room
        self._has_dots = plan.has_dots
        self._content, self._order = plan.content.encode(), itemgetter(*plan.order)
        self._count = len(plan.names) or 1  # nothing, split, is one piece

    def fill(self, email_id: int, address: str, context: Mapping[str, str]) -> Message | None:
        """One recipient's message; None if a field is missing, not of one line, or might not fit its line."""
        try:
            octets = "\n".join(map(context.__getitem__, self._names)).encode()
        except (KeyError, UnicodeEncodeError):
            return None
        fields = escaped = octets.split(b"\n")
        if len(octets.translate(None, _NOT_AS_IS)) != len(octets):
            if len(octets.translate(None, _CONTROLS)) != len(octets):
                return None
            for character, entity in _MARKUP.items():
                octets = octets.replace(character, entity)
            escaped = octets.split(b"\n")
        # All fields together: no line can hold more than that of those it names.
        if len(octets) > self._room or len(fields) != self._count:
            return None
        subject_line = encode_subject(as_one_line(self._subject % context))
        head = address.encode(), subject_line, self._layout.id_left(email_id), self._layout.date_now()
        gaps: tuple[bytes, ...] = self._order((*head, *fields, *escaped))
        has_dots = self._has_dots or octets.startswith(b".") or b"\n." in octets
        return Message(self._content % gaps, True, has_dots)


@dataclass(frozen=True, kw_only=True, slots=True)
class _Plan:
    """A message with gaps: ``content`` and ``subject`` are formats for the ``%`` operator."""

    names: tuple[str, ...]
    subject: str
    content: str
    order: tuple[int, ...]
    """The slot that fills each gap of the content."""
    room: int
    """How many octets the fields may have together so that no line is too long."""
    has_dots: bool
    """Whether a line begins with a dot, or would behind fields that are empty."""


def find_plain_layout(template: CompiledTemplate, layout: MessageLayout) -> PlainLayout | None:
    """Lay the template out with gaps, if it holds plain merge fields only and that can be proven."""
    subject = template.sources[0]
    tags = [tag[1] for source in template.sources for tag in _TAG.finditer(source)]
    if not all(tags) or as_one_line(subject) != subject.strip():
        return None
    names = tuple(dict.fromkeys(tags))
    try:
        plan, proof = _draw(template, layout, names), _draw(template, layout, names)
    except TemplateFault:  # each email will say which
        return None
    return PlainLayout(plan, layout) if plan is not None and plan == proof else None


def _draw(template: CompiledTemplate, layout: MessageLayout, names: tuple[str, ...]) -> _Plan | None:
    """Lay out random marks in the place of all that differs from email to email, then look where they are."""
    prefix = token_hex(12)
    is_mark = re.compile(prefix + r"(\d{8})")
    marks = [f"{prefix}{slot:08}" for slot in range(_HEAD_SLOTS + 2 * len(names))]
    rendered = _render_marks(template, names, marks[_HEAD_SLOTS:])
    bodies = [body for body in (rendered.text, rendered.html) if body]
    # A body of nothing but fields may be empty, and then the message lacks it.
    if any(_LONE_CR.search(body) or not is_mark.sub("", body) for body in bodies):
        return None
    address, subject_line, id_left, date = (mark.encode() for mark in marks[:_HEAD_SLOTS])
    head = layout.head(address=address, subject_line=subject_line, id_left=id_left, date=date).decode()
    body = layout.body(text=canonical(rendered.text), html=canonical(rendered.html), quoted=False).decode()
    room = _room_in(body, is_mark)
    if room < 0 or (len(rendered.subject) + len(body)) * _GROWTH_MAX > OUTPUT_MAX_CHARS:
        return None
    return _Plan(
        names=names,
        subject=is_mark.sub(
            lambda mark: f"%({names[int(mark[1]) - _HEAD_SLOTS]})s", rendered.subject.replace("%", "%%")
        ),
        content=is_mark.sub("%b", (head + body).replace("%", "%%")),
        order=tuple(map(int, is_mark.findall(head + body))),
        room=room,
        has_dots="\r\n." in is_mark.sub("", body),
    )


def _render_marks(template: CompiledTemplate, names: tuple[str, ...], marks: list[str]) -> Rendered:
    """Render with the first half of the marks in subject and text, the second in HTML, where fields are escaped."""
    plain = template.render(dict(zip(names, marks, strict=False)))
    return plain._replace(html=template.render(dict(zip(names, marks[len(names) :], strict=True))).html)


def _room_in(body: str, is_mark: re.Pattern[str]) -> int:
    """What the line with the least room leaves for the fields; negative if a line is too long without."""
    room = LINE_MAX_OCTETS
    for line in body.split("\r\n"):
        left = LINE_MAX_OCTETS - len(is_mark.sub("", line).encode())
        counts = Counter(is_mark.findall(line))
        if counts or left < 0:
            room = min(room, left // max(counts.values(), default=1))
    return room
