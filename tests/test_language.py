"""Plain English: idioms that make a native engineer read twice, and words that the glossary replaced, are not used.

``python -m tests.test_language`` prints each place that is left, folder by folder.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from pathlib import PurePath
from typing import NamedTuple

import pytest

from tests.project_files import PROJECT_DIR, list_files

SUFFIXES = {".py", ".sql", ".html", ".js", ".css", ".md", ".toml", ".yaml", ".yml", ".sh", ".txt", ".service", ""}
EXEMPT = re.compile(r"tests/data/|requirements/|LICENSE|tests/test_language\.py$|batches/migrations/000[1-5]_")
"""Other people's words, this list itself, and migrations, which name the columns as they were called then."""


class Idiom(NamedTuple):
    """A regular expression (spaces match line breaks too), what to write instead, and a sentence that it must catch."""

    pattern: str
    instead: str
    sample: str
    folder: str = ""
    """A part of the path, for a word that only these files must not use."""


VERBS = "is|are|was|were|has|have|had|may|can|cannot|must|might|would|will|could|does|do|did|needs?|knows?|comes?|goes"
SUBJECT = r"(?:a|an|the|its|their|our|no|each|every|what|whatever|who|one|some|that|this|these|those|it)"
IDIOMS = [
    Idiom(
        r"behind(?! (?:an?|the|its|our|your) (?:\S+ )?(?:proxy|proxies|load balancer))",
        "after (for order)",
        "the row behind it",
    ),
    Idiom("anew", "again", "It begins anew."),
    Idiom("mend(?:s|ed|ing|able)?", "fix, correct, corrected", "The row was mended."),
    Idiom("parted", "separated", "Columns are parted by tabs."),
    Idiom("of late", "recently", "It failed of late."),
    Idiom("who(?:m|so)?ever", "anyone who", "whoever has no session"),
    Idiom("in vain", "useless, without success", "It waited in vain."),
    Idiom("who (?:asks?|asked)", "the caller", "It is told who asks."),
    Idiom(r"(?:stands?|stood|standing)(?! for\b|-in\b|-by\b|alone)", "is, are, exists", "The rule stands below."),
    Idiom(
        f"(?<=,) for (?:they|he|she|we|(?:it|there|nobody|nothing|everybody) (?:{VERBS}))",
        "because",
        "Stop, for it is late.",
    ),
    Idiom(
        rf"(?<=,) for {SUBJECT} (?:(?!(?:that|which|who|whose|when|where|if|and|to)\b)[\w'`-]+ ){{1,4}}(?:{VERBS})",
        "because",
        "Forbidden, for a misspelt one must not be left out.",
    ),
    Idiom("should (?:it|they|he|she|one|there)|were (?:it|they)", "if", "It waits, should it fail."),
    Idiom("lest", "so that ... not", "It waits lest it fail."),
    Idiom("apart from (?:each |one an)other", "separate", "They run apart from each other."),
    Idiom("but for", "except", "All agree but for one."),
    Idiom("doorbells?|rings?|rung|rang|ringing", "work item, to enqueue", "lanes_to_ring"),
    Idiom(r"(?<!:\s)stretch(?:es)?", "row range", "TAKE_STRETCH"),
    Idiom(
        "(?:is|only|the|any|no|of)_fresh|fresh_(?!proof)[a-z_]+|fresh (?:emails?|tr(?:y|ies)|ones?)",
        "untried",
        "is_fresh",
    ),
    Idiom("AttemptOutcome|Outcome.RETURNED", "Outcome, REQUEUED", "Outcome.RETURNED"),
    Idiom("troubles?", "relay error, fault", "report_relay_trouble"),
    Idiom("held (?:lanes?|batch(?:es)?)|lanes? (?:is|are|was|were) held|was_held", "leased lane, draft", "a held lane"),
    Idiom("settl(?:e|es|ed|ing)", "record, close, resolve, end", "settle_seconds"),
    Idiom("suspect(?:s|ed)?", "possible duplicate", "the suspects", folder="intake"),
    Idiom(r"(?<![_-])(?<!work\s)horses?(?!_)", "work-horse", "the horse"),
    Idiom("sets? aside", "rejected, buffered", "rows set aside"),
    Idiom(
        "email_context|held_after_row|stretch_(?:after|end)_row", "the new name, see docs/glossary.md", "email_context"
    ),
    Idiom("seats?", "subscription", "find_seat"),
    Idiom("crowd(?:s|ed|ing)?", "too many connections", "the relay is crowded"),
    # "Next try at 16:20." is what pages say to people.
    Idiom(
        r"(?:first|second|third|next|last|each|one|every|another) (?:try(?! (?:at|on|tomorrow|\{))|tries)",
        "attempt",
        "the first try",
    ),
    Idiom("(?-i:In|Out) (?:come|go)(?:es|s)?", "the subject first", "In comes a file."),
    Idiom(r"(?<!above\s)all the same", "nevertheless", "It may fail all the same."),
    Idiom("in the mean(?!time|while|ing)", "on average", "It takes 3 s in the mean."),
    Idiom(
        r"(?:took|takes?|taken) (?:it|that|them|an?|the|one|two|living) (?:[\w-]+ ){0,3}for "
        r"(?:an?(?! moment| while| time| second| minute)|dead)",
        "treat as, presume",
        "It takes that for an outage.",
    ),
    Idiom("so (?:small|large|short|long) an?", "such a", "so small a write"),
    Idiom("suspects?(?! lane|_)", "may be the culprit", "the suspects", folder="delivery/policy.py"),
    Idiom("suspects?(?! lane|_)", "may be the culprit", "the suspects", folder="docs/decisions/"),
    Idiom("beside", "compared with", "one worker beside two", folder="docs/bench.md"),
    Idiom(
        "(?:giv(?:e|es|en|ing)|gave) (?:[a-z]+ ){0,3}back(?! as)",
        "release (a lane), requeue (an email), return (a rate token)",
        "It gives the lane back.",
        folder="batches/",
    ),
]
PATTERNS = [
    re.compile(rf"(?<![A-Za-z])(?:{idiom.pattern})(?![A-Za-z])".replace(" ", r"[\s#]+"), re.IGNORECASE)
    for idiom in IDIOMS
]


