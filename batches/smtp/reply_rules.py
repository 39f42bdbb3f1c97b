"""The reply rules: a TOML file enters, checked rules leave, and each fault is a sentence with its line.

docs/replies.md says how a rule is written. What the rules are applied to is in meanings.py.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from batches.outcomes import ReplyMeaning
from batches.smtp import reply_patterns
from batches.smtp.stages import Stage
from batches.smtp.stated_waits import WAIT_MAX_SECONDS, WAIT_MIN_SECONDS

STAGES: dict[str, tuple[Stage, ...]] = {
    "connect": (Stage.CONNECT,),
    "login": (Stage.LOGIN,),
    "rset": (Stage.CLEAR,),
    "mail": (Stage.MAIL,),
    "rcpt": (Stage.RCPT,),
    "data": (Stage.DATA,),
    "message": (Stage.FINAL,),
}
"""The stages as a rule names them."""

OF_ONE_EMAIL = frozenset({Stage.RCPT, Stage.DATA, Stage.FINAL})
"""The stages whose replies may be about one email alone."""

CHARGED = frozenset({ReplyMeaning.RECIPIENT, ReplyMeaning.CONTENT})
"""The meanings that cost the recipient an attempt."""

FILE_MAX_CHARS = 1_000_000

UNIT_SECONDS = {"s": 1, "m": 60, "h": 3600}

_KEYS = {"stage", "code", "enhanced", "pattern", "meaning", "wait", "may_be_one_recipient", "note"}
_CODE = re.compile(r"[45](?:\d\d|\dx|xx)", re.ASCII)
_ENHANCED = re.compile(r"[245](?:\.(?:x|\d{1,3}|\d{1,2}x{1,2})){2}", re.ASCII)
_WAIT = re.compile(r"(\d{1,5}) ?([smh])", re.ASCII)
_RULE_LINE = re.compile(r"\s*\[\[\s*rule\s*\]\]")


class RuleError(ValueError):
    """A file of rules cannot be used. The message is a sentence that names the file and the line."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Rule:
    """One rule. A condition that is empty or None holds for every reply."""

    stages: frozenset[Stage]
    codes: frozenset[int]
    enhanced: re.Pattern[str] | None
    pattern: re.Pattern[str] | None
    """For text in small letters."""
    meaning: ReplyMeaning
    wait_seconds: float | None
    """None: as long as the back-off of the relay pause says."""
    may_be_one_recipient: bool
    """The words are the same if the relay refuses everybody and if it refuses one recipient. The breaker decides."""
    note: str
    place: str
    """The file and the line, for people."""

    def names(self, stage: Stage, code: int, enhanced: str) -> bool:
        """Whether everything but the words fits. An enhanced code that is not there is the empty string."""
        if stage not in self.stages or (self.codes and code not in self.codes):
            return False
        return self.enhanced is None or self.enhanced.fullmatch(enhanced) is not None


def read_rules(path: Path, *, name: str = "") -> list[Rule]:
    """Read a file of rules. Sentences call it ``name``, or by its path.

    Raises:
        RuleError: the file cannot be read, or a rule in it cannot be used.
    """
    try:
        with path.open(encoding="utf-8-sig") as file:  # an editor of Windows may begin it with a byte order mark
            text = file.read(FILE_MAX_CHARS + 1)
    except OSError as exc:
        raise RuleError(
            f"The reply rules in {path} can't be read: {exc.strerror}. Correct the path or its rights."
        ) from exc
    except UnicodeDecodeError as exc:
        raise RuleError(f"The reply rules in {path} can't be read: the file is not UTF-8. Save it as UTF-8.") from exc
    if len(text) > FILE_MAX_CHARS:
        raise RuleError(f"The reply rules in {path} have more than {FILE_MAX_CHARS} characters. Remove rules.")
    return parse_rules(text, name=name or str(path))


def parse_rules(text: str, *, name: str) -> list[Rule]:
    """Read the text of a file of rules. ``name`` is the file's, for sentences.

    Raises:
        RuleError: the text is not TOML, or a rule in it cannot be used.
    """
    try:
        tables = tomllib.loads(text)
    except (ValueError, RecursionError) as exc:  # the message of TOMLDecodeError ends in the line
        raise RuleError(f"{name} is not TOML: {exc}. Correct that place.") from exc
    if unknown := set(tables) - {"rule"}:
        raise RuleError(f"{name} has {_quote(sorted(unknown))}, which is no rule. Begin each rule with [[rule]].")
    rules = tables.get("rule", [])
    if not isinstance(rules, list) or not all(isinstance(table, dict) for table in rules):
        raise RuleError(f"{name} has rules that are not tables. Begin each rule with [[rule]].")
    return [_make_rule(table, place) for table, place in zip(rules, _places(text, name), strict=False)]


def _places(text: str, name: str) -> Iterator[str]:
    """Yield the file and the line of each rule: TOML's reader does not say them."""
    for number, line in enumerate(text.splitlines(), start=1):
        if _RULE_LINE.match(line):
            yield f"{name}, line {number}"
    while True:  # a rule that is written in a way that the line above does not know
        yield name


def _make_rule(table: Mapping[str, Any], place: str) -> Rule:
    try:
        return _read_rule(table, place)
    except ValueError as exc:
        raise RuleError(f"{place}: {exc}") from exc


