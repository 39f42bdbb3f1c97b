"""The language of a page that recipients see. A request enters, one of seven languages leaves.

These pages have more languages than those for people who send. The catalogues are in ``locale/``, and the compiled
ones are in the repository, because a machine that runs this program needs no gettext.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from django.core.exceptions import SuspiciousOperation
from django.http import HttpRequest, QueryDict
from django.utils import translation

from batches.languages import find_accepted


@dataclass(frozen=True, slots=True)
class Language:
    """A language in which the pages for recipients exist."""

    code: str
    """ISO 639-1."""
    name: str
    """As its speakers call it."""


DEFAULT_LANGUAGE = "en"

LANGUAGES = (
    Language("de", "Deutsch"),
    Language("en", "English"),
    Language("es", "Español"),
    Language("fr", "Français"),
    Language("it", "Italiano"),
    Language("nl", "Nederlands"),
    Language("pl", "Polski"),
)
"""In the order in which a page offers them."""

_CODES = frozenset(language.code for language in LANGUAGES)


def find_language(request: HttpRequest) -> str:
    """Return the code of the language that a request names: by its query, or else by ``Accept-Language`` (RFC 9110).

    No account is known here, and no cookie is read or set. See batches/languages.py for the pages of those who send.
    """
    chosen = _read_query(request).get("lang", "")
    if chosen in _CODES:
        return chosen
    return find_accepted(request, _CODES) or DEFAULT_LANGUAGE


def _read_query(request: HttpRequest) -> QueryDict:
    """Return the query. One that is too long to be read is none: it must not keep anybody from unsubscribing."""
    try:
        return request.GET
    except SuspiciousOperation:
        return QueryDict()


@contextmanager
def speaking(code: str) -> Iterator[None]:
    """Let everything in this context be written in a language. Ends with it, also for other requests of the thread."""
    with translation.override(code):
        yield
