"""Say sentences of ours to a person: numbers as the language writes them, and sentences that come in English.

What is stored, logged or passed between processes is in English: the reason of a rejected row, why a job failed, what a
batch waits for. ``say`` finds such a sentence in the catalogue by its pattern, and returns it in the language of the
request. A sentence that no catalogue has, such as the words of a mail server, is returned as it is (decision 53).
"""

from __future__ import annotations

import re
import struct
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from functools import cache, lru_cache
from pathlib import Path

from django.conf import settings
from django.utils.formats import date_format, number_format
from django.utils.functional import lazy
from django.utils.safestring import SafeString
from django.utils.translation import get_language, gettext, ngettext

from batches.phrases import Moment, longest_first, say_count, say_phrase

_GAP = re.compile(r"%\((\w+)\)s|%%")
_SENTENCE_END = re.compile(r"(?<=[.!?]) (?=[A-Z\d])")
_NUMBER = re.compile(r"\d{1,3}(?:,\d{3})+")
_SIGN = re.compile(r" (?=\(.\)$)")
"""Before a sign in brackets, as in "a comma (,)"."""

_DAY = re.compile(
    r"\b\d{1,2} (?:January|February|March|April|May|June|July|August|September|October|November|December) \d{4}\b"
)
TEXT_MAX_CHARS, SENTENCES_MAX = 4_000, 20
"""What is longer is not looked for: it quotes somebody, and each sentence is compared with the whole catalogue."""
_LITERAL_MIN_LENGTH = 6
"""A pattern with fewer characters of its own would match what people have typed."""

_LOOSE, _STRICT = r".+?", r"(?:(?![.!?] [A-Z\d]).)+?"
"""What a gap may hold: anything, or no more than one sentence."""

_RELAY = re.compile(r"\brelay(?= %\((?P<gap>\w+)\)s)?")
_ONLY_RELAY = "default"
"""The name of the relay of a site that has only one. It says nothing to a reader."""

_ADDED = re.compile(r"(?<=\w)%\(\w+\)s(?=[:.])")
"""A gap for words that may be added to those before it, such as " in line 3"."""

_MARK = "\ufdd0%d\ufdd1"
"""Stands for a time while its sentence is translated. Unicode leaves these two code points to programs."""

_ANY_MARK = re.compile(_MARK.replace("%d", r"(\d)"))


def figure(number: float, *, decimals: int = 0) -> str:
    """Write a number as the language of the request does: 1,000 in English, 1.000 in German."""
    return number_format(number, decimal_pos=decimals, use_l10n=True, force_grouping=True)


def say(sentence: object) -> str:
    """Return an English sentence of ours, or several, in the language of the request.

    In English too: a page says "mail server" where the log says "relay". The catalogue ``locale/en`` has these. HTML
    stays as it is.
    """
    if isinstance(sentence, SafeString):
        return sentence
    text = str(sentence)
    is_ours = 0 < len(text) <= TEXT_MAX_CHARS
    return _say_in(get_language() or settings.LANGUAGE_CODE, text) if is_ours else text


say_lazy = lazy(say, str)
"""The same for a label that is shown later."""


def fill_moments(sentence: str, moments: Sequence[Moment], write: Callable[[Moment], str]) -> str:
    """Say a sentence in the language of the reader, with each time as ``write`` writes it."""
    return "".join(write(part) if isinstance(part, dict) else part for part in split_moments(sentence, moments))


def split_moments(sentence: str, moments: Sequence[Moment]) -> list[str | Moment]:
    """Translate a sentence, and return its text and its moments in their order."""
    sentence = _ANY_MARK.sub("", sentence)  # somebody typed it
    named = [moment for moment in longest_first(moments) if moment["words"] in sentence]
    for number, moment in enumerate(named):
        sentence = sentence.replace(moment["words"], _MARK % number, 1)
    parts = _ANY_MARK.split(say(sentence))  # text, number, text, number, ...
    return [named[int(part)] if place % 2 else part for place, part in enumerate(parts)]


def say_to_program(sentence: object) -> str:
    """Say a sentence to a caller of the API: in English it keeps the terms of the API, such as "merge field"."""
    is_english = (get_language() or settings.LANGUAGE_CODE) == settings.LANGUAGE_CODE
    return str(sentence) if is_english else say(sentence)


@lru_cache(maxsize=4096)
def _say_in(language: str, text: str) -> str:
    """Say a text as one sentence, else as several, else as one that quotes several, else as far as it is known."""
    if len(_SENTENCE_END.split(text)) > SENTENCES_MAX:
        return text
    said = _find(language, text) or _say_each(language, text) or _find(language, text, is_strict=False)
    if said is not None:
        return said
    parts = _SENTENCE_END.split(text)
    for count in range(len(parts) - 1, 0, -1):
        found = _find(language, " ".join(parts[:count]))
        if found is not None or count == 1:
            return f"{found or parts[0]} {_say_in(language, ' '.join(parts[count:]))}"
    return text


