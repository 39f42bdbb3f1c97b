"""The wait that a relay's reply states: its text enters, and the seconds to wait leave, or None.

A reply may state a length ("try again in 1 hour and 30 minutes") or a time ("again after 2025-10-05 19:22:44 UTC"). A
limit, such as "400 recipients per 24 hours", is no wait.
"""

from __future__ import annotations

import re
import time
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

WAIT_MIN_SECONDS, WAIT_MAX_SECONDS = 1, 24 * 3600

_UNITS = {
    0.001: "ms msecs? milliseconds?",
    1: "s secs? seconds? sek sekunden? secondes? segundos? second[io]",
    60: "m mins? minutes? minuten minutos? minut[io]",
    3600: "h hrs? hours? std stunden? heures? horas? or[ae] uur",
    86400: "d days? tagen? jours? d[ií]as? giorn[io] dagen",
    604800: "weeks? wochen? semaines? semanas?",
}
_UNIT_WORDS = {seconds: "|".join(words.split()) for seconds, words in _UNITS.items()}
_UNIT = re.compile("|".join(f"({words})" for words in _UNIT_WORDS.values()), re.IGNORECASE)
_UNIT_SECONDS = tuple(_UNIT_WORDS)

_NUMBERS = {"a": 1, "an": 1, "one": 1, "einer": 1, "eine": 1, "une": 1, "una": 1, "two": 2, "five": 5, "ten": 10}

_NUMBER = rf"(?:\d{{1,7}}(?:[.,]\d{{1,3}})? ?-?|\b(?:{'|'.join(_NUMBERS)}) )"
_LENGTH = rf"{_NUMBER}(?:{'|'.join(_UNIT_WORDS.values())})(?![^\W\d])"
_ASKS = (
    r"\b(?:again|retry\w*|try|resume|resend|wait|come back|resets?|blocked|delayed|postponed|suspended|throttled|lifted"
    r"|erneut|versuchen|warten|r[eé]essay\w+|attendre|intent\w+|reintent\w+|espere|riprov\w+|opnieuw)\b:?"
)
_STATED_LENGTH = re.compile(
    rf"{_ASKS}(?: (?!per |of |pro |par |por )[^\W\d]\w{{0,11}}){{0,4}}? (?:\d{{1,5}} ?(?:-|to) ?)?"
    rf"(?P<length>{_LENGTH}(?:,? ?(?:and |und |et |y |e )?{_LENGTH}){{0,3}}|\d\d?:\d\d:\d\d)(?! ago)",
    re.IGNORECASE,
)
_PART = re.compile(rf"(?P<number>{_NUMBER})(?P<unit>{'|'.join(_UNIT_WORDS.values())})(?![^\W\d])", re.IGNORECASE)
_CLOCK = re.compile(r"(\d\d?):(\d\d):(\d\d)", re.ASCII)
_RETRY_AFTER = re.compile(r"retry[- ]after:? (\d{1,6})(?![\w:.-])", re.IGNORECASE)
_STATED_TIME = re.compile(
    r"(?:again|retry|until|resets?)(?: on| at| after)?:? (?:"
    r"(?P<mail>(?:\w{3}, )?\d{1,2} [a-z]{3} \d{4} \d\d:\d\d:\d\d (?:UTC|GMT|[+-]\d{4}))"
    r"|(?P<iso>\d{4}-\d\d-\d\d[T ]\d\d:\d\d(?::\d\d(?:\.\d{1,6})?)?) ?(?P<zone>Z|UTC|GMT|[+-]\d\d:?\d\d))",
    re.IGNORECASE,
)


def find_stated_wait(text: str) -> float | None:
    """Return the seconds that a reply asks us to wait, from one second to 24 hours, or None."""
    if found := _STATED_LENGTH.search(text):
        return _clamp(_measure(found["length"]))
    if found := _RETRY_AFTER.search(text):  # in seconds, as in RFC 9110 section 10.2.3
        return _clamp(float(found[1]))
    return _find_stated_time(text)


def read_wait(number: str | None, unit: str | None) -> float | None:
    """Return the seconds of a number and a unit that a pattern of a rule has found; None if they are no length."""
    found = _PART.fullmatch(f"{number} {unit}".strip())
    return _clamp(_measure(found[0])) if found else None


def _measure(length: str) -> float:
    if clock := _CLOCK.fullmatch(length):
        hours, minutes, seconds = map(int, clock.groups())
        return hours * 3600 + minutes * 60 + seconds
    return sum(_read_number(part["number"]) * _unit_seconds(part["unit"]) for part in _PART.finditer(length))


def _read_number(text: str) -> float:
    number = text.rstrip(" -")
    return _NUMBERS.get(number.lower()) or float(number.replace(",", "."))


def _unit_seconds(unit: str) -> float:
    found = _UNIT.fullmatch(unit)
    assert found is not None and found.lastindex is not None  # noqa: S101  (for mypy: _PART has found it)
    return _UNIT_SECONDS[found.lastindex - 1]


def _find_stated_time(text: str) -> float | None:
    found = _STATED_TIME.search(text)
    try:
        seconds = _read_time(found).timestamp() - time.time() if found else 0
    except (ValueError, OverflowError):
        return None
    return _clamp(seconds) if seconds > 0 else None  # a time that is past says nothing: our clocks may differ


def _read_time(found: re.Match[str]) -> datetime:
    if found["mail"]:
        stated = parsedate_to_datetime(found["mail"].upper().replace("UTC", "GMT"))
    else:
        zone = "+00:00" if found["zone"].upper() in ("Z", "UTC", "GMT") else found["zone"]
        stated = datetime.fromisoformat(found["iso"].upper().replace(" ", "T") + zone)
    return stated if stated.tzinfo else stated.replace(tzinfo=UTC)  # -0000 says that the zone is unknown


def _clamp(seconds: float) -> float:
    return min(max(seconds, WAIT_MIN_SECONDS), WAIT_MAX_SECONDS)
