"""Compile a template once, then fill in merge fields: strings enter, strings leave.

The templates are written by users. So minijinja runs them without a loader, with only its own globals and a fuel
limit, and each merge field is a plain string.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple, Protocol, Self

from minijinja import Environment, TemplateError

from batches.names import make_key
from batches.rendering.field_names import FieldNames
from batches.rendering.language import ReadSource, read_source
from batches.rendering.numbers import ValueFault
from batches.rendering.tags import TagFault, find_line
from batches.rendering.typed_names import ROWS
from batches.rendering.vocabulary import add_numbers, check_names
from batches.rendering.wording import PARTS, say_error, say_letter_fault, say_where

FUEL = 100_000
"""How many instructions of minijinja's machine one render may use. A long newsletter takes some hundreds."""

OUTPUT_MAX_CHARS = 10_000_000
"""A longer part is a fault of the template, because relays refuse such messages."""

_PANIC = "A tag can't be worked out. Remove what takes a text backwards, such as [::-1], or give it a value."
_NOT_IN_A_HEADER = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]+")


class TemplateFault(Exception):
    """The template can't be compiled, or can't be rendered for this recipient. The message says why.

    ``group`` is the message without the recipient's values, so that faults of many recipients can be counted.
    """

    def __init__(self, message: str, *, group: str = "") -> None:
        super().__init__(message)
        self.group = group or message


class Rendered(NamedTuple):
    """The subject and bodies of one recipient. A body that the template lacks is an empty string."""

    subject: str
    html: str
    text: str


class PartsSource(Protocol):
    """Anything with a subject, HTML and text: a template, a job, a lane's spec."""

    @property
    def subject(self) -> str: ...
    @property
    def html(self) -> str: ...
    @property
    def text(self) -> str: ...


class ListSource(Protocol):
    """Anything with the names of a list: a batch, a lane's spec."""

    @property
    def merge_fields(self) -> Sequence[str]: ...
    @property
    def address_heading(self) -> str: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class MessageParts:
    """The subject, HTML and text that a job sends, before any merge field is filled in."""

    subject: str
    html: str
    text: str

    @classmethod
    def of(cls, source: PartsSource, subject: str | None = None) -> Self:
        """Copy the parts of a template or a job. ``subject`` replaces the source's own, unless it is empty."""
        return cls(subject=source.subject, html=source.html, text=source.text).with_subject(subject)

    def with_subject(self, subject: str | None) -> Self:
        """Copy these parts with another subject. An empty one, or None, keeps the subject as it is."""
        return replace(self, subject=subject or self.subject)

    def compile_for(self, source: ListSource) -> CompiledTemplate:
        """Make a template for one list: its fields are bound to the list's own. Raises what ``compile`` raises."""
        return self.compile(source.merge_fields, address_heading=source.address_heading)

    def compile(self, merge_fields: Collection[str] | None = None, *, address_heading: str = "") -> CompiledTemplate:
        """Make a template of the parts that is ready to render many times.

        Args:
            merge_fields: Those of the list. The fields of the template are bound to them as ``bind_fields`` says.
            address_heading: The heading of the list's address column, which may be written for ``email``.

        Raises:
            TemplateFault: A part has a syntax error, the subject is empty, or there is no body.
        """
        return CompiledTemplate(
            subject=self.subject,
            html=self.html,
            text=self.text,
            columns=merge_fields,
            address_heading=address_heading,
        )


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


