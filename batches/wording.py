"""Words for people: rates, durations, why a batch waits, what a state means, what an encoding is called.

Pages and commands take their sentences from here, so that each state is described in one way.
``static/js/counts.js`` says percentages, rates and durations in the same way while a page is open.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from django.utils.translation import gettext_noop, ngettext

from batches.jobs.forecasts import Forecast
from batches.jobs.letter_checks import LetterCheck
from batches.jobs.queues import Fleet
from batches.jobs.redis_health import RedisFault
from batches.models import BatchStatus, EmailState, EmailStatus, LetterCheckState, SuppressionReason
from batches.progress import Snapshot
from batches.translations import figure
from batches.waiting import NO_WORKER as NO_WORKER

_FIELD = re.compile(r"\{\{.*?\}\}")
_TAG = re.compile(r"\{%.*?%\}|\{#.*?#\}")

WAITING = (BatchStatus.PENDING, BatchStatus.PROCESSING)
"""The statuses in which a batch needs a worker to get further."""

NO_REDIS = "Redis can't be reached, so no email is sent now. The batch is safe, and sending goes on when Redis is back."
REDIS_FAULTS = {
    RedisFault.AWAY: NO_REDIS,
    RedisFault.LOADING: (
        "Redis is still loading its data, so no sending starts now. The batch is safe, and sending goes on when Redis "
        "is ready."
    ),
    RedisFault.FULL: (
        "Redis is out of memory, so no sending starts now. The batch is safe, and sending goes on when Redis has "
        "memory again. Raise its maxmemory, or delete what fills it."
    ),
    RedisFault.READ_ONLY: (
        "Redis is a replica that accepts no writes, so no sending starts now. The batch is safe, and sending goes on "
        "when it accepts writes. Let REDIS_URL name the primary."
    ),
    RedisFault.REFUSING: (
        "Redis refuses to store anything, so no sending starts now. The batch is safe, and sending goes on when Redis "
        "accepts writes. Its log says why it refuses, for example a full disk."
    ),
}
"""Why no sending starts, and what to do about Redis."""

REDIS_NEARLY_FULL_SHARE = 0.9
"""From this part of its memory on, the health check says that Redis will be full."""

SUPPRESSED_WORDS = {
    SuppressionReason.UNSUBSCRIBED: "unsubscribed",
    SuppressionReason.BOUNCED: "with mail that came back",
    SuppressionReason.COMPLAINED: "complained",
    SuppressionReason.MANUAL: "entered by hand",
    SuppressionReason.IMPORTED: "imported",
    SuppressionReason.ERASED: "erased on request",
}
"""Why addresses are on the do-not-send list, after their number."""

NO_FAULT = "None of them has a fault."

SHORT_SECONDS = 90.0
"""A shorter time is said without the time of the clock."""

SLOW_PER_SECOND = 10.0
"""A lower speed is said in messages a minute."""

LONG_SECONDS = 48 * 3600.0
"""For a longer time the day says more than the hours."""

REJECTED_LINES_MEANING = "These lines did not become recipients. Each has its reason."
REJECTED_MEANING = "These rows did not become recipients. Each has its reason."
HIDDEN_MEANING = "The sheet hides these rows, for example by a filter. They did not become recipients."

STATE_MEANINGS = {
    EmailStatus.PENDING: "These emails are still to be sent, or are being sent now.",
    EmailStatus.SENDING: "These emails are being sent now.",
    EmailStatus.SENT: "The mail server accepted these emails.",
    EmailStatus.FAILED: "These emails could not be delivered. Each has its reason.",
    EmailStatus.UNKNOWN: (
        "Nobody knows whether these emails arrived, because sending was interrupted before the mail server answered."
    ),
    EmailStatus.SUPPRESSED: "These addresses are on the do-not-send list, so nothing was sent to them.",
    EmailStatus.CANCELLED: "The batch was cancelled before these emails were sent.",
}
"""What the state of an email means, for a reader who does not know the word."""

RETURN_MEANINGS = {
    EmailState.RETURNED: (
        "The mail server accepted these emails, and then they came back. An address that is gone is on the do-not-send "
        "list from now on."
    ),
    EmailState.COMPLAINED: (
        "These recipients said that the email is spam. They are on the do-not-send list from now on."
    ),
}

ENCODING_NAMES = {
    "utf-8": "Unicode (UTF-8)",
    "utf-16": "Unicode (UTF-16)",
    "cp1252": "Western European (Windows-1252)",
    "iso8859-15": "Western European (ISO 8859-15)",
    "mac-roman": "Western European (Macintosh)",
    "cp850": "Western European (DOS)",
    "cp437": "Western European (DOS, United States)",
    "cp1250": "Central European (Windows-1250)",
    "iso8859-2": "Central European (ISO 8859-2)",
    "iso8859-16": "Romanian (ISO 8859-16)",
    "mac-latin2": "Central European (Macintosh)",
    "cp852": "Central European (DOS)",
    "cp1257": "Baltic (Windows-1257)",
    "iso8859-13": "Baltic (ISO 8859-13)",
    "cp775": "Baltic (DOS)",
    "cp1251": "Cyrillic (Windows-1251)",
    "koi8-r": "Cyrillic (KOI8-R)",
    "koi8-u": "Ukrainian (KOI8-U)",
    "iso8859-5": "Cyrillic (ISO 8859-5)",
    "mac-cyrillic": "Cyrillic (Macintosh)",
    "cp866": "Cyrillic (DOS)",
    "cp1253": "Greek (Windows-1253)",
    "iso8859-7": "Greek (ISO 8859-7)",
    "mac-greek": "Greek (Macintosh)",
    "cp737": "Greek (DOS)",
    "cp1254": "Turkish (Windows-1254)",
    "mac-turkish": "Turkish (Macintosh)",
    "cp857": "Turkish (DOS)",
    "cp1255": "Hebrew (Windows-1255)",
    "cp862": "Hebrew (DOS)",
    "cp1256": "Arabic (Windows-1256)",
    "iso8859-6": "Arabic (ISO 8859-6)",
    "cp874": "Thai (Windows-874)",
    "cp1258": "Vietnamese (Windows-1258)",
    "cp932": "Japanese (Shift JIS)",
    "euc_jp": "Japanese (EUC-JP)",
    "iso2022_jp": "Japanese (ISO-2022-JP)",
    "gb18030": "Chinese (GB 18030)",
    "big5": "Chinese (Big5)",
    "cp949": "Korean (EUC-KR)",
    "utf-8-twice": "Unicode, encoded twice (by way of Western European)",
    "utf-8-twice-cp1250": "Unicode, encoded twice (by way of Central European)",
    "utf-8-twice-cp1251": "Unicode, encoded twice (by way of Cyrillic)",
    "utf-8-twice-cp850": "Unicode, encoded twice (by way of DOS)",
    "utf-8-twice-mac-roman": "Unicode, encoded twice (by way of Macintosh)",
    "utf-8-mixed": "Unicode mixed with Western European",
    "utf-8-mixed-cp1250": "Unicode mixed with Central European",
    "utf-8-mixed-cp1251": "Unicode mixed with Cyrillic",
    "utf-8-mixed-mac-roman": "Unicode mixed with Macintosh",
}
"""What people call the encodings that they can choose, by the codec, in the order of the page."""

_SAME_ENCODING = {"utf-8-sig": "utf-8", "utf-16-le": "utf-16", "utf-16-be": "utf-16"}
"""Codecs that people need not tell apart: with a byte order mark or without, in one byte order or the other."""

DELIMITER_NAMES = {
    ",": gettext_noop("commas"),
    ";": gettext_noop("semicolons"),
    "\t": gettext_noop("tabs"),
    "|": gettext_noop("vertical bars"),
}
"""What separates the columns of a text file, by the character."""


def choosable_encoding(encoding: str) -> str:
    """Return the key of ENCODING_NAMES for a codec, or the codec itself if people can't choose it."""
    return _SAME_ENCODING.get(encoding, encoding)


