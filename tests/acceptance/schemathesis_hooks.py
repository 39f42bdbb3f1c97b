"""The one check of schemathesis that is replaced: whether a valid request was refused.

A schema cannot say that a template exists, that a time has not passed, or that a file is a list. So a refusal is
accepted if its sentence says one of these things. Schemathesis loads this module by SCHEMATHESIS_HOOKS.
"""

from __future__ import annotations

import re
from typing import Any

import schemathesis

FROM_THE_DATA = re.compile(
    "|".join(
        (
            r"There is no (template|group|sender|user|recipient|field|topic) ",
            r"either 'address' or 'addresses'|'addresses' is empty|Name the 'address'",
            r"either in the body or in the query",
            r"Only the erasure of a person|limits a group of failures|'failure' goes with",
            r"cursor is malformed",
            r"of the kind markdown has a source alone",
            r"That time has passed|That time is |no such time|time zone",
            r"The subject is empty|Give the template an HTML body|has no text|The message is empty|no HTML and no text",
            r"The file |This file |The form has the field|no file|Send the file|not a list of recipients|has no usable",
            r"either 'roleFilter' or 'recipients'|contradict each other|A draft has no '",
            r"list of recipients is empty|say the same thing in two ways",
            r"No recipients|no recipient|no good row|not one good|has no address|Name the recipients|no email",
            r"Idempotency-Key must have|character or a number that the database can't store|control character|NUL",
            r"encoding|delimiter|column|sheet|header|merge field|heading",
            r"line break|too long|is longer than|can't be used",
        )
    )
)
"""What only the data can tell, in the sentences of the API."""

REFUSALS = (400, 406, 411, 413, 415, 422)


@schemathesis.check
def valid_request_is_refused_only_for_its_data(ctx: Any, response: Any, case: Any) -> None:
    """Fail if a request that fits the schema was refused, and its sentence names nothing of FROM_THE_DATA."""
    meta = case.meta
    if meta is None or meta.generation.mode.is_negative or response.status_code not in REFUSALS:
        return
    sentence = response.json()["detail"]
    if not FROM_THE_DATA.search(sentence):
        raise AssertionError(f"A valid request was refused: {sentence}")
