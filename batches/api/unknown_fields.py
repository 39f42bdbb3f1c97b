"""Refuse every name in a request that no door knows: otherwise a misspelt option would be left out in silence.

A request enters. Nothing leaves but a refusal, whose sentence names the field and the known one that resembles it. A
JSON body is also refused if one of its texts can't be stored.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection
from itertools import islice
from typing import Any, Self

from django.http import HttpRequest
from ninja import Schema
from pydantic import ConfigDict, ModelWrapValidatorHandler, ValidationError, model_validator
from pydantic_core import InitErrorDetails, PydanticCustomError

from batches.api.advice import UNKNOWN_FIELD, say_unknown
from batches.api.bounded_fields import SHOWN_NAME_MAX, fault, find_nul
from batches.api.errors import ERRORS_MAX, ApiError

CSRF_FIELD = "csrfmiddlewaretoken"
"""A field that Django puts into the form of a page."""

FILE_FIELD = "file"


class Body(Schema):
    """The JSON body of a request. An unknown field is an error."""

    model_config = ConfigDict(extra="forbid")

    @model_validator(mode="before")
    @classmethod
    def _refuse_unknown(cls, values: Any) -> Any:
        """Refuse unknown fields before pydantic does, because its error does not say which fields there are."""
        if not isinstance(values, dict):
            return values
        unknown = islice((name for name in values if name not in cls.model_fields), ERRORS_MAX)
        errors = [_describe_unknown(name, known=cls.model_fields) for name in unknown]
        if errors:
            raise ValidationError.from_exception_data(cls.__name__, errors)
        if name := find_nul(values):
            raise fault("It has the character NUL (U+0000). Remove it.", name)
        return values

    @model_validator(mode="wrap")
    @classmethod
    def _refuse_deep(cls, values: Any, handler: ModelWrapValidatorHandler[Self]) -> Self:
        """Refuse what has too many levels to be written into an error, which an enumeration does."""
        try:
            return handler(values)
        except RecursionError:
            raise fault("A value has brackets in hundreds of levels. Send it without them.") from None
        finally:
            del values  # Otherwise the traceback of an error would keep the whole body.


def _describe_unknown(name: str, *, known: Collection[str]) -> InitErrorDetails:
    error = PydanticCustomError(UNKNOWN_FIELD, "{sentence}", {"sentence": say_unknown(name, known)})
    return InitErrorDetails(type=error, loc=(name[:SHOWN_NAME_MAX],), input=None)


def refuse_unknown_form(request: HttpRequest, fields: Collection[str], *, lists: Collection[str] = ()) -> None:
    """Refuse an upload whose form or address has a name that is not known, or a field twice.

    Args:
        fields: The names of the form's fields beside the file.
        lists: Those of them that may come several times.

    Raises:
        ApiError: 422.
    """
    for name in (*request.POST, *request.FILES):
        if name not in (*fields, FILE_FIELD, CSRF_FIELD):
            raise ApiError(422, say_unknown(name, fields))
    counts = Counter({name: len(request.POST.getlist(name)) for name in request.POST})
    counts.update({name: len(request.FILES.getlist(name)) for name in request.FILES})
    for name, count in counts.items():
        if count > 1 and name not in lists:  # Django would take the last one, and leave the others out in silence.
            raise ApiError(422, f"The form has the field '{name}' {count} times. Send it once.")
    for name in request.FILES:
        if name != FILE_FIELD:
            raise ApiError(422, f"The field '{name}' is a file. Send it as a text: only '{FILE_FIELD}' is a file.")
    refuse_query(request, fields=[*fields, FILE_FIELD], place="as a field of the form")


def refuse_query(request: HttpRequest, *, fields: Collection[str], place: str = "in the JSON body") -> None:
    """Refuse a request whose address has parameters, which this door does not read.

    Args:
        fields: The names that belong to another place of the request.
        place: That place.

    Raises:
        ApiError: 422.
    """
    for name in request.GET:
        fault = "" if name in fields else f" {say_unknown(name, fields)}"
        raise ApiError(422, f"The address of the request has '{name}'.{fault} Send each option {place}.")