def name_encoding(encoding: str) -> str:
    """Return what people call a codec, or the codec itself if people can't choose it."""
    choosable = choosable_encoding(encoding)
    return ENCODING_NAMES.get(choosable, choosable)


def percent_done(now: Snapshot) -> int:
    """Return how much of a batch is done, rounded down: 100 means that every email is done. An empty batch has 0.

    What was cancelled is not done, although nothing is left to do about it.
    """
    return 100 * (now["processed"] - now["cancelled"]) // now["total"] if now["total"] else 0


def say_duration(seconds: float) -> str:
    """Say a length of time as a person does: ``"about 9 s"``, ``"about 3 min"``, ``"about 2 h 10 min"``."""
    if seconds < 1:
        return "less than a second"
    if seconds < 90:
        return f"about {round(seconds)} s"
    minutes = round(seconds / 60)
    if minutes < 90:
        return f"about {minutes} min"
    hours, minutes = divmod(minutes, 60)
    return f"about {hours} h {minutes} min" if minutes and hours < 24 else f"about {hours:,} h"


def say_rate(now: Snapshot) -> str:
    """Say how fast a batch is being sent, and how much longer that takes. Empty while nothing is sent.

    The time left is what the present rate gives. It is not said beside a finish time: the finish time knows the limits
    of the relays too, so the two would contradict each other.
    """
    if now["status"] != BatchStatus.PROCESSING or not now["ratePerSecond"]:
        return ""
    rate = _say_speed(now["ratePerSecond"])
    eta = now["etaSeconds"]
    return f"{rate}, {say_duration(eta)} left" if eta is not None and not now["finish"] else rate


def _say_speed(per_second: float) -> str:
    """Say a slow speed by the minute, because it would be rounded to a wrong number of messages a second."""
    if per_second >= SLOW_PER_SECOND:
        return f"{per_second:,.0f} a second"
    per_minute = per_second * 60
    return f"{per_minute:,.0f} a minute" if per_minute >= 1 else "less than 1 a minute"


