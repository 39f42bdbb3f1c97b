"""Which language a person reads: chosen by the account, else in this browser, else named by the browser.

A request enters, the code of a language leaves. Only ``settings.LANGUAGES`` are offered for the pages of those who
send. What no person reads, such as log lines, commands and what is stored, is in English.
"""

from __future__ import annotations

from collections.abc import Collection
from datetime import UTC, datetime
from functools import cache
from hashlib import sha256
from pathlib import Path

from django.conf import settings
from django.contrib.auth.models import User
from django.http import HttpRequest
from django.utils import translation
from django.utils.translation.trans_real import parse_accept_lang_header

from batches.models import Preference
from batches.phrases import Moment, longest_first, say_time
from batches.progress import Snapshot
from batches.translations import fill_moments

API = "/api/"

CODES = tuple(code for code, _ in settings.LANGUAGES)


def find_language(request: HttpRequest) -> str:
    """Return the code of the language in which a request is answered.

    A program that calls the API and names no language gets English, whatever the language of the site is.
    """
    chosen = read_choice(request) or request.COOKIES.get(settings.LANGUAGE_COOKIE_NAME, "")
    if chosen in CODES:
        return chosen
    accepted = find_accepted(request, CODES)
    is_program = request.path_info.startswith(API) and not request.user.is_authenticated
    return accepted or (settings.LANGUAGE_CODE if is_program else settings.SITE_LANGUAGE)


def find_accepted(request: HttpRequest, codes: Collection[str]) -> str | None:
    """Return the language of ``codes`` that ``Accept-Language`` (RFC 9110, section 12.5.4) names first, or None.

    A variety such as ``de-AT`` or ``pt-BR`` counts as its language. A language with the weight 0 is not wanted.
    """
    for tag, weight in parse_accept_lang_header(request.headers.get("Accept-Language", "")):
        code = tag.partition("-")[0]
        if weight > 0 and code in codes:
            return code
    return None


def find_language_of_user(user: User) -> str:
    """Return the language of a mail to a user: the one that the user has chosen, else that of the site."""
    chosen = _read_preference(user)
    return chosen if chosen in CODES else settings.SITE_LANGUAGE


def choose_language(request: HttpRequest, code: str) -> None:
    """Store the choice of a user who is signed in. An empty code means: as the browser says."""
    if isinstance(request.user, User):
        Preference.objects.update_or_create(user=request.user, defaults={"language": code})


def read_choice(request: HttpRequest) -> str:
    """Return what the account has chosen, by one look-up of a primary key. Empty: nothing, or nobody is signed in."""
    return _read_preference(request.user) if isinstance(request.user, User) else ""


def _read_preference(user: User) -> str:
    return Preference.objects.filter(user_id=user.pk).values_list("language", flat=True).first() or ""


def say_snapshot(snapshot: Snapshot, language: str) -> Snapshot:
    """Return a snapshot with its sentences in a language. One feed serves watchers who read several."""
    now = datetime.fromtimestamp(snapshot["sequence"] / 1_000_000, tz=UTC)

    def write(moment: Moment) -> str:
        return say_time(datetime.fromisoformat(moment["at"]), moment["shape"], now=now)

    with translation.override(language):
        waits, moments = snapshot["waitingFor"], snapshot.get("moments", [])
        said = {
            "waitingFor": fill_moments(waits, moments, write) if waits else waits,
            "finish": fill_moments(snapshot["finish"], moments, write),
            "moments": longest_first([Moment(words=write(e), at=e["at"], shape=e["shape"]) for e in moments]),
        }
    return Snapshot(**{**snapshot, **said})  # type: ignore[typeddict-item]


@cache
def find_version(language: str) -> str:
    """Return a digest of the catalogue for scripts, or an empty text for a language that needs none."""
    files = [Path(path) / language / "LC_MESSAGES" / "djangojs.mo" for path in settings.LOCALE_PATHS]
    return "".join(sha256(file.read_bytes()).hexdigest()[:12] for file in files if file.exists())
