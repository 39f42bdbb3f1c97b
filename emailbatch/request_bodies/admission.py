"""Decide, before a body is read, how large it may be and who may send it.

The method, the path and the headers of a request enter. The largest size of its body leaves, and for a large body the
number of the user who sends it. Everybody may send a small body. Only a user who may send email may send a large one,
and only where a list of recipients is expected.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from django.conf import settings
from django.db import DatabaseError, connection

from batches.credentials import Credentials
from batches.files.errors import FileTooLarge, ListRefused
from batches.files.spooling import too_large_sentence
from batches.permissions import REFUSALS, Permission, may
from batches.pictures import PICTURE_MAX_BYTES
from emailbatch.request_bodies.refusal import BodyRefused

logger = logging.getLogger(__name__)

FRAMING_MAX_BYTES = 64 * 1024
"""What a form may add around its file: boundaries, headers, the other fields."""

SMALL_MAX_BYTES = 1024 * 1024
"""The largest body where no list of recipients is expected: a form with a template, or JSON."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Limit:
    """How large the body of a request may be."""

    max_bytes: int
    is_file: bool = False
    """The body has a file, which stays on the disk. Otherwise it is JSON, which becomes objects in memory."""
    small_max_bytes: int = SMALL_MAX_BYTES
    """Up to this size anybody may send it."""

    @property
    def is_large(self) -> bool:
        return self.max_bytes > self.small_max_bytes

    def refuse(self) -> ListRefused:
        """Return the refusal of a body that is larger."""
        if self.is_file:
            return FileTooLarge(too_large_sentence())
        if self == LETTER:
            return BodyRefused(
                "The letter and its picture are too big together. Make the picture smaller, to 1 MB at most, or the "
                "letter shorter.",
                http_status=FileTooLarge.http_status,
            )
        return BodyRefused(
            f"The request is larger than the limit of {self.max_bytes:,} bytes at this address. Make it smaller. "
            "Upload a list of recipients as a file: on the first page, or with POST /api/upload.",
            http_status=FileTooLarge.http_status,
        )


SMALL = Limit(max_bytes=SMALL_MAX_BYTES)

LETTER_MAX_BYTES = SMALL_MAX_BYTES + PICTURE_MAX_BYTES + FRAMING_MAX_BYTES
"""A form with a letter, and a picture beside it."""

LETTER = Limit(max_bytes=LETTER_MAX_BYTES, small_max_bytes=LETTER_MAX_BYTES)


def _limit_of_file() -> Limit:
    return Limit(max_bytes=int(settings.UPLOAD_MAX_BYTES) + FRAMING_MAX_BYTES, is_file=True)


def _limit_of_list() -> Limit:
    return Limit(max_bytes=int(settings.DATA_UPLOAD_MAX_MEMORY_SIZE))


LARGE_BODIES: dict[str, Callable[[], Limit]] = {
    r"/": _limit_of_file,
    r"/api/upload": _limit_of_file,
    r"/api/batches/[0-9]+/rows": _limit_of_file,
    r"/batches/[0-9]+/review/add/": _limit_of_file,
    r"/api/emails/send-bulk": _limit_of_list,
    r"/api/suppressions/import": _limit_of_file,
    r"/do-not-send/import/": _limit_of_file,
}
"""Every address that a POST may bring a list of recipients to. A test compares it with the views that read a file."""

LETTER_BODIES = r"/templates/(new|frame|picture|preview|notes|[-\w]+/edit)/"
"""Every address that a POST may bring a picture to, or a letter that is not saved."""

_PATTERNS = [
    *((re.compile(pattern), limit) for pattern, limit in LARGE_BODIES.items()),
    (re.compile(LETTER_BODIES), lambda: LETTER),
]


def find_limit(method: str, path: str) -> Limit:
    """Return how large the body of a request may be. ``path`` has no query, and its percent signs are decoded."""
    if method == "POST":
        for pattern, limit in _PATTERNS:
            if pattern.fullmatch(path):
                return limit()
    return SMALL


def find_sender(headers: Iterable[tuple[bytes, bytes]]) -> int:
    """Return the number of the user who may send a large body. Reads PostgreSQL, so it needs a thread of its own.

    Args:
        headers: As in the scope of ASGI: names in lower case.

    Raises:
        BodyRefused: nobody is signed in, the user may not send email, or PostgreSQL is away.
    """
    try:
        credentials = Credentials.of_scope({"headers": list(headers)})
        user = credentials.find_user()
        # Which of the two the address needs, its view knows.
        is_permitted = user is not None and (
            may(user, Permission.SEND_BATCH) or may(user, Permission.MANAGE_SUPPRESSIONS)
        )
        has_scope = credentials.find_sender() is not None
    except DatabaseError as exc:
        logger.warning("The sender of a large body was not found: %s", exc, extra={"action": "admission_failed"})
        raise BodyRefused(
            "The server can't reach its database, so nothing was kept. Send it again in a minute.", http_status=503
        ) from exc
    finally:
        connection.close()  # back to the pool: this thread may do nothing more for a long time
    if user is None:
        raise BodyRefused(
            "You are not signed in, so nothing was kept. Sign in, or send a token in the header "
            "'Authorization: Bearer TOKEN', and send it again.",
            http_status=401,
        )
    if not is_permitted:
        raise BodyRefused(REFUSALS[Permission.SEND_BATCH], http_status=403)
    if not has_scope:
        raise BodyRefused("This token may not send. Use one with the scope 'send'.", http_status=403)
    return int(user.pk)
