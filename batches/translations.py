"""Say sentences of ours to a person: numbers as the language writes them, and sentences that come in English.

What is stored, logged or passed between processes is in English: the reason of a rejected row, why a job failed, what a
batch waits for. ``say`` finds such a sentence in the catalogue by its pattern, and returns it in the language of the
request. A sentence that no catalogue has, such as the words of a mail server, is returned as it is (decision 53).
"""

from __future__ import annotations

import re
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime
from functools import cache, lru_cache
from pathlib import Path

from django.conf import settings
from django.utils.formats import date_format, number_format
from django.utils.safestring import SafeString
from django.utils.translation import get_language, gettext, ngettext

_GAP = re.compile(r"%\((\w+)\)s|%%")
_SENTENCE_END = re.compile(r"(?<=[.!?]) (?=[A-Z])")
_NUMBER = re.compile(r"\d{1,3}(?:,\d{3})+")
_SIGN = re.compile(r" (?=\(.\)$)")
"""Before a sign in brackets, as in "a comma (,)"."""

_DAY = re.compile(
    r"\b\d{1,2} (?:January|February|March|April|May|June|July|August|September|October|November|December) \d{4}\b"
)
TEXT_MAX_CHARS, SENTENCES_MAX = 4_000, 20
"""What is longer is not looked for: it quotes somebody, and each sentence is compared with the whole catalogue."""
_LITERAL_MIN_LENGTH = 8
"""A pattern with fewer characters of its own would match what people have typed."""


def figure(number: float, *, decimals: int = 0) -> str:
    """Write a number as the language of the request does: 1,000 in English, 1.000 in German."""
    return number_format(number, decimal_pos=decimals, use_l10n=True, force_grouping=True)


def say(sentence: object) -> str:
    """Return an English sentence of ours, or several, in the language of the request. HTML stays as it is."""
    if isinstance(sentence, SafeString):
        return sentence
    text = str(sentence)
    language = get_language() or settings.LANGUAGE_CODE
    is_ours = 0 < len(text) <= TEXT_MAX_CHARS and language != settings.LANGUAGE_CODE
    return _say_in(language, text) if is_ours else text


@lru_cache(maxsize=4096)
def _say_in(language: str, text: str) -> str:
    """Say the longest run of sentences that the catalogue has as one, and then the rest."""
    whole = _find(language, text)
    if whole is not None:
        return whole
    parts = _SENTENCE_END.split(text)
    if len(parts) > SENTENCES_MAX:
        return text
    for count in range(len(parts) - 1, 0, -1):
        found = _find(language, " ".join(parts[:count]))
        if found is not None or count == 1:
            return f"{found or parts[0]} {_say_in(language, ' '.join(parts[count:]))}"
    return text


def _find(language: str, text: str) -> str | None:
    plain, patterns = _read_catalogue(language)
    if text in plain:
        return gettext(text)
    for pattern in patterns:
        if pattern.may_match(text) and (match := pattern.expression.fullmatch(text)):
            return _fill(pattern, match.groupdict())
    return None


@dataclass(frozen=True, kw_only=True, slots=True)
class Pattern:
    """A message of the catalogue that has gaps."""

    one: str
    many: str
    """The form for other numbers than 1. Empty for a message without number."""
    expression: re.Pattern[str]
    literals: tuple[str, ...]
    """The text before the first gap, between two gaps each, and after the last one."""

    @property
    def length(self) -> int:
        """How many characters are not in gaps."""
        return sum(map(len, self.literals))

    def may_match(self, text: str) -> bool:
        """Whether a text has the literals in their order.

        If it has not, the expression would try every way to fill the gaps: seconds, for a text made to that end.
        """
        if len(self.literals) == 1:
            return text == self.literals[0]
        first, *between, last = self.literals
        if not text.startswith(first):
            return False
        end = len(first)
        for literal in between:
            begin = text.find(literal, end + 1)  # a gap has one character at least
            if begin < 0:
                return False
            end = begin + len(literal)
        return text.endswith(last) and len(text) - len(last) > end


def _fill(pattern: Pattern, values: dict[str, str]) -> str:
    said = {name: _say_value(value) for name, value in values.items()}
    number = values.get("count", "").replace(",", "")
    if pattern.many:
        count = int(number) if number.isdecimal() else 1
        return ngettext(pattern.one, pattern.many, count) % {"count": "1", **said}
    return gettext(pattern.one) % said


def _say_value(value: str) -> str:
    if _NUMBER.fullmatch(value):
        return figure(int(value.replace(",", "")))
    if " " in value:  # a part of a sentence, such as "a comma (,)". One word may be what somebody typed.
        value = " ".join(map(say, _SIGN.split(value)))
    return _DAY.sub(lambda day: date_format(_read_day(day[0]), "DATE_FORMAT"), value)


def _read_day(text: str) -> date:
    return datetime.strptime(text, "%d %B %Y").date()


def read_patterns(language: str) -> tuple[Pattern, ...]:
    """Return the messages with gaps that ``say`` looks for."""
    return _read_catalogue(language)[1]


@cache
def _read_catalogue(language: str) -> tuple[frozenset[str], tuple[Pattern, ...]]:
    """Return the messages without gaps, and those with gaps, the most telling ones first."""
    messages = [message for path in settings.LOCALE_PATHS for message in _read_messages(Path(path), language)]
    plain = frozenset(one for one, many in messages if not many and not _GAP.search(one))
    pairs = [(form, one, many) for one, many in messages for form in {one, many or one} if many or _GAP.search(one)]
    patterns = (_compile(form, one, many) for form, one, many in pairs)
    usable = (pattern for pattern in patterns if pattern.length >= _LITERAL_MIN_LENGTH)
    return plain, tuple(sorted(usable, key=lambda pattern: -pattern.length))


def _compile(form: str, one: str, many: str) -> Pattern:
    expression, literals, end = "", [""], 0
    seen: set[str] = set()
    for gap in [*_GAP.finditer(form), None]:
        literal = form[end : gap.start() if gap else len(form)]
        expression += re.escape(literal)
        literals[-1] += literal
        if gap is None:
            break
        end, name = gap.end(), gap[1]
        if name is None:
            expression += "%"
            literals[-1] += "%"
            continue
        expression += f"(?P={name})" if name in seen else f"(?P<{name}>.+?)"
        literals.append("")
        seen.add(name)
    return Pattern(one=one, many=many, expression=re.compile(expression, re.DOTALL), literals=tuple(literals))


def _read_messages(folder: Path, language: str) -> Iterator[tuple[str, str]]:
    """Yield the messages of a compiled catalogue: the form for 1, and that for other numbers.

    GNU gettext, section 10.3.
    """
    file = folder / language / "LC_MESSAGES" / "django.mo"
    if not file.exists():
        return
    content = file.read_bytes()
    order = "<" if content.startswith(b"\xde\x12\x04\x95") else ">"
    count, originals = struct.unpack_from(f"{order}2I", content, 8)
    for place in range(count):
        length, start = struct.unpack_from(f"{order}2I", content, originals + 8 * place)
        message = content[start : start + length].decode()
        if message and "\x04" not in message:
            one, _, many = message.partition("\0")
            yield one, many
