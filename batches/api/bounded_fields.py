"""The types of the API's lists and mappings, whose validation stops at the first fault.

A value of a request enters. The value leaves, or one error. pydantic alone makes several errors for each wrong item,
and each takes a kilobyte: a megabyte of wrong items took two gigabytes of memory.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import Field, ValidationError, ValidatorFunctionWrapHandler, WrapValidator
from pydantic_core import InitErrorDetails, PydanticCustomError

from batches.files.layout import COLUMNS_MAX

RECIPIENTS_MAX = 500_000
"""How many recipients one request may have. Sixteen megabytes hold about 280,000."""

SHOWN_NAME_MAX = 100
"""How much of a name an error shows."""

_EXAMPLE = '{"email": "ann@example.org", "name": "Ann"}'


def fault(sentence: str, *location: str | int) -> ValidationError:
    """Make the one error of a value. pydantic adds the location of the value itself."""
    error = PydanticCustomError("fault", "{sentence}", {"sentence": sentence})
    place = tuple(part[:SHOWN_NAME_MAX] if isinstance(part, str) else part for part in location)
    return ValidationError.from_exception_data("request", [InitErrorDetails(type=error, loc=place, input=None)])


def _check_recipients(value: Any, handler: ValidatorFunctionWrapHandler) -> Any:
    """Check a list of recipients in place. A boolean becomes a number, as pydantic takes it."""
    if not isinstance(value, list):
        return handler(value)
    if len(value) > RECIPIENTS_MAX:
        raise fault(
            f"There are {len(value):,} recipients. Send at most {RECIPIENTS_MAX:,} in one request, or upload a file."
        )
    for index, recipient in enumerate(value):
        if type(recipient) is dict:
            _check_merge_fields(recipient, index)
        elif type(recipient) is not str:
            raise fault(f"Write an address such as ann@example.org, or an object such as {_EXAMPLE}.", index)
    return value


def _check_merge_fields(recipient: dict[str, Any], index: int) -> None:
    if len(recipient) > COLUMNS_MAX:
        raise fault(f"It has {len(recipient):,} merge fields. Send at most {COLUMNS_MAX}.", index)
    for name, value in recipient.items():
        kind = type(value)
        if kind is str or kind is int or value is None:
            continue
        if kind is bool:
            recipient[name] = int(value)
        elif kind is not float or not math.isfinite(value):
            raise fault("Write a text, a number or null.", index, name)


def _check_texts(value: Any, handler: ValidatorFunctionWrapHandler) -> Any:
    """Check a mapping from names to texts."""
    if not isinstance(value, dict):
        return handler(value)
    if len(value) > COLUMNS_MAX:
        raise fault(f"There are {len(value):,} names. Send at most {COLUMNS_MAX}.")
    for name, text in value.items():
        if type(text) is not str:
            raise fault("Write a text.", name)
        if "\0" in name or "\0" in text:
            raise fault("It has the character NUL (U+0000). Remove it.", name.replace("\0", ""))
    return value


Recipients = Annotated[
    list[str | dict[str, str | int | float | None]],
    Field(max_length=RECIPIENTS_MAX),
    WrapValidator(_check_recipients),
]
"""The recipients of a request: addresses, or mappings of merge fields."""

Texts = Annotated[dict[str, str], Field(max_length=COLUMNS_MAX), WrapValidator(_check_texts)]
"""A text for each name, at most as many as a list may have columns."""


def find_nul(values: Mapping[str, Any]) -> str | None:
    """Return the name of the first field whose text has the character NUL, which PostgreSQL can't store."""
    return next((name for name, value in values.items() if isinstance(value, str) and "\0" in value), None)
