"""What the review page shows of the list: its first rows, its columns, how the file was read, and warnings.

A draft and the message that is chosen for it enter. A ListView leaves, which the template of the page draws.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from urllib.parse import urlencode

from batches.models import Batch
from batches.rendering import children
from batches.rendering.template import MessageParts, TemplateFault
from batches.reviewing import Review, review
from batches.web.findings import Finding, count_hidden_rows, make_findings
from batches.web.message import MessageChoice
from batches.web.reading_form import (
    NO_HEADER,
    ReadingChoice,
    ReadingForm,
    make_reading_form,
    present_choice,
)
from batches.web.requests import SignedInRequest
from batches.wording import DELIMITER_NAMES, name_encoding, say_sending

NO_TEMPLATE = MessageParts(subject="-", html="", text="-")
"""Replaces a missing or faulty template, so that the page can show the list anyway."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Column:
    """A column of the file, and its merge field. The column of the addresses has none."""

    index: int
    heading: str
    merge_field: str
    typed: str
    """The text of the input: the merge field, or the new name that was refused."""
    is_used: bool
    """Whether the message uses this merge field."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ListedRow:
    """One of the first rows of the list."""

    line: int
    message_query: str
    """The query string of the review that shows the message of this row."""
    address: str
    values: Collection[str]


@dataclass(frozen=True, kw_only=True, slots=True)
class ListView:
    """The list as the review page shows it."""

    review: Review
    columns: list[Column]
    rows: list[ListedRow]
    address_heading: str
    """The heading of the column that holds the addresses. Of several columns, none."""
    hidden_count: int
    """The rows that the sheet hides and that were left out."""
    findings: list[Finding]
    reading: ReadingForm | None
    """None if no file is stored that could be read in another way."""
    encoding_name: str
    delimiter: str
    header_line: str
    """The line of the headings. Empty if there is none, or if it is the first."""
    sheet: str
    finish: str
    """How long sending takes, or when it is done."""


def describe_list(
    request: SignedInRequest, choice: MessageChoice, *, typed: Mapping[str, str], reading: ReadingChoice | None
) -> ListView:
    """Compare the list with the message that would be sent.

    ``typed`` holds refused names of merge fields by their present names, and ``reading`` a refused choice of reading.
    """
    parts, used, shows_rows = _find_usable_parts(choice)
    sender_id = choice.sender.pk if choice.sender else None
    topic_id = choice.topic.pk if choice.topic else None
    found = review(choice.batch, parts, sender_id=sender_id, topic_id=topic_id, reader=request.user)
    present = present_choice(choice.batch)
    columns = _list_columns(choice.batch, used, typed)
    form = make_reading_form(choice.batch, reading)
    return ListView(
        review=found,
        columns=columns,
        rows=_list_rows(choice, found),
        address_heading=next((column.heading for column in columns if not column.merge_field), ""),
        hidden_count=count_hidden_rows(choice.batch),
        findings=make_findings(choice.batch, shows_rows=shows_rows, is_stored=form is not None),
        reading=form,
        encoding_name=name_encoding(choice.batch.encoding),
        delimiter=DELIMITER_NAMES.get(choice.batch.delimiter, ""),
        header_line=present.header_row if present.header_row not in (NO_HEADER, "1") else "",
        sheet=present.sheet,
        finish=say_sending(found.forecast),
    )


def _find_usable_parts(choice: MessageChoice) -> tuple[MessageParts, frozenset[str], bool]:
    """Return the message parts that would be sent, the merge fields of the list that they use, and whether they use
    ``rows``. See NO_TEMPLATE.
    """
    try:
        parts = choice.parts()
        analysis = children.analyse_sound(parts, choice.batch, user_id=choice.user_id)
    except TemplateFault:  # the page shows the fault in place of the message
        return NO_TEMPLATE, frozenset(), False
    return parts, analysis.merge_fields, analysis.uses_rows


def _list_rows(choice: MessageChoice, found: Review) -> list[ListedRow]:
    return [
        ListedRow(
            line=row.line,
            message_query=urlencode({**choice.query(), "row": row.row}),
            address=row.address,
            values=row.fields.values(),
        )
        for row in found.first_rows
    ]


def _list_columns(batch: Batch, used: frozenset[str], typed: Mapping[str, str]) -> list[Column]:
    fields = iter(batch.merge_fields)
    return [
        Column(index=index, heading=heading, merge_field=field, typed=typed.get(field, field), is_used=field in used)
        for index, heading in enumerate(batch.columns)
        for field in ["" if index == batch.address_index and not batch.more_address_indexes else next(fields, "")]
    ]
