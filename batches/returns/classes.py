"""What a bounce means for the next mail to the same address: its enhanced status and its words enter, a class leaves.

The rules are data, in return_classes.toml. The first one that fits wins. They hold for a report that comes back and for
a refusal in the SMTP session alike.
"""

from __future__ import annotations

import re
import tomllib
from functools import cache, lru_cache
from pathlib import Path
from typing import NamedTuple

from batches.models import ReturnClass
from batches.smtp.meanings import read_reply
from batches.smtp.reply_patterns import compile_pattern

RULES = Path(__file__).with_name("return_classes.toml")

TEXT_MAX_CHARS = 1_000
"""How much of a text is compared with the rules. What a server says is shorter."""

_STATUS = re.compile(r"(?:\d|x)\.(?:\d{1,3}|x)\.(?:\d{1,3}|x)", re.ASCII)
_CODE = re.compile(r"\b([45]\d\d)[ -]")
_CONTINUED = re.compile(r"(?<!\S)([45]\d\d)-(?=[^\W\d])")
"""The code of a line that another follows. With the first word it would be taken for an id."""


class ClassRule(NamedTuple):
    """One rule of the file. Empty ``statuses``: any status. No ``pattern``: any words."""

    return_class: ReturnClass
    statuses: frozenset[str]
    pattern: re.Pattern[str] | None

    def fits(self, status: str, words: str) -> bool:
        if self.statuses and self.statuses.isdisjoint(_widen(status)):
            return False
        return self.pattern is None or self.pattern.search(words) is not None


def classify(status: str, text: str) -> ReturnClass:
    """Return the class of a bounce.

    Args:
        status: The enhanced status (RFC 3463) as 5.1.1, or nothing: then the text may have one.
        text: What the server said, in any language. Addresses in it decide nothing.
    """
    text = _CONTINUED.sub(r"\1 ", text[:TEXT_MAX_CHARS])
    code = _CODE.search(text)
    reply = read_reply(int(code[1]) if code else 500, text)
    # A report may say 5.0.0 where the text has the server's own status.
    if not status or status.endswith(".0.0"):
        status = reply.enhanced or status or (f"{code[1][0]}.0.0" if code else "")
    return _find(status, reply.words.lower())


@lru_cache(maxsize=2_048)
def _find(status: str, words: str) -> ReturnClass:
    """Return the class of the first rule that fits. Without addresses and ids, servers say few different things."""
    for rule in _read_rules():
        if rule.fits(status, words):
            return rule.return_class
    return ReturnClass.OTHER


def find_status(text: str) -> str:
    """Return the enhanced status in a reply that begins with its code, as ``550 5.1.1 unknown``. Empty: none."""
    code = _CODE.match(text)
    return read_reply(int(code[1]) if code else 500, text[4:] if code else text).enhanced


def _widen(status: str) -> tuple[str, ...]:
    """Return the forms by which a rule may name a status: 5.1.1, x.1.1, 5.1.x, x.1.x and 5.x.x."""
    parts = status.split(".")
    if len(parts) != 3:
        return ()
    kind, subject, detail = parts
    return (status, f"x.{subject}.{detail}", f"{kind}.{subject}.x", f"x.{subject}.x", f"{kind}.x.x")


@cache
def _read_rules() -> tuple[ClassRule, ...]:
    tables = tomllib.loads(RULES.read_text(encoding="utf-8"))["rule"]
    return tuple(_make_rule(table) for table in tables)


def _make_rule(table: dict[str, object]) -> ClassRule:
    """Make a rule. The file is the program's own, so a fault in it is a bug.

    Raises:
        ValueError, KeyError: it has one.
    """
    statuses, pattern = table.get("status", []), table.get("pattern")
    if not isinstance(statuses, list) or not all(_STATUS.fullmatch(str(status)) for status in statuses):
        raise ValueError(f"status is no list of statuses: {statuses}. Write it as ['5.1.1', 'x.2.2'].")
    if table.keys() - {"class", "status", "pattern", "note"}:
        raise ValueError(f"a rule has a key that is not known: {sorted(table)}. Write class, status, pattern, note.")
    return ClassRule(
        ReturnClass(str(table["class"])),
        frozenset(map(str, statuses)),
        compile_pattern(str(pattern)) if pattern else None,
    )
