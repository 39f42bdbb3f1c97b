"""Write a job's messages. A template of plain ``{{ field }}`` is laid out once, with gaps to fill for each email.

Templates and merge field values enter, messages leave. The general way renders the template and builds the message.
The fast way fills the gaps of a message that the general way built with marks instead of values, so the two ways
cannot differ in layout. An email whose values might not fit the gaps goes the general way. Decision 13 says why.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from operator import itemgetter
from secrets import token_hex
from typing import Any, NamedTuple

from batches.rendering.headers import encode_subject
from batches.rendering.message import LINE_MAX_OCTETS, Message, MessageLayout, canonical
from batches.rendering.plain_template import PLAIN_TAG
from batches.rendering.read_template import ReadTemplate
from batches.rendering.template import OUTPUT_MAX_CHARS, UNSUBSCRIBE_URL, Rendered, TemplateFault, as_one_line
from batches.unsubscribe_tokens import TOKEN_CHARS

_LONE_CR = re.compile(r"\r(?!\n)")
_HEAD_SLOTS = 5
"""Address, subject line, Message-ID, date and unsubscribe token. The slots of the fields follow, then those of the
escaped fields."""

_GROWTH_MAX = 32
"""How much longer than its mark a value can be. A mark has 32 characters. A value has at most 998 octets (the longest
line), which is less than 32 times as many."""

_MARKUP = {b"&": b"&amp;", b"<": b"&lt;", b">": b"&gt;", b'"': b"&quot;", b"'": b"&#x27;", b"/": b"&#x2f;"}
"""How minijinja escapes them in HTML. The ampersand is first, because the other entities begin with one."""

_CONTROLS = bytes({*range(0x20), 0x7F} - {ord("\n")})
_NEEDS_CARE = _CONTROLS + b"".join(_MARKUP)


class MessageWriter:
    """Makes the messages of one job from its template."""

    def __init__(self, template: ReadTemplate, layout: MessageLayout) -> None:
        self._template, self._layout = template, layout
        self._plain = find_plain_layout(template, layout)

    def write(self, *, email_id: int, address: str, context: Mapping[str, Any], allow_8bit: bool) -> Message:
        """Make one recipient's message.

        Raises:
            TemplateFault: A merge field is missing, or a limit is exceeded.
        """
        if allow_8bit and self._plain is not None:
            message = self._plain.fill(email_id, address, context)
            if message is not None:
                return message
        rendered = self._template.render(context, unsubscribe_url=self._layout.link(address))
        return self._layout.build(email_id=email_id, address=address, rendered=rendered, allow_8bit=allow_8bit)


class FaultyWriter:
    """The writer of a job whose template can't be compiled: each of its emails has the same fault."""

    def __init__(self, fault: TemplateFault) -> None:
        self._reason = str(fault)

    def write(self, *, email_id: int, address: str, context: Mapping[str, Any], allow_8bit: bool) -> Message:
        """Raise the fault."""
        raise TemplateFault(self._reason)  # a new one: each raise would add to the traceback of the same one


class PlainLayout:
    """The whole message of a job in 8bit, with gaps."""

    def __init__(self, plan: _Plan, layout: MessageLayout) -> None:
        self._layout = layout
        self._names, self._subject, self._room = plan.names, plan.subject, plan.room
        self._has_dots = plan.has_dots
        self._content, self._order = plan.content.encode(), itemgetter(*plan.order)
        self._count = len(plan.names) or 1  # an empty string, split, is one piece

    def fill(self, email_id: int, address: str, context: Mapping[str, Any]) -> Message | None:
        """Make one recipient's message. None: a field is missing, has several lines, or might not fit its line."""
        try:
            octets = "\n".join(map(context.__getitem__, self._names)).encode()
        except (KeyError, UnicodeEncodeError):
            return None
        fields = escaped = octets.split(b"\n")
        if len(octets.translate(None, _NEEDS_CARE)) != len(octets):
            if len(octets.translate(None, _CONTROLS)) != len(octets):
                return None
            for character, entity in _MARKUP.items():
                octets = octets.replace(character, entity)
            escaped = octets.split(b"\n")
        # The octets of all fields together: no line can have more than these, so one comparison is enough.
        if len(octets) > self._room or len(fields) != self._count:
            return None
        layout = self._layout
        subject_line = encode_subject(as_one_line(self._subject % context))
        head = address.encode(), subject_line, layout.id_left(email_id), layout.date_now(), layout.token(address)
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
    """How many octets all fields together may have so that no line is too long."""
    has_dots: bool
    """Whether a line begins with a dot, or would if all fields were empty."""