class Found(NamedTuple):
    path: str
    line: int
    words: str
    instead: str

    def __str__(self) -> str:
        return f"{self.path}:{self.line}: {self.words!r}: write {self.instead}"


def find_idioms(path: str, text: str) -> Iterator[Found]:
    for idiom, pattern in zip(IDIOMS, PATTERNS, strict=True):
        if idiom.folder in path:
            for match in pattern.finditer(text):
                yield Found(path, text.count("\n", 0, match.start()) + 1, match[0], idiom.instead)


def read_prose(path: str) -> str:
    """Read a file without its history: of the change log the newest version, of the glossary all but the last table."""
    text = (PROJECT_DIR / path).read_text(errors="replace")
    if path == "CHANGELOG.md":
        return "\n## ".join(text.split("\n## ")[:2])
    return text.split("\n## Words that were replaced")[0] if path == "docs/glossary.md" else text


def find_all() -> Iterator[Found]:
    for path in list_files():
        if PurePath(path).suffix in SUFFIXES and not EXEMPT.search(path):
            yield from find_idioms(path, read_prose(path))


def test_no_idiom_is_used() -> None:
    assert [str(found) for found in find_all()] == []


@pytest.mark.parametrize("idiom", IDIOMS, ids=lambda idiom: idiom.sample)
def test_idiom_is_found_when_a_sentence_has_it(idiom: Idiom) -> None:
    found = list(find_idioms(idiom.folder or "docs/page.md", f"One.\n{idiom.sample}\n"))
    assert [(each.line, each.instead) for each in found] == [(2, idiom.instead)]


def test_idiom_is_found_when_a_line_break_divides_it() -> None:
    assert [each.words for each in find_idioms("a.py", "# It failed of\n# late.")] == ["of\n# late"]


@pytest.mark.parametrize(
    "sentence",
    [
        "Run the server behind a proxy, or behind its load balancer.",
        "A string, a standard stand-in that stands for one relay, and the latest lesson.",
        "It sorts the list, for example by row, for the caller that is away, and for each of the lanes.",
        "align-items: stretch; a fresh machine; spring; it should be amended; an offspring; the lane tries again.",
        "What goes in comes out, above all the same key; it takes 9 ms for a message, and the lock for a moment.",
    ],
)
def test_nothing_is_found_when_a_sentence_is_plain(sentence: str) -> None:
    assert list(find_idioms("docs/intake.md", sentence)) == []


@pytest.mark.parametrize(
    ("path", "sentence"),
    [
        ("docs/decisions/0003.md", "The sweep reaps a suspect lane, which SUSPECT_LANES found."),
        ("batches/intake/uploads.py", "Store the file of a draft, and give it back as a file."),
        ("docs/chaos.md", "Two workers ran beside a third."),
    ],
)
def test_nothing_is_found_when_the_word_is_right_there(path: str, sentence: str) -> None:
    assert list(find_idioms(path, sentence)) == []


if __name__ == "__main__":
    everything = list(find_all())
    for count_path, count in sorted(Counter(str(PurePath(each.path).parent) for each in everything).items()):
        print(f"{count:5} {count_path}")  # noqa: T201
    print(*everything, sep="\n")  # noqa: T201
