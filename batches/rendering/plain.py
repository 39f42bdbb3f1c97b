"""Write a job's messages. A template of plain ``{{ field }}`` is laid out once, with gaps to fill for each email.

Templates and merge field values enter, messages leave. The general way renders the template and builds the message.
The fast way fills the gaps of a message that the general way built with marks instead of values, so the two ways
cannot differ in layout. An email whose values might not fit the gaps goes the general way. Decision 13 says why.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from operator import itemgetter
from secrets import token_hex
from typing import Any, NamedTuple

from batches.rendering.headers import encode_subject
from batches.rendering.message import LINE_MAX_OCTETS, Message, MessageLayout, canonical
from batches.rendering.plain_template import PLAIN_TAG
from batches.rendering.read_template import ReadTemplate
from batches.rendering.template import (
    OUTPUT_MAX_CHARS,
    UNSUBSCRIBE_URL,
    Rendered,
    TemplateFault,
    as_one_line,
    name_cells,
)
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

_make_message = partial(tuple.__new__, Message)  # its constructor, without the part that is written in Python

_CONTROLS = bytes({*range(0x20), 0x7F} - {ord("\n")})
_NEEDS_CARE = _CONTROLS + b"".join(_MARKUP)


class MessageWriter:
    """Makes the messages of one job from its template. ``merge_fields`` are the names of the cells of ``write_row``."""

    def __init__(self, template: ReadTemplate, layout: MessageLayout, merge_fields: Sequence[str] = ()) -> None:
        self._template, self._layout = template, layout
        self._plain = find_plain_layout(template, layout)
        self._merge_fields, self._pick = merge_fields, None
        places = {name: place for place, name in enumerate(merge_fields)} | {"email": -1}
        if self._plain is not None and places.keys() >= set(self._plain.names):
            self._pick = _make_picker([places[name] for name in self._plain.names])

    def write_row(
        self, email_id: int, address: str, cells: list[Any], *, allow_8bit: bool, digest: bytes | None
    ) -> Message:
        """Make the message of a recipient from the cells of its row, which this takes.

        Raises:
            TemplateFault: A merge field is missing, or a limit is exceeded.
        """
        if allow_8bit and self._plain is not None and self._pick is not None and len(cells) >= len(self._merge_fields):
            cells.append(address)  # the place of the merge field ``email`` is the last one
            message = self._plain.fill_values(email_id, address, self._pick(cells), digest)
            if message is not None:
                return message
            cells.pop()
        context = name_cells(self._merge_fields, cells, address=address)
        return self._write_general(email_id, address, context, allow_8bit, digest)

    def write(self, *, email_id: int, address: str, context: Mapping[str, Any], allow_8bit: bool) -> Message:
        """Make one recipient's message.

        Raises:
            TemplateFault: A merge field is missing, or a limit is exceeded.
        """
        if allow_8bit and self._plain is not None:
            message = self._plain.fill(email_id, address, context)
            if message is not None:
                return message
        return self._write_general(email_id, address, context, allow_8bit)

    def _write_general(
        self, email_id: int, address: str, context: Mapping[str, Any], allow_8bit: bool, digest: bytes | None = None
    ) -> Message:
        rendered = self._template.render(context, unsubscribe_url=self._layout.link(address, digest))
        return self._layout.build(
            email_id=email_id, address=address, rendered=rendered, allow_8bit=allow_8bit, digest=digest
        )


def _make_picker(places: Sequence[int]) -> Callable[[Sequence[str]], tuple[str, ...]]:
    """Return what picks the values at these places, as a tuple also if it is one or none."""
    if len(places) < 2:
        return lambda values: tuple([values[place] for place in places])
    return itemgetter(*places)


class FaultyWriter:
    """The writer of a job whose template can't be compiled: each of its emails has the same fault."""

    def __init__(self, fault: TemplateFault) -> None:
        self._reason = str(fault)

    def write_row(self, *email: Any, **more: Any) -> Message:
        """Raise the fault."""
        raise TemplateFault(self._reason)  # a new one: each raise would add to the traceback of the same one


class PlainLayout:
    """The whole message of a job in 8bit, with gaps."""

    def __init__(self, plan: _Plan, layout: MessageLayout) -> None:
        self._id_left, self._date_now = layout.id_left, layout.date_now
        self._write_token = layout.news.write_token if layout.news else None
        self.names = plan.names
        """The merge fields whose values ``fill_values`` takes, in their order."""
        self._subject, self._subject_values, self._room = plan.subject, _make_picker(plan.subject_order), plan.room
        self._has_dots = plan.has_dots
        self._content, self._order = plan.content.encode(), itemgetter(*plan.order)
        self._count = len(plan.names) or 1  # an empty string, split, is one piece

    def fill(self, email_id: int, address: str, context: Mapping[str, Any]) -> Message | None:
        """Make one recipient's message. None: a field is missing, has several lines, or might not fit its line."""
        if not context.keys() >= set(self.names):
            return None
        return self.fill_values(email_id, address, [context[name] for name in self.names])

    def fill_values(
        self, email_id: int, address: str, values: Sequence[str], digest: bytes | None = None
    ) -> Message | None:
        """Make it of the values of ``names``. ``digest`` is that of the address, if it is known."""
        try:
            octets = "\n".join(values).encode()
        except UnicodeEncodeError:
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
        subject_line = encode_subject(as_one_line(self._subject % self._subject_values(values)))
        token = b"" if self._write_token is None else self._write_token(address, digest)
        head = address.encode(), subject_line, self._id_left(email_id), self._date_now(), token
        gaps: tuple[bytes, ...] = self._order((*head, *fields, *escaped))
        has_dots = self._has_dots or octets.startswith(b".") or b"\n." in octets
        return _make_message((self._content % gaps, True, has_dots))


@dataclass(frozen=True, kw_only=True, slots=True)
class _Plan:
    """A message with gaps: ``content`` and ``subject`` are formats for the ``%`` operator."""

    names: tuple[str, ...]
    subject: str
    subject_order: tuple[int, ...]
    """The name that fills each gap of the subject."""
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
        subject=marks.pattern.sub("%s", subject.replace("%", "%%")),
        subject_order=tuple(int(slot) - _HEAD_SLOTS for slot in marks.pattern.findall(subject)),
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