def find_plain_layout(template: ReadTemplate, layout: MessageLayout) -> PlainLayout | None:
    """Lay the template out with gaps. None: it has more than plain merge fields, or its layout is not certain."""
    subject = template.sources[0]
    tags = [tag[1] for source in template.sources for tag in PLAIN_TAG.finditer(source)]
    if template.uses_rows or not all(tags) or as_one_line(subject) != subject.strip():
        return None
    if template.is_news:
        # A body of nothing but fields may be blank for one recipient, and then gets no footer.
        bodies = [source for source in template.sources[1:] if source.strip()]
        if layout.news is None or not all(PLAIN_TAG.sub("", source).strip() for source in bodies):
            return None
    names = tuple(name for name in dict.fromkeys(tags) if not (template.is_news and name == UNSUBSCRIBE_URL))
    try:
        # Twice, with other random marks: if the marks themselves changed the layout, the plans differ.
        plan, proof = _draw(template, layout, names), _draw(template, layout, names)
    except TemplateFault:  # the general way reports it for each email
        return None
    return PlainLayout(plan, layout) if plan is not None and plan == proof else None


class _Marks:
    """A random text for each slot, which the template can't contain by accident."""

    def __init__(self, names: tuple[str, ...]) -> None:
        prefix = token_hex(12)
        self.names = names
        self.pattern = re.compile(prefix + r"(\d{8})")
        texts = [f"{prefix}{slot:08}" for slot in range(_HEAD_SLOTS + 2 * len(names))]
        self.head, fields = texts[:_HEAD_SLOTS], texts[_HEAD_SLOTS:]
        self.fields, self.escaped_fields = fields[: len(names)], fields[len(names) :]
        self.token = self.head[-1]

    def name_of(self, slot: str) -> str:
        return self.names[int(slot) - _HEAD_SLOTS]


class _MarkedMessage(NamedTuple):
    """A message with a mark in each gap."""

    subject: str
    head: str
    body: str


def _draw(template: ReadTemplate, layout: MessageLayout, names: tuple[str, ...]) -> _Plan | None:
    """Put a mark in each gap, lay the message out with the marks, and read back where they are."""
    marks = _Marks(names)
    marked = _lay_out(layout, _render_marks(template, layout, marks), marks)
    return _read_back(marked, marks) if marked is not None else None


def _render_marks(template: ReadTemplate, layout: MessageLayout, marks: _Marks) -> Rendered:
    """Render with one set of marks in subject and text, and another in the HTML, where values are escaped.

    The link to unsubscribe needs no escaping, so it has one mark for both.
    """
    link = layout.news.link(marks.token.encode()) if layout.news else ""
    rendered = template.render(dict(zip(marks.names, marks.fields, strict=True)), unsubscribe_url=link)
    escaped = template.render(dict(zip(marks.names, marks.escaped_fields, strict=True)), unsubscribe_url=link)
    return rendered._replace(html=escaped.html)


def _lay_out(layout: MessageLayout, rendered: Rendered, marks: _Marks) -> _MarkedMessage | None:
    """Lay the marked message out. None: values could change the layout."""
    bodies = [body for body in (rendered.text, rendered.html) if body]
    # A lone CR may become a CRLF beside a value. A body of nothing but fields may be empty, and so left out.
    if any(_LONE_CR.search(body) or not marks.pattern.sub("", body) for body in bodies):
        return None
    address, subject_line, id_left, date, token = (mark.encode() for mark in marks.head)
    head = layout.head(address=address, subject_line=subject_line, id_left=id_left, date=date, token=token).decode()
    body = layout.body(text=canonical(rendered.text), html=canonical(rendered.html), quoted=False).decode()
    return _MarkedMessage(rendered.subject, head, body)


def _read_back(marked: _MarkedMessage, marks: _Marks) -> _Plan | None:
    """Find the marks, and turn the message into formats. None: it is too long, or may become so."""
    subject, head, body = marked
    room = _room_in(body.replace(marks.token, "x" * TOKEN_CHARS), marks.pattern)
    if room < 0 or (len(subject) + len(body)) * _GROWTH_MAX > OUTPUT_MAX_CHARS:
        return None
    return _Plan(
        names=marks.names,
        subject=marks.pattern.sub(lambda mark: f"%({marks.name_of(mark[1])})s", subject.replace("%", "%%")),
        content=marks.pattern.sub("%b", (head + body).replace("%", "%%")),
        order=tuple(map(int, marks.pattern.findall(head + body))),
        room=room,
        has_dots="\r\n." in marks.pattern.sub("", body),
    )


def _room_in(body: str, pattern: re.Pattern[str]) -> int:
    """How many octets the line with the least room leaves for the fields. Negative: a line is too long anyway."""
    room = LINE_MAX_OCTETS
    for line in body.split("\r\n"):
        left = LINE_MAX_OCTETS - len(pattern.sub("", line).encode())
        counts = Counter(pattern.findall(line))
        if counts or left < 0:
            room = min(room, left // max(counts.values(), default=1))
    return room
