"""The time of a send in a request: ISO 8601 with a zone, and nothing else.

pydantic takes digits for seconds since 1970. So ``20270101`` and ``2027`` would be times in 1970, and the mail would go
at once.
"""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any

from django.utils import timezone
from pydantic import AfterValidator, AwareDatetime, BeforeValidator
from pydantic_core import PydanticCustomError

from batches.api.advice import WRITE_TIME
from batches.send_times import say_bad_send_time


def refuse_number(value: Any) -> Any:
    """Take a time only as text with a date."""
    is_digits = isinstance(value, str) and "-" not in value.strip()[1:]
    if is_digits or isinstance(value, (int, float)):
        raise PydanticCustomError("send_time", WRITE_TIME)
    return value


def _refuse_far(at: datetime) -> datetime:
    sentence = say_bad_send_time(at, now=timezone.now())
    if sentence:
        raise PydanticCustomError("send_time", "{sentence}", {"sentence": sentence})
    return at


SendTime = Annotated[AwareDatetime, BeforeValidator(refuse_number), AfterValidator(_refuse_far)]
SEND_TIME_MEANING = "ISO 8601 with a time zone, at most a hundred years ahead. Left out: now."
