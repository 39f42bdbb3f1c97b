"""Read the parts of a template in our own language, and bind its fields to a list. Pure: nothing is compiled here.

Message parts and the names of a list enter. What every kind of template has in common leaves: its sources for the
engine, its fields, and how one recipient's values are named. ``plain_template`` and ``compiled`` fill in the rest.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Collection, Mapping, Sequence, Set
from typing import Any

from batches.names import make_key
from batches.rendering.field_names import NOT_IN_SUBJECT, FieldNames, is_link
from batches.rendering.footers import add_to_html, add_to_text
from batches.rendering.language import ReadSource, read_source
from batches.rendering.tags import TagFault, find_line
from batches.rendering.template import (
    OUTPUT_MAX_CHARS,
    UNSUBSCRIBE_URL,
    Rendered,
    TemplateFault,
    as_one_line,
    make_context,
)
from batches.rendering.typed_names import ROWS
from batches.rendering.wording import PARTS, say_where


class ReadTemplate(ABC):
    """A template that was read, for one list or for none.

    Args:
        columns: The merge fields of the list. None: there is no list yet, and the fields keep their names.
        address_heading: The heading of the list's address column, which may be written for ``email``.
        is_news: Whether ``{{ unsubscribe_url }}`` is the link to unsubscribe, which each body then has or gets.
        footer: What is added with the link. Empty: our own words.

    Raises:
        TemplateFault: It has a syntax error, no subject, or no body, or a link to unsubscribe and is no news.
    """

    def __init__(
        self,
        *,
        subject: str,
        html: str,
        text: str,
        columns: Collection[str] | None = None,
        address_heading: str = "",
        is_news: bool = False,
        footer: str = "",
    ) -> None:
        if not subject.strip():
            raise TemplateFault("The subject is empty. Write one in the template.")
        if not html.strip() and not text.strip():
            raise TemplateFault("The template has no body. Write an HTML body, a text body, or both.")
        self.has_html, self.has_text = bool(html.strip()), bool(text.strip())
        self._typed = {"subject": subject, "html": html, "text": text}
        self._columns = tuple(columns or ())
        self.is_news, self._footer = is_news, footer
        keys = frozenset(map(make_key, (*self._columns, address_heading))) - {""}
        read = {part: self._read(part, keys=keys, renamed={}) for part in PARTS}
        if is_news and any(map(is_link, self._find_undeclared("subject", read["subject"]))):
            raise TemplateFault(NOT_IN_SUBJECT)
        self._fields = FieldNames.find(
            [(self._find_undeclared(part, read[part]), read[part].uses) for part in PARTS],
            columns,
            address_heading,
            is_news=is_news,
        )
        if self._fields.renamed:
            read = {part: self._read(part, keys=keys, renamed=self._fields.renamed) for part in PARTS}
        self.sources = (read["subject"].code, read["html"].code, read["text"].code)
        """The parts as they are rendered: with the names of the list's merge fields."""
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
        """Name one email's cells as this template needs them. It was read with the merge fields of the list."""
        return make_context(self._columns, cells, address=address)

    def render(self, context: Mapping[str, Any], *, unsubscribe_url: str = "") -> Rendered:
        """Fill in the merge fields of one recipient.

        The rendered subject is one line without control characters (RFC 5322 section 2.2).

        Args:
            unsubscribe_url: The recipient's link. Each body of news has it, or gets it with the footer. Empty, where
                nobody will look at the result: no link.

        Raises:
            TemplateFault: A merge field is missing, a value can't be used, or a limit is exceeded.
        """
        if self.is_news:
            context = {**context, UNSUBSCRIBE_URL: unsubscribe_url}
        if self.uses_rows:
            context = {**context, ROWS: self._fields.name_rows(context)}
        rendered = Rendered(
            subject=as_one_line(self._render("subject", context)),
            html=self._render("html", context) if self.has_html else "",
            text=self._render("text", context) if self.has_text else "",
        )
        if len(rendered.html) + len(rendered.text) > OUTPUT_MAX_CHARS:
            raise TemplateFault(f"The message has more than {OUTPUT_MAX_CHARS:,} characters. Make it shorter.")
        return self._add_link(rendered, unsubscribe_url) if self.is_news else rendered

    def _add_link(self, rendered: Rendered, url: str) -> Rendered:
        """Add the link to each body, except to one that is blank for this recipient beside another that is not."""
        html, text = bool(rendered.html.strip()), bool(rendered.text.strip())
        return rendered._replace(
            html=add_to_html(rendered.html, url=url, footer=self._footer)
            if self.has_html and (html or not text)
            else rendered.html,
            text=add_to_text(rendered.text, url=url, footer=self._footer)
            if self.has_text and (text or not html)
            else rendered.text,
        )

    def _read(self, part: str, *, keys: Collection[str], renamed: Mapping[str, str]) -> ReadSource:
        typed = self._typed[part]
        try:
            read = read_source(typed, keys=keys, renamed=renamed)
            self._take_in(part, read, is_first=not renamed)
        except RecursionError as exc:
            raise TemplateFault(say_where(part, None, "It has too many brackets in brackets. Remove some.")) from exc
        except TagFault as exc:
            raise TemplateFault(say_where(part, find_line(typed, exc.offset), str(exc))) from exc
        return read

    @abstractmethod
    def _take_in(self, part: str, read: ReadSource, *, is_first: bool) -> None:
        """Prepare a part for rendering. The second reading of a part has other names, and is otherwise the same."""

    @abstractmethod
    def _find_undeclared(self, part: str, read: ReadSource) -> Set[str]:
        """Return the variables of a part that it does not set itself."""

    @abstractmethod
    def _render(self, part: str, context: Mapping[str, Any]) -> str:
        """Render one part. Raises TemplateFault."""


def refuse_output(part: str) -> TemplateFault:
    """Return the fault of a rendered part that is too long."""
    return TemplateFault(f"The rendered {PARTS[part]} has more than {OUTPUT_MAX_CHARS:,} characters. Make it shorter.")
