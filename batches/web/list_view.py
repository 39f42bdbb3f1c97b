"""What the review page shows of the list: its first rows, its columns, how the file was read, and warnings.

A draft and the message that is chosen for it enter. A ListView leaves, which the template of the page draws.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Self

from django.http import QueryDict

from batches.models import Batch
from batches.rendering.template import MessageParts, TemplateFault
from batches.reviewing import Review, review
from batches.web.message import MessageChoice
from batches.web.requests import SignedInRequest, batches_of
from batches.wording import DELIMITER_NAMES, ENCODING_NAMES, choosable_encoding, say_duration

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
class ReadingChoice:
    """How the file is to be read, as the user chose in the form that reads it again."""

    encoding: str
    delimiter: str
    has_header: bool
    address_index: str
    """Empty if the column of the addresses is to be recognised."""

    @classmethod
    def from_post(cls, post: QueryDict) -> Self:
        """Take the choice from the fields of the form."""
        return cls(
            encoding=post.get("encoding", ""),
            delimiter=post.get("delimiter", ""),
            has_header=post.get("has_header") == "yes",
            address_index=post.get("address_index", ""),
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class ReadingForm:
    """The form that reads the file again. ``encodings`` and ``delimiters`` are pairs of value and name."""

    encodings: list[tuple[str, str]]
    delimiters: list[tuple[str, str]]
    chosen: ReadingChoice
    is_refused: bool


@dataclass(frozen=True, kw_only=True, slots=True)
class ListView:
    """The list as the review page shows it."""

    review: Review
    columns: list[Column]
    reading: ReadingForm | None
    """None if there is no text file that could be read in another way."""
    encoding_name: str
    delimiter: str
    duration: str
    is_earlier_batch_visible: bool


def describe_list(
    request: SignedInRequest, choice: MessageChoice, *, typed: Mapping[str, str], reading: ReadingChoice | None
) -> ListView:
    """Compare the list with the message that would be sent.

    ``typed`` holds refused names of merge fields by their present names, and ``reading`` a refused choice of reading.
    """
    parts, used = _find_usable_parts(choice)
    encoding = choosable_encoding(choice.batch.encoding)
    found = review(choice.batch, parts)
    earlier = found.same_content_batch_id
    return ListView(
        review=found,
        columns=_list_columns(choice.batch, used, typed),
        reading=_make_reading_form(choice.batch, reading),
        encoding_name=ENCODING_NAMES.get(encoding, encoding),
        delimiter=DELIMITER_NAMES.get(choice.batch.delimiter, ""),
        duration=say_duration(found.duration_seconds),
        is_earlier_batch_visible=earlier is not None and batches_of(request).filter(pk=earlier).exists(),
    )


def _find_usable_parts(choice: MessageChoice) -> tuple[MessageParts, frozenset[str]]:
    """Return the message parts that would be sent, and their merge fields. See NO_TEMPLATE."""
    try:
        parts = choice.parts()
        return parts, parts.compile().merge_fields
    except TemplateFault:  # the page shows the fault in place of the message
        return NO_TEMPLATE, frozenset()


def _list_columns(batch: Batch, used: frozenset[str], typed: Mapping[str, str]) -> list[Column]:
    fields = iter(batch.merge_fields)
    return [
        Column(index=index, heading=heading, merge_field=field, typed=typed.get(field, field), is_used=field in used)
        for index, heading in enumerate(batch.columns)
        for field in ["" if index == batch.address_index else next(fields, "")]
    ]


def _make_reading_form(batch: Batch, refused: ReadingChoice | None) -> ReadingForm | None:
    if not batch.encoding or not batch.upload_chunks.exists():
        return None
    encoding = choosable_encoding(batch.encoding)
    encodings = {encoding: encoding} | ENCODING_NAMES
    present = ReadingChoice(
        encoding=encoding,
        delimiter=batch.delimiter,
        has_header=batch.has_header,
        address_index=str(batch.address_index),
    )
    return ReadingForm(
        encodings=list(encodings.items()),
        delimiters=list(DELIMITER_NAMES.items()),
        chosen=refused or present,
        is_refused=refused is not None,
    )
