"""Say what to write where a request has a value or a name that can't be. Pure.

An error of pydantic enters, or the name of a field. One or two sentences leave. pydantic's own words are for
programmers of Python, and most callers of the API are not.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from difflib import get_close_matches
from typing import Any

from batches.names import make_key

_NUMBER = "Write a whole number such as 4."
_SWITCH = "Write true or false."
_TEXT = "Write a text."
WRITE_TIME = "Write a time such as 2026-03-31T09:00:00Z."
_OBJECT = 'Write an object such as {"name": "Ann"}.'

UNKNOWN_FIELD = "unknown_field"
"""The type of the error about a field that a request does not have. Its message is that of ``say_unknown``."""

NAME_MAX_CHARS = 300
"""How much of an unknown name is quoted, and compared with the known ones."""

_ADVICE = {
    "int_parsing": _NUMBER,
    "int_parsing_size": _NUMBER,
    "int_from_float": _NUMBER,
    "int_type": _NUMBER,
    "greater_than_equal": "Write a number that is at least {ge}.",
    "less_than_equal": "Write a number that is at most {le}.",
    "bool_parsing": _SWITCH,
    "bool_type": _SWITCH,
    "string_type": _TEXT,
    "string_too_long": "Write at most {max_length} characters.",
    "list_type": "Write a list such as [1, 2].",
    "too_short": "Write at least {min_length}, or leave the field out.",
    "too_long": "Write at most {max_length}.",
    "enum": "Write {expected}.",
    "dict_type": _OBJECT,
    "model_attributes_type": "Send a JSON object, in curly brackets.",
    "timezone_aware": "Add the time zone, as in 2026-03-31T09:00:00Z.",
    "datetime_type": WRITE_TIME,
    "datetime_parsing": WRITE_TIME,
    "datetime_from_date_parsing": WRITE_TIME,
    "missing": "It is missing. Add it.",
}
"""What to write, by the type of pydantic's error. A name in curly brackets is a limit from its context."""


def advise(error: Mapping[str, Any]) -> str:
    """Say what to write instead of the value that an error of pydantic is about."""
    advice = _ADVICE.get(error["type"])
    if advice is None:
        message = str(error["msg"]).removeprefix("Value error, ").rstrip(".")
        return message if message.endswith("?") else f"{message}."
    for name, limit in error.get("ctx", {}).items():
        advice = advice.replace(f"{{{name}}}", str(limit))
    return advice


def say_unknown(name: str, known: Collection[str]) -> str:
    """Say that a request has no field of a name, and which one resembles it."""
    name = name if len(name) <= NAME_MAX_CHARS else f"{name[:NAME_MAX_CHARS]}…"
    by_key = {make_key(other): other for other in known}
    near = get_close_matches(make_key(name), by_key, 1)
    if near:
        advice = f"Did you mean '{by_key[near[0]]}'?"
    else:
        advice = f"These exist: {', '.join(sorted(known))}." if known else "Leave it out."
    return f"There is no field '{name}'. {advice}"