def _say_each(language: str, text: str) -> str | None:
    """Say sentences one after the other, the longest run that the catalogue has first. None: one is not known."""
    parts = _SENTENCE_END.split(text)
    for count in range(len(parts) - 1, 0, -1):
        found = _find(language, " ".join(parts[:count]))
        if found is not None:
            rest = " ".join(parts[count:])
            said = _find(language, rest) or _say_each(language, rest)
            return None if said is None else f"{found} {said}"
    return None


def _find(language: str, text: str, *, is_strict: bool = True) -> str | None:
    """Find a text in the catalogue of a language, else in that of plain English, which Django falls back to."""
    for code in dict.fromkeys((language, settings.LANGUAGE_CODE)):
        plain, patterns = _read_catalogue(code)
        if text in plain:
            return gettext(text)
        for pattern in patterns:
            expression = pattern.strict if is_strict else pattern.expression
            if pattern.may_match(text) and (match := expression.fullmatch(text)):
                return _fill(pattern, match.groupdict())
    return say_phrase(text)


@dataclass(frozen=True, kw_only=True, slots=True)
class Pattern:
    """A message of the catalogue that has gaps."""

    one: str
    many: str
    """The form for other numbers than 1. Empty for a message without number."""
    expression: re.Pattern[str]
    """Fits a text whose gaps hold anything."""
    strict: re.Pattern[str]
    """Fits a text of which no gap holds more than one sentence."""
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
    names = set(_GAP.findall(pattern.one + pattern.many)) - {""}
    said = {name: _say_value(values.get(name, "")) for name in names}
    number = values.get("count", "").replace(",", "")
    if pattern.many:
        count = int(number) if number.isdecimal() else 1
        sentence = ngettext(pattern.one, pattern.many, count) % {**said, "count": said.get("count") or "1"}
    else:
        sentence = gettext(pattern.one) % said
    return sentence if all(said.values()) else " ".join(sentence.split()).replace(" .", ".")


def _say_value(value: str) -> str:
    if value == _ONLY_RELAY:
        return ""
    if _NUMBER.fullmatch(value):
        return say_count(value)
    if " " in value:  # a part of a sentence, such as "a comma (,)". One word may be what somebody typed.
        value = say_phrase(value) or _say_part(value)
    return _DAY.sub(lambda day: date_format(_read_day(day[0]), "DATE_FORMAT"), value)


def _say_part(value: str) -> str:
    said = " ".join(map(say, _SIGN.split(value)))
    if said != value or value.endswith("."):
        return said
    whole = say(f"{value}.")  # a sentence to which another one has added something, after a comma
    return value if whole == f"{value}." else whole.removesuffix(".")


def _read_day(text: str) -> date:
    return datetime.strptime(text, "%d %B %Y").date()


def forget_catalogues() -> None:
    """Read the catalogues again: a test has changed LOCALE_PATHS."""
    _say_in.cache_clear()
    _read_catalogue.cache_clear()


def read_patterns(language: str) -> tuple[Pattern, ...]:
    """Return the messages with gaps that ``say`` looks for."""
    return _read_catalogue(language)[1]


@cache
def _read_catalogue(language: str) -> tuple[frozenset[str], tuple[Pattern, ...]]:
    """Return the messages without gaps, and those with gaps, the most telling ones first."""
    messages = [message for path in settings.LOCALE_PATHS for message in _read_messages(Path(path), language)]
    plain = frozenset(one for one, many in messages if not many and not _GAP.search(one))
    pairs = [
        (wording, one, many)
        for one, many in messages
        if many or _GAP.search(one)
        for form in dict.fromkeys((one, many or one))
        for wording in _find_wordings(form)
    ]
    patterns = (_compile(form, one, many) for form, one, many in pairs)
    usable = (pattern for pattern in patterns if pattern.length >= _LITERAL_MIN_LENGTH)
    return plain, tuple(sorted(usable, key=lambda pattern: -pattern.length))


def _find_wordings(form: str) -> Iterator[str]:
    """Yield a message, and how ``waiting`` words it for readers: with "mail server", and without the relay's name.

    And each of them without a gap that follows a word: it may be empty, as in ``can't be used%(where)s:``.
    """
    forms = [form]
    if _RELAY.search(form):
        forms += [_RELAY.sub("mail server", form), re.sub(r"\brelay %\(\w+\)s", "mail server", form)]
    yield from forms
    if _ADDED.search(form):
        yield from (_ADDED.sub("", each) for each in forms)


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
        expression += f"(?P={name})" if name in seen else f"(?P<{name}>{_LOOSE})"
        literals.append("")
        seen.add(name)
    return Pattern(
        one=one,
        many=many,
        expression=re.compile(expression, re.DOTALL),
        strict=re.compile(expression.replace(_LOOSE, _STRICT), re.DOTALL),
        literals=tuple(literals),
    )


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
