"""What the review page says of the list itself: first rows, columns, how the file was read, what to look out for."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from batches.files.encoding import CHOICES
from batches.models import Batch
from batches.rendering.template import MessageParts, TemplateFault
from batches.reviewing import Review, review
from batches.web.message import Choice
from batches.web.requests import SignedInRequest, batches_of
from batches.wording import say_duration

NO_TEMPLATE = MessageParts(subject="-", html="", text="-")
"""Stands in for one that is missing or faulty: a list can be looked at all the same."""

ENCODING_LABELS = {
    "utf-8": "Unicode (UTF-8)",
    "utf-16": "Unicode (UTF-16)",
    "cp1252": "Western European (Windows-1252)",
    "iso8859-15": "Western European (ISO 8859-15)",
    "mac-roman": "Western European (Macintosh)",
    "cp850": "Western European (DOS)",
    "cp1250": "Central European (Windows-1250)",
    "iso8859-2": "Central European (ISO 8859-2)",
    "cp1251": "Cyrillic (Windows-1251)",
    "koi8-r": "Cyrillic (KOI8-R)",
    "cp1253": "Greek (Windows-1253)",
    "cp1254": "Turkish (Windows-1254)",
    "cp1255": "Hebrew (Windows-1255)",
    "cp1256": "Arabic (Windows-1256)",
    "cp932": "Japanese (Shift JIS)",
    "euc_jp": "Japanese (EUC-JP)",
    "gb18030": "Chinese (GB 18030)",
    "big5": "Chinese (Big5)",
    "cp949": "Korean (EUC-KR)",
}
ENCODINGS = {name: ENCODING_LABELS[name] for name in CHOICES}
"""The label of each encoding that a person can choose, in the order of the page."""

SAME_NAMES = {"utf-8-sig": "utf-8", "utf-16-le": "utf-16", "utf-16-be": "utf-16"}
"""What a person need not tell apart: with its mark or without, in one order of the bytes or the other."""

DELIMITERS = {",": "commas", ";": "semicolons", "\t": "tabs", "|": "vertical bars"}


@dataclass(frozen=True, kw_only=True, slots=True)
class Column:
    """A column of the file and the merge field that it fills; the address's has none."""

    index: int
    heading: str
    merge_field: str
    typed: str
    """What the input shows: the merge field, or what was typed for it and refused."""
    is_used: bool
    """Whether the message shows this merge field."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ReadingChoice:
    """What a person chose in the form that reads the file again."""

    encoding: str
    delimiter: str
    has_header: bool
    address_index: str
    """Empty for: find it."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Reading:
    """How the file is read or was to be read, and the other ways to choose from; choices are (value, name)."""

    encodings: list[tuple[str, str]]
    delimiters: list[tuple[str, str]]
    chosen: ReadingChoice
    is_refused: bool


@dataclass(frozen=True, kw_only=True, slots=True)
class ListView:
    """The list as the page shows it."""

    review: Review
    columns: list[Column]
    reading: Reading | None
    """None where there is no text file that could be read another way."""
    encoding_name: str
    delimiter: str
    duration: str
    is_earlier_batch_visible: bool


def describe_list(
    request: SignedInRequest, choice: Choice, *, typed: Mapping[str, str], reading: ReadingChoice | None
) -> ListView:
    """Hold the list against what would be sent.

    ``typed`` holds refused names of merge fields by their present names, and ``reading`` a refused choice of reading.
    """
    parts, used = _usable_parts(choice)
    found = review(choice.batch, parts)
    earlier = found.same_content_batch_id
    return ListView(
        review=found,
        columns=_columns(choice.batch, used, typed),
        reading=_reading(choice.batch, reading),
        encoding_name=ENCODINGS.get(_encoding(choice.batch), _encoding(choice.batch)),
        delimiter=DELIMITERS.get(choice.batch.delimiter, ""),
        duration=say_duration(found.duration_seconds),
        is_earlier_batch_visible=earlier is not None and batches_of(request).filter(pk=earlier).exists(),
    )


def _usable_parts(choice: Choice) -> tuple[MessageParts, frozenset[str]]:
    """What would be sent and the merge fields in it; a stand-in where that is missing or faulty."""
    try:
        parts = choice.parts()
        return parts, parts.compile().merge_fields
    except TemplateFault:  # the page says it where the message would be
        return NO_TEMPLATE, frozenset()


def _columns(batch: Batch, used: frozenset[str], typed: Mapping[str, str]) -> list[Column]:
    fields = iter(batch.merge_fields)
    return [
        Column(index=index, heading=heading, merge_field=field, typed=typed.get(field, field), is_used=field in used)
        for index, heading in enumerate(batch.columns)
        for field in ["" if index == batch.address_index else next(fields, "")]
    ]


def _reading(batch: Batch, refused: ReadingChoice | None) -> Reading | None:
    if not batch.encoding or not batch.upload_chunks.exists():
        return None
    encodings = {_encoding(batch): _encoding(batch)} | ENCODINGS
    present = ReadingChoice(
        encoding=_encoding(batch),
        delimiter=batch.delimiter,
        has_header=batch.has_header,
        address_index=str(batch.address_index),
    )
    return Reading(
        encodings=list(encodings.items()),
        delimiters=list(DELIMITERS.items()),
        chosen=refused or present,
        is_refused=refused is not None,
    )


def _encoding(batch: Batch) -> str:
    return SAME_NAMES.get(batch.encoding, batch.encoding)