class CompiledTemplate:
    """A template that is ready to render many times.

    Args:
        columns: The merge fields of the list. None: there is no list yet, and the fields keep their names.

    Raises:
        TemplateFault: It has a syntax error, no subject, or no body.
    """

    def __init__(
        self,
        *,
        subject: str,
        html: str,
        text: str,
        columns: Collection[str] | None = None,
        address_heading: str = "",
    ) -> None:
        if not subject.strip():
            raise TemplateFault("The subject is empty. Write one in the template.")
        if not html.strip() and not text.strip():
            raise TemplateFault("The template has no body. Write an HTML body, a text body, or both.")
        self.has_html, self.has_text = bool(html.strip()), bool(text.strip())
        self._typed = {"subject": subject, "html": html, "text": text}
        self._columns = tuple(columns or ())
        keys = frozenset(map(make_key, (*self._columns, address_heading))) - {""}
        self._environment = make_environment()
        read = {part: self._read(part, keys=keys, renamed={}) for part in PARTS}
        self._fields = FieldNames.find(
            [(self._environment.undeclared_variables_in_template(part), read[part].uses) for part in PARTS],
            columns,
            address_heading,
        )
        if self._fields.renamed:
            read = {part: self._read(part, keys=keys, renamed=self._fields.renamed) for part in PARTS}
        self.sources = (read["subject"].code, read["html"].code, read["text"].code)
        """The parts as minijinja compiles them: with the names of the list's merge fields."""
        self.merge_fields = self._fields.merge_fields
        """The fields that the template uses, by the names of the list's merge fields where it has them."""
        self.binding = self._fields.binding
        self.uses_rows = self._fields.uses_rows
        """Whether the template shows all rows of a recipient."""
        self.number_fields = self._fields.number_fields & self.merge_fields
        """The merge fields that the template compares or calculates with as numbers."""
        self.typed_names: Mapping[str, str] = self._fields.typed
        """From the name of a missing field to the name as it was typed, such as first_name to First Name."""

    def make_context(self, cells: Sequence[Any], *, address: str) -> dict[str, Any]:
        """Name one email's cells as this template needs them. It was compiled with the merge fields of the list."""
        return make_context(self._columns, cells, address=address)

    def render(self, context: Mapping[str, Any]) -> Rendered:
        """Fill in the merge fields of one recipient.

        The rendered subject is one line without control characters (RFC 5322 section 2.2).

        Raises:
            TemplateFault: A merge field is missing, a value can't be used, or a limit is exceeded.
        """
        if self.uses_rows:
            context = {**context, ROWS: self._fields.name_rows(context)}
        return Rendered(
            subject=as_one_line(self._render("subject", context)),
            html=self._render("html", context) if self.has_html else "",
            text=self._render("text", context) if self.has_text else "",
        )

    def _read(self, part: str, *, keys: Collection[str], renamed: Mapping[str, str]) -> ReadSource:
        typed = self._typed[part]
        try:
            read = read_source(typed, keys=keys, renamed=renamed)
            if not renamed:  # the second reading has the same names
                check_names(self._environment, read.uses)
            self._environment.add_template(part, read.code)
        except RecursionError as exc:
            raise TemplateFault(say_where(part, None, "It has too many brackets in brackets. Remove some.")) from exc
        except TagFault as exc:
            raise TemplateFault(say_where(part, find_line(typed, exc.offset), str(exc))) from exc
        except TemplateError as exc:
            raise TemplateFault(say_error(part, exc, typed)) from exc
        return read

    def _render(self, name: str, context: Mapping[str, Any]) -> str:
        try:
            output: str = self._environment.render_template(name, **context)
        except ValueFault as exc:
            missing = self._fields.say_missing(context) if exc.is_absent else ""
            group = missing or say_letter_fault(name, exc.group)
            raise TemplateFault(missing or say_letter_fault(name, str(exc)), group=group) from exc
        except TemplateError as exc:
            is_absent = exc.kind == "UndefinedError" or "undefined" in (exc.detail or "")
            missing = self._fields.say_missing(context) if is_absent else ""
            raise TemplateFault(missing or say_error(name, exc, self._typed[name])) from exc
        except BaseException as exc:
            if type(exc).__name__ != "PanicException":  # no Exception, and no module exports it
                raise
            # minijinja ends so for a slice backwards of a blank value. It must not end the worker.
            raise TemplateFault(say_letter_fault(name, _PANIC)) from exc
        if len(output) > OUTPUT_MAX_CHARS:
            raise TemplateFault(
                f"The rendered {PARTS[name]} has more than {OUTPUT_MAX_CHARS:,} characters. Make it shorter."
            )
        return output


def make_environment() -> Environment:
    """Make the environment of one template: without a loader, with a fuel limit, and with our reading of numbers."""
    # semi_strict: a misspelt {{ nmae }} is an error, but {% if nickname %} and |default(…) work.
    environment = Environment(  # type: ignore[call-overload]
        fuel=FUEL,
        debug=True,  # without this, an error does not name the merge field
        undefined_behavior="semi_strict",  # missing in the package's stub
        auto_escape_callback=lambda name: "html" if name == "html" else None,
        pycompat=False,
    )
    add_numbers(environment)
    return environment  # type: ignore[no-any-return]
