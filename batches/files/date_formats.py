"""Write a date, a time or a duration as a spreadsheet cell shows it: 1.5 with the format [h]:mm is "36:00".

One section of a number format enters, as Excel spells it (ECMA-376 part 1, section 18.8.31). A function from the number
of days to text leaves. What depends on the reader's country or language, such as the order of day and month or the name
of a month, is written in the way of ISO 8601. The isolated program that reads spreadsheets imports this module.
"""

import re
from datetime import date, timedelta
from typing import NamedTuple

from batches.files.number_formats import Show, show_general

SERIAL_BELOW = 2_958_466
"""The number of the day after 9999-12-31."""
_DAYS_TO_1904 = 1462
_SECONDS = 86_400

_TOKEN = re.compile(
    r"""\[(?P<elapsed>h+|m+|s+)\] | (?P<part>y+|m+|d+|h+|s+) | (?P<decimals>\.0+) | (?P<half>AM/PM|A/P)
      | "(?P<quoted>[^"]*)" | \\(?P<escaped>.) | (?P<nothing>\[[^\]]*\]|[_*].) | (?P<sign>[-:., '()])
    """,
    re.VERBOSE | re.IGNORECASE | re.DOTALL,
)
_ASIDE = re.compile(r'"[^"]*"|\\.|[_*].|\[(?!h+\]|m+\]|s+\])[^\]]*\]|General', re.IGNORECASE | re.DOTALL)

_OF_PROGRAMS = re.compile(r"yyyy-mm-dd(\\?[ T]|\"T\")h{1,2}:mm(:ss)?", re.IGNORECASE)
"""What programs give to every date with a time. Its midnight says only that there is no time."""

Token = tuple[str, str]
"""The kind ("y", "mo", "d", "h", "mi", "s", "elapsed", "decimals", "half" or "text") and the text."""


class Moment(NamedTuple):
    """A number of days, taken apart."""

    year: int
    month: int
    day: int
    hour: int
    minute: int
    second: int
    fraction: str
    """The decimals of the second that are shown."""
    total_seconds: int


def compile_date(code: str, *, is_1904: bool) -> Show | None:
    """Return the function that writes a number of days in one section of a format; None if it is no date's format."""
    letters = set(_ASIDE.sub("", code).lower())
    if not letters & set("ymdhs") or letters & set("#?e%"):
        return None
    tokens = None if _OF_PROGRAMS.fullmatch(code) else _split_code(code)
    has_date = bool(letters & set("yd")) or not letters & set("hs")
    has_time = bool(letters & set("hs"))
    is_elapsed = any(kind == "elapsed" for kind, _ in tokens or [])
    decimals = next((len(text) - 1 for kind, text in tokens or [] if kind == "decimals"), 0)

    def show(value: float) -> str:
        if is_elapsed:
            sign, value = "-" if value < 0 else "", abs(value)
        elif not 0 <= value < SERIAL_BELOW:
            return show_general(value)  # the sheet shows ######
        else:
            sign = ""
        moment = _split_days(value, decimals=decimals, is_1904=is_1904)
        if tokens is None:
            return _show_iso(moment, has_date=has_date, has_time=has_time)
        return sign + _fill(tokens, moment)

    return show


def _split_days(value: float, *, decimals: int, is_1904: bool) -> Moment:
    ticks = round(value * _SECONDS * 10**decimals)
    total, fraction = divmod(ticks, 10**decimals)
    days, seconds = divmod(total, _SECONDS)
    days += _DAYS_TO_1904 if is_1904 else 0
    if days == 60:  # Excel's 29 February 1900, which Lotus 1-2-3 invented
        year, month, day = 1900, 2, 29
    elif days == 0:  # a time without a date
        year, month, day = 1900, 1, 0
    elif days >= SERIAL_BELOW:
        year, month, day = 9999, 12, 31
    else:
        found = date(1899, 12, 31 if days < 60 else 30) + timedelta(days)
        year, month, day = found.year, found.month, found.day
    return Moment(
        year=year,
        month=month,
        day=day,
        hour=seconds // 3600,
        minute=seconds // 60 % 60,
        second=seconds % 60,
        fraction=f"{fraction:0{decimals}d}" if decimals else "",
        total_seconds=total,
    )


def _show_iso(moment: Moment, *, has_date: bool, has_time: bool) -> str:
    day = f"{moment.year:04d}-{moment.month:02d}-{moment.day:02d}"
    time = f"{moment.hour:02d}:{moment.minute:02d}"
    if not has_date:
        return f"{time}:{moment.second:02d}" if moment.second else time
    is_midnight = not (moment.hour or moment.minute or moment.second)
    return f"{day} {time}:{moment.second:02d}" if has_time and not is_midnight else day


def _split_code(code: str) -> list[Token] | None:
    """Return the tokens of a section; None if it depends on the reader's country or language.

    An unescaped "/" stands for the separator of dates of the reader's country. The names of days and months are in its
    language.
    """
    tokens, end = list[Token](), 0
    while found := _TOKEN.match(code, end):
        kind, text = str(found.lastgroup), str(found[str(found.lastgroup)])
        end = found.end()
        if kind == "part":
            kind, text = text[0].lower(), text.lower()
            if kind in "md" and len(text) > 2:
                return None
        elif kind == "elapsed":
            text = text.lower()
        elif kind not in ("decimals", "half"):
            kind, text = "text", "" if kind == "nothing" else text
        tokens.append((kind, text))
    return _tell_minutes(tokens) if end == len(code) else None


def _tell_minutes(tokens: list[Token]) -> list[Token]:
    """Make "m" minutes if it is after hours or before seconds, else months."""
    places = [number for number, (kind, _) in enumerate(tokens) if kind in "ymdhs" or kind == "elapsed"]
    told = list(tokens)
    for order, number in enumerate(places):
        kind, text = tokens[number]
        if kind == "m":
            before = tokens[places[order - 1]] if order else ("", "")
            after = tokens[places[order + 1]] if order + 1 < len(places) else ("", "")
            is_minute = "h" in (before[0], before[1][:1]) or "s" in (after[0], after[1][:1])
            told[number] = "mi" if is_minute else "mo", text
    return told


def _fill(tokens: list[Token], moment: Moment) -> str:
    is_half = any(kind == "half" for kind, _ in tokens)
    hour = (moment.hour + 11) % 12 + 1 if is_half else moment.hour
    numbers = {"mo": moment.month, "d": moment.day, "h": hour, "mi": moment.minute, "s": moment.second}
    units = {"h": 3600, "m": 60, "s": 1}
    filled = []
    for kind, text in tokens:
        if kind == "y":
            filled.append(f"{moment.year % 100:02d}" if len(text) <= 2 else f"{moment.year:04d}")
        elif kind == "elapsed":
            filled.append(f"{moment.total_seconds // units[text[0]]:0{len(text)}d}")
        elif kind == "decimals":
            filled.append(f".{moment.fraction}")
        elif kind == "half":
            filled.append(text.split("/")[moment.hour >= 12])
        else:
            filled.append(text if kind == "text" else f"{numbers[kind]:0{min(len(text), 2)}d}")
    return "".join(filled)