def _read_rule(table: Mapping[str, Any], place: str) -> Rule:
    if unknown := sorted(set(table) - _KEYS):
        raise ValueError(f"{_quote(unknown)} is unknown. A rule may have {', '.join(sorted(_KEYS))}.")
    if not {"code", "enhanced", "pattern"} & set(table):
        raise ValueError("the rule fits every reply. Give it a code, an enhanced code or a pattern.")
    if table.get("meaning") not in ReplyMeaning.values:
        raise ValueError(f"meaning is {table.get('meaning')!r}. Set it to one of {', '.join(ReplyMeaning.values)}.")
    meaning = ReplyMeaning(table["meaning"])
    rule = Rule(
        stages=_read_stages(_strings(table, "stage"), meaning),
        codes=_read_codes(_strings(table, "code")),
        enhanced=_read_enhanced(_strings(table, "enhanced")),
        pattern=_read_pattern(table.get("pattern")),
        meaning=meaning,
        wait_seconds=_read_wait(table.get("wait")),
        may_be_one_recipient=_read_flag(table.get("may_be_one_recipient", False)),
        note=" ".join(_strings(table, "note")),
        place=place,
    )
    _refuse_contradiction(rule, has_wait="wait" in table)
    return rule


def _refuse_contradiction(rule: Rule, *, has_wait: bool) -> None:
    if rule.meaning not in CHARGED:
        if rule.may_be_one_recipient and not rule.stages & OF_ONE_EMAIL:
            raise ValueError("may_be_one_recipient needs one of the stages rcpt, data and message.")
        return
    if has_wait or rule.may_be_one_recipient:
        raise ValueError(
            f"a rule of meaning {rule.meaning.value} has no wait and no may_be_one_recipient. Remove them."
        )
    if rule.stages - OF_ONE_EMAIL - {Stage.MAIL}:
        raise ValueError(f"meaning {rule.meaning.value} needs the stages mail, rcpt, data or message.")
    if Stage.MAIL in rule.stages and not (rule.codes and min(rule.codes) >= 500):
        # MAIL names no recipient, so a temporary refusal there is about us or the relay.
        raise ValueError(f'meaning {rule.meaning.value} at the stage mail needs codes from 500. Add code = "5xx".')


def _strings(table: Mapping[str, Any], key: str) -> list[str]:
    """Return a value, or a list of them, as a list. A code may be written as a number."""
    value = table.get(key, [])
    if value == [] and key in table:  # it would fit every reply
        raise ValueError(f"{key} is an empty list. Write a value, or remove {key}.")
    values = value if isinstance(value, list) else [value]
    if not all(isinstance(each, str) or type(each) is int for each in values):
        raise ValueError(f"{key} is {value!r}. Write it as text, or as a list of texts.")
    return [str(each) for each in values]


def _read_stages(names: Sequence[str], meaning: ReplyMeaning) -> frozenset[Stage]:
    if wrong := [name for name in names if name not in STAGES]:
        raise ValueError(f"stage is {_quote(wrong)}. Set it to one or more of {', '.join(STAGES)}.")
    if not names:
        return OF_ONE_EMAIL if meaning in CHARGED else frozenset(Stage)
    return frozenset(stage for name in names for stage in STAGES[name])


def _read_codes(codes: Sequence[str]) -> frozenset[int]:
    if wrong := [code for code in codes if not _CODE.fullmatch(code)]:
        raise ValueError(f"code is {_quote(wrong)}. Write 550, 45x or 5xx: a refusal begins with 4 or 5.")
    patterns = [re.compile(code.replace("x", r"\d")) for code in codes]
    return frozenset(code for code in range(400, 600) if any(each.fullmatch(str(code)) for each in patterns))


def _read_enhanced(codes: Sequence[str]) -> re.Pattern[str] | None:
    if wrong := [code for code in codes if not _ENHANCED.fullmatch(code)]:
        raise ValueError(f"enhanced is {_quote(wrong)}. Write 5.7.1, 5.7.x or 4.7.5xx.")
    parts = [[r"\d+" if part == "x" else part.replace("x", r"\d") for part in code.split(".")] for code in codes]
    return re.compile("|".join(r"\.".join(each) for each in parts)) if codes else None


def _read_pattern(pattern: Any) -> re.Pattern[str] | None:
    if pattern is None:
        return None
    if not isinstance(pattern, str):
        raise ValueError(f"pattern is {pattern!r}. Write a regular expression in single quotation marks.")
    return reply_patterns.compile_pattern(pattern)


def _read_wait(wait: Any) -> float | None:
    if wait is None:
        return None
    found = _WAIT.fullmatch(wait) if isinstance(wait, str) else None
    seconds = int(found[1]) * UNIT_SECONDS[found[2]] if found else 0
    if not WAIT_MIN_SECONDS <= seconds <= WAIT_MAX_SECONDS:
        raise ValueError(f"wait is {wait!r}. Write 60s, 15m or 24h: from one second to 24 hours.")
    return float(seconds)


def _read_flag(value: Any) -> bool:
    if not isinstance(value, bool):
        raise ValueError(f"may_be_one_recipient is {value!r}. Set it to true or false.")
    return value


def _quote(words: Sequence[str]) -> str:
    return ", ".join(repr(word) for word in words)