def say_letter_check(check: LetterCheck | None, fleet: Fleet) -> str:
    """Say how far the check of every letter is, and what was found. Empty if there is no check."""
    if not fleet.redis:
        return "Redis can't be used now, so the letters of the other rows can't be checked."
    if check is None:
        return ""
    done = f"{check.checked:,} of {check.total:,} letters"
    match check.state:
        case LetterCheckState.WAITING | LetterCheckState.RUNNING if not fleet.workers:
            return "No worker is running, so the letters of the other rows are not checked yet."
        case LetterCheckState.WAITING:
            return f"{done} were checked so far. The check waits for a worker."
        case LetterCheckState.RUNNING:
            return f"{done} were checked so far."
        case LetterCheckState.KILLED:
            return (
                f"The check stopped after {done}. Either a letter takes too much time or memory, or the worker was "
                "stopped. Make loops and repetitions in the template smaller, or check again."
            )
    return _say_ended_check(check)


def _say_ended_check(check: LetterCheck) -> str:
    if check.checked < check.total:
        start = f"The first {check.checked:,} of {check.total:,} letters were checked, then the time was up."
        faults = ngettext("%(count)s letter has a fault.", "%(count)s letters have a fault.", check.faulty)
        return f"{start} {faults % {'count': figure(check.faulty)} if check.faulty else NO_FAULT}"
    if check.faulty and check.total == 1:
        return "The letter was checked. It has a fault."
    if check.faulty:
        words = ngettext(
            "%(count)s of %(total)s letters has a fault.", "%(count)s of %(total)s letters have a fault.", check.faulty
        )
        return words % {"count": figure(check.faulty), "total": figure(check.total)}
    if check.total == 1:
        return "The letter was checked. It has no fault."
    return f"All {check.total:,} letters were checked. None has a fault."


def say_added(added: int, *, rejected: int, duplicates: int) -> str:
    """Say what became of the rows that were added to a draft: ``"2 recipients were added. 1 row was rejected."``"""
    parts = [ngettext("%(count)s recipient was added.", "%(count)s recipients were added.", added)]
    parts += [ngettext("%(count)s row was rejected.", "%(count)s rows were rejected.", rejected)] * bool(rejected)
    parts += [ngettext("%(count)s row was a duplicate.", "%(count)s rows were duplicates.", duplicates)] * bool(
        duplicates
    )
    counts = [added, *filter(None, [rejected, duplicates])]
    return " ".join(part % {"count": figure(count)} for part, count in zip(parts, counts, strict=True))


def say_sending(forecast: Forecast) -> str:
    """Say how long sending a draft takes, and when it is done if it is sent now."""
    seconds = forecast.seconds
    if seconds is None or (forecast.done_at is None and seconds >= SHORT_SECONDS):
        return forecast.words
    if seconds < SHORT_SECONDS:
        return f"Sending will take {say_duration(seconds)}."
    if seconds < LONG_SECONDS:
        return f"Sending will take {say_duration(seconds)}. {forecast.words}"
    return f"{forecast.words.removesuffix('.')}, if it is sent now."


def say_why_waiting(status: BatchStatus, fleet: Fleet) -> str:
    """Say why nothing is sent although the batch is ready, and what to do. Empty if nothing is wrong."""
    if status not in WAITING:
        return ""
    if not fleet.redis:
        return say_redis_fault(fleet)
    if not fleet.workers:
        return NO_WORKER
    return ""


def say_redis_fault(fleet: Fleet) -> str:
    """Say why Redis can't be used, and what to do. Empty if it can be used."""
    return "" if fleet.redis else REDIS_FAULTS[fleet.fault or RedisFault.AWAY]


def say_health(fleet: Fleet, *, database: bool) -> str:
    """Say what is wrong with the site, or soon will be, for operators. Empty if all is well.

    The number of workers speaks for itself.
    """
    if not database:
        return "PostgreSQL can't be reached, so nothing can be read, stored or sent. Start it, or correct DATABASE_URL."
    if not fleet.redis:
        return say_redis_fault(fleet)
    if fleet.memory_share is not None and fleet.memory_share >= REDIS_NEARLY_FULL_SHARE:
        return f"Redis uses {fleet.memory_share:.0%} of its memory. Raise its maxmemory before no sending can start."
    return ""


def say_suppressed(by_reason: Mapping[str, int]) -> str:
    """Say why recipients get no mail, as "8 unsubscribed, 4 with mail that came back". Empty: nobody is left out."""
    return ", ".join(
        f"{count:,} {SUPPRESSED_WORDS.get(SuppressionReason(reason), reason) if reason else 'for a reason not known'}"
        for reason, count in by_reason.items()
    )


def outline(words: str) -> str:
    """Return a line of a template for people, with an ellipsis for each field: ``Your invitation, …``."""
    return _TAG.sub("", _FIELD.sub("…", words))
