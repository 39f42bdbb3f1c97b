"""Put values into the form of an HTML page. A page, the address of a form and its fields enter; the page leaves.

Nothing else of the page is changed. Passwords and files are never filled in, and a hidden field only if the page allows
it with ``data-kept``: the others are the page's own, such as a token or the digest of what it shows.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from html import escape
from html.parser import HTMLParser
from urllib.parse import urljoin, urlsplit

FILLED_TAGS = ("input", "textarea", "select", "option", "button")
TYPED_KINDS = ("text", "email", "number", "search", "url", "tel", "date", "time", "datetime-local", "month", "week")
"""The types of inputs into which people type what is no secret."""

KEPT_HIDDEN = "data-kept"
STORED_TIME = "data-at"
"""With it a script shows a stored time in the field. What was typed comes in its place, so it is taken off."""

Attributes = dict[str, str | None]
Edit = tuple[int, int, str]
"""The begin and the end of a part of the page, and what replaces it."""


@dataclass(kw_only=True, slots=True)
class Control:
    """An input, textarea, option or button of a form, with its place in the page."""

    tag: str
    attributes: Attributes
    begin: int
    end: int
    name: str
    """An option has the name of its select."""
    form: Form | None
    form_id: str
    """The form that the attribute ``form`` names, which need not be around the control."""
    closed: tuple[Opener, ...]
    """The ``details`` around it."""
    text_end: int = 0
    """Where the text of a textarea ends."""


@dataclass(kw_only=True, slots=True, eq=False)
class Opener:
    """A ``details`` of the page."""

    attributes: Attributes
    begin: int
    end: int


@dataclass(kw_only=True, slots=True, eq=False)
class Form:
    attributes: Attributes
    controls: list[Control] = field(default_factory=list)

    def may_post_to(self, path: str, *, page: str) -> bool:
        """Whether the form, or one of its buttons, posts to a path. ``page`` is the path of the page."""
        actions = [self.attributes.get("action")]
        actions += [each.attributes["formaction"] for each in self.controls if each.attributes.get("formaction")]
        is_post = (self.attributes.get("method") or "").lower() == "post"
        return is_post and any(urlsplit(urljoin(page, action or "")).path == path for action in actions)


def fill_form(html: str, *, page: str, path: str, values: Mapping[str, Sequence[str]], notice: str) -> str | None:
    """Fill in the form of a page that posts to ``path``, and put ``notice`` (HTML) at the top of the content.

    Args:
        page: The path of the page itself, to which a form without an action posts.
        values: All values of each field, in their order. A box that is not named was not ticked.

    Returns:
        The page, or None if it has no such form with one of the fields.
    """
    found = _Reader(html)
    form = _choose(found.forms, page=page, path=path, names=values.keys())
    if form is None:
        return None
    edits = list(_fill(form, values))
    return _apply(html, [*edits, (found.content_begin, found.content_begin, notice)])


def add_notice(html: str, notice: str) -> str:
    """Put a notice (HTML) at the top of the content of a page."""
    begin = _Reader(html).content_begin
    return html[:begin] + notice + html[begin:]


class _Reader(HTMLParser):
    """Finds the forms of a page, with the places of their controls."""

    def __init__(self, html: str) -> None:
        super().__init__(convert_charrefs=False)
        self._line_begins = [0]
        for line in html.split("\n"):  # as the parser counts lines. splitlines() would end them at more signs
            self._line_begins.append(self._line_begins[-1] + len(line) + 1)
        self._form: Form | None = None
        self._select: Attributes | None = None
        self._textarea: Control | None = None
        self._openers: list[Opener] = []
        self._loose: list[Control] = []
        self.forms: list[Form] = []
        self.content_begin = 0
        self.feed(html.replace("\r", " "))
        for control in self._loose:  # a form may come after the controls that name it
            owner = next((each for each in self.forms if each.attributes.get("id") == control.form_id), None)
            if owner:
                owner.controls.append(control)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        attributes = dict(attrs)
        begin = self._offset()
        end = begin + len(self.get_starttag_text() or "")
        if attributes.get("id") == "content" or (tag == "main" and not self.content_begin):
            self.content_begin = end
        if tag == "form":
            self._form = Form(attributes=attributes)
            self.forms.append(self._form)
        elif tag == "details":
            self._openers.append(Opener(attributes=attributes, begin=begin, end=end))
        elif tag in FILLED_TAGS:
            self._take(tag, attributes, begin, end)

    def handle_endtag(self, tag: str) -> None:
        if tag == "form":
            self._form = None
        elif tag == "details" and self._openers:
            self._openers.pop()
        elif tag == "select":
            self._select = None
        elif tag == "textarea" and self._textarea:
            self._textarea.text_end = self._offset()
            self._textarea = None

    def _take(self, tag: str, attributes: Attributes, begin: int, end: int) -> None:
        if tag == "select":
            self._select = attributes
        owner = self._select if tag == "option" and self._select is not None else attributes
        control = Control(
            tag=tag,
            attributes=attributes,
            begin=begin,
            end=end,
            name=owner.get("name") or "",
            form=self._form,
            form_id=owner.get("form") or "",
            closed=tuple(self._openers),
        )
        if tag == "textarea":
            self._textarea = control
        if control.form_id:
            self._loose.append(control)
        elif self._form:
            self._form.controls.append(control)

    def _offset(self) -> int:
        line, column = self.getpos()
        return self._line_begins[line - 1] + column


def _choose(forms: Sequence[Form], *, page: str, path: str, names: object) -> Form | None:
    """Return the form that posts to the path and has the most of the fields."""
    wanted = set(names)  # type: ignore[call-overload]  # the keys of a mapping

    def count(form: Form) -> int:
        return len({each.name for each in form.controls if each.tag != "button"} & wanted)

    fitting = [form for form in forms if form.may_post_to(path, page=page)]
    best = max(fitting, key=count, default=None)
    return best if best and count(best) else None


def _fill(form: Form, values: Mapping[str, Sequence[str]]) -> Iterator[Edit]:
    left = {name: list(each) for name, each in values.items()}
    opened: list[Opener] = []
    for control in form.controls:
        edit = _fill_control(control, values.get(control.name, ()), left.get(control.name, []))
        if edit is None:
            continue
        yield edit
        for opener in control.closed:
            if opener not in opened and "open" not in opener.attributes:
                opened.append(opener)
                yield opener.begin, opener.end, _write_tag("details", {**opener.attributes, "open": None})


def _fill_control(control: Control, values: Sequence[str], left: list[str]) -> Edit | None:
    """Return the change of one control, or None. ``left`` are the values that no control of this name has yet."""
    attributes, kind = control.attributes, (control.attributes.get("type") or "text").lower()
    if not control.name or control.tag in ("button", "select") or "disabled" in attributes:
        return None
    if control.tag == "option":
        return _mark(control, "selected", is_on=(attributes.get("value") or "") in values)
    if kind in ("checkbox", "radio"):
        return _mark(control, "checked", is_on=(attributes.get("value") or "on") in values)
    if not left or not (kind in TYPED_KINDS or KEPT_HIDDEN in attributes):
        return None
    value = left.pop(0)
    if control.tag == "textarea":  # a browser drops the first line break of a textarea
        return control.end, control.text_end, f"\n{escape(value)}"
    kept = {name: each for name, each in attributes.items() if name != STORED_TIME}
    return control.begin, control.end, _write_tag("input", {**kept, "value": value})


def _mark(control: Control, mark: str, *, is_on: bool) -> Edit | None:
    if is_on == (mark in control.attributes):
        return None
    kept = {name: value for name, value in control.attributes.items() if name != mark}
    return control.begin, control.end, _write_tag(control.tag, {**kept, mark: None} if is_on else kept)


def _write_tag(tag: str, attributes: Attributes) -> str:
    parts = [name if value is None else f'{name}="{escape(value)}"' for name, value in attributes.items()]
    return f"<{' '.join([tag, *parts])}>"


def _apply(html: str, edits: Sequence[Edit]) -> str:
    for begin, end, text in sorted(edits, key=lambda edit: edit[0], reverse=True):
        html = html[:begin] + text + html[end:]
    return html
