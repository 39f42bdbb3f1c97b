"""What a refusal is about: the relay's reply enters, and the rule that names it leaves, with the time to wait.

The rules are the program's own, in reply_rules.toml, and before them a site's, in the file that SEND_REPLY_RULES names.
The first rule that fits wins. Nothing here is loaded or called for a message that the relay accepts.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from django.conf import settings

from batches.smtp.reply_rules import Rule, RuleError, read_rules
from batches.smtp.stages import Stage
from batches.smtp.stated_waits import find_stated_wait, read_wait

logger = logging.getLogger(__name__)

OWN_RULES = Path(__file__).with_name("reply_rules.toml")

REMEMBERED_MAX = 512
"""How many texts are remembered with their rule. Without addresses and ids, a relay says few different things."""

# It begins at the beginning of a word, so that a long word is read once and not once for each of its characters.
_ADDRESS = re.compile(r"(?<![^\s<>()\[\],;:\"'])[^\s<>()\[\],;:\"'@]*@[^\s<>()\[\],;:\"']*")
_URL = re.compile(r"https?://([^\s/<>?#]*)\S*", re.IGNORECASE)
_ID = re.compile(r"(?<![\w.-])(?=[a-z._-]*\d)[\w.-]{10,}", re.IGNORECASE)
_FIRST_ENHANCED = re.compile(r"[#(\[]{0,2}([245]\.\d{1,3}\.\d{1,3})(?![.\d])")
_ANY_ENHANCED = re.compile(r"(?<![.\d])([245]\.\d{1,3}\.\d{1,3})(?![.\d])")


class ReadReply(NamedTuple):
    """A reply's text as the rules read it."""

    enhanced: str
    """The enhanced code (RFC 3463), or the empty string."""
    words: str
    """The text without addresses, paths of URLs, long ids and the enhanced code, so that neither the name of a
    recipient, such as quota@example.org, nor that of a help page decides anything."""


class Found(NamedTuple):
    """The rule that names a reply, and how long to wait. None: as long as the back-off of the relay pause says."""

    rule: Rule
    wait_seconds: float | None


def read_reply(code: int, text: str) -> ReadReply:
    """Take a reply's text apart. A relay may repeat the enhanced code in each line of a reply."""
    if "://" in text:
        text = _URL.sub(r"\1", text)
    if "@" in text:
        text = _ADDRESS.sub("*", text)
    found = _FIRST_ENHANCED.match(text)
    if found is None:
        found = next((each for each in _ANY_ENHANCED.finditer(text) if each[1][0] == str(code)[0]), None)
    if found is None:
        return ReadReply("", " ".join(_ID.sub("*", text).split()))
    text = text[: found.start()] + text[found.end() :]
    if found[1] in text:
        text = text.replace(f"{found[1]} ", "")
    return ReadReply(found[1], " ".join(_ID.sub("*", text).split()))


class Rules:
    """All rules in their order."""

    def __init__(self, rules: Sequence[Rule]) -> None:
        self.rules = tuple(rules)
        # Most rules can be left out by the stage and the codes, before any of their expressions is tried.
        self._candidates: dict[tuple[Stage, int, str], tuple[Rule, ...]] = {}
        self._remembered: dict[tuple[Stage, int, ReadReply], Rule | None] = {}

    def find(self, stage: Stage, code: int, text: str) -> Found | None:
        """Return the first rule that fits this reply, or None."""
        reply = read_reply(code, text)
        key = (stage, code, reply)
        try:
            rule = self._remembered[key]
        except KeyError:
            if len(self._remembered) >= REMEMBERED_MAX:
                self._remembered.clear()
            rule = self._remembered[key] = self._search(stage, code, reply)
        return None if rule is None else Found(rule, _find_wait(rule, reply.words, text))

    def _search(self, stage: Stage, code: int, reply: ReadReply) -> Rule | None:
        key = (stage, code, reply.enhanced)
        candidates = self._candidates.get(key)
        if candidates is None:
            if len(self._candidates) >= REMEMBERED_MAX:
                self._candidates.clear()
            candidates = tuple(rule for rule in self.rules if rule.names(*key))
            self._candidates[key] = candidates
        words = reply.words.lower()
        for rule in candidates:
            if rule.pattern is None or rule.pattern.search(words):
                return rule
        return None


def _find_wait(rule: Rule, words: str, text: str) -> float | None:
    """Return the wait that the reply states in the groups of the rule's pattern, or anywhere; else the rule's own."""
    if (
        rule.pattern is not None
        and "number" in rule.pattern.groupindex
        and (found := rule.pattern.search(words.lower()))
    ):
        return read_wait(found["number"], found["unit"]) or rule.wait_seconds
    return find_stated_wait(text) or rule.wait_seconds


class _Current:
    """The rules of this process. A work-horse inherits its worker's."""

    rules: Rules | None = None
    site_stamp: tuple[str, int, int] | None = None
    """The site's file as it was read last: its name, its time of change and its size."""


def current_rules() -> Rules:
    """Return the rules in force. The first call reads them."""
    if _Current.rules is None:
        refresh()
    assert _Current.rules is not None  # noqa: S101  (for mypy: refresh sets it)
    return _Current.rules


def refresh() -> None:
    """Read the rules, unless they are as they were read last. A site's file with a fault changes nothing.

    The worker calls it at its start and before each work item.
    """
    stamp = _stamp(settings.SEND_REPLY_RULES)
    if _Current.rules is not None and stamp == _Current.site_stamp:
        return
    _Current.site_stamp = stamp
    try:
        _Current.rules = load_rules()
    except RuleError as exc:
        kept = (
            "The rules that were read before stay in force."
            if _Current.rules
            else "Only the program's own are in force."
        )
        logger.error("%s %s", exc, kept, extra={"action": "keep_reply_rules"})
        _Current.rules = _Current.rules or Rules(read_own_rules())


def load_rules() -> Rules:
    """Read the site's rules and the program's own, in this order.

    Raises:
        RuleError: a file has a fault. The program's own has none, because a test reads it.
    """
    site = settings.SEND_REPLY_RULES
    return Rules([*(read_rules(Path(site)) if site else ()), *read_own_rules()])


def read_own_rules() -> list[Rule]:
    """Read the program's own rules."""
    return read_rules(OWN_RULES, name=OWN_RULES.name)


def _stamp(path: str) -> tuple[str, int, int]:
    try:
        status = Path(path).stat() if path else None
    except OSError:
        status = None
    return (path, status.st_mtime_ns, status.st_size) if status else (path, 0, 0)
