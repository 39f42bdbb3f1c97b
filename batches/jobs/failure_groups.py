"""Group the failed emails of a batch by what the mail server said, and by the domain of their addresses.

A batch enters. Groups leave, or the ids of the emails of one group. Two replies are alike if they differ only in
addresses, numbers and the ids that servers write into them.

The page looks at a bounded number of failures. What acts on a group, a replay or a download, looks at all of them.
"""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

from django.contrib.humanize.templatetags.humanize import intcomma
from django.db import connection
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, gettext_noop

from batches.jobs.lifecycle import JobRefused
from batches.models import Batch, BatchStatus, EmailQuerySet, EmailStatus, sql

LOOKED_AT_MAX = 10_000
"""So many failures are looked at for the page, so that its cost has a bound."""

SHOWN_GROUPS = 8
SHOWN_DOMAINS = 3
READ_MAX_CHARS = 500
WORDS_MAX_CHARS = 200
KEY_CHARS = 16

ANY_ADDRESS = "somebody@example.org"

NO_GROUP = gettext_lazy("No failed email of this batch has this answer now. Look at the page again.")

GONE = "…"
"""What is left of an address, a number or an id."""

_CHANGING = re.compile(
    r"""
      (?P<kept>(?<![\w.])[245]\.\d{1,3}\.\d{1,3}(?![\w.]*\w))  # an enhanced status code (RFC 3463) stays
    | \bhttps?://\S+
    | <?[^\s<>@"'(),;:]+@[\w.-]+\w>?                           # an address
    | \[?(?P<word>[\w.+/=:-]+)\]?                              # a word: a number or an id, if it has a digit
    """,
    re.VERBOSE | re.IGNORECASE,
)
_REPEATED = re.compile(rf"{GONE}(?:[\s()\[\]<>,;:-]*{GONE})+")


class Failed(NamedTuple):
    """What a group is made of: one failed email."""

    id: int
    address: str
    code: int | None
    reply: str

    @property
    def domain(self) -> str:
        return self.address.rpartition("@")[2]

    @property
    def words(self) -> str:
        # Most servers repeat the address. Without it, most replies are equal, and each is worked out once.
        return say_alike(self.code, self.reply.replace(self.address, ANY_ADDRESS) if self.address else self.reply)


@dataclass(frozen=True, kw_only=True, slots=True)
class FailureChoice:
    """A group of failures that a person has chosen, or the part of it at one domain."""

    key: str
    """Of the words, in hex."""
    words: str
    domain: str = ""
    """Empty: all domains."""

    @property
    def label(self) -> str:
        """``550 no such user, at example.com``. It is stored with the job, so it is in English (``say``)."""
        if not self.domain:
            return self.words
        return gettext_noop("%(words)s, at %(domain)s") % {"words": self.words, "domain": self.domain}

    def has(self, failed: Failed) -> bool:
        return find_key(failed.words) == self.key and self.domain in ("", failed.domain)


@dataclass(frozen=True, kw_only=True, slots=True)
class FailureGroup:
    """Failures with the same reply."""

    key: str
    words: str
    count: int
    domains: list[tuple[str, int]]
    """The domains with the most failures, and how many each has."""
    other_domain_count: int
    """How many failures are at other domains."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Failures:
    """The failures of a batch, grouped."""

    groups: list[FailureGroup]
    other_count: int
    """How many failures are in groups that are not shown."""
    looked_at: int
    is_partial: bool
    """Whether there are more failures than were looked at."""

    @property
    def scope(self) -> str:
        """Say of how many failures the counts are, if it is not all of them."""
        return _say_scope(self.looked_at) if self.is_partial else ""


@dataclass(frozen=True, kw_only=True, slots=True)
class FoundGroup:
    """One group among the failures that were looked at."""

    choice: FailureChoice
    ids: list[int]
    """Of its emails."""
    looked_at: int
    is_partial: bool
    """Whether there are more failures than were looked at."""

    @property
    def scope(self) -> str:
        """Say of how many failures it is, if that is not all of them."""
        return _say_scope(self.looked_at) if self.is_partial else ""


def _say_scope(count: int) -> str:
    return _("Of the first %(count)s failures.") % {"count": intcomma(count)}


@lru_cache(maxsize=16_384)  # more than a page looks at: a second look finds each reply
def say_alike(code: int | None, reply: str) -> str:
    """Return a reply without what differs between recipients, after its code."""
    words = _CHANGING.sub(_keep, " ".join(reply[:READ_MAX_CHARS].split()).removeprefix(f"{code} "))
    words = _REPEATED.sub(GONE, words)
    return f"{code or ''} {words}".strip()[:WORDS_MAX_CHARS]


def _keep(found: re.Match[str]) -> str:
    """Return a word as it is if it has no digit, and GONE for whatever differs between recipients."""
    if found["kept"]:
        return found["kept"]
    word = found["word"]
    return found[0] if word and not any(map(str.isdigit, word)) else GONE


def find_key(words: str) -> str:
    """Return the key of a group, by which addresses and approvals name it."""
    return hashlib.sha256(words.encode()).hexdigest()[:KEY_CHARS]


def group_failures(batch: Batch, count: int) -> Failures:
    """Group the first LOOKED_AT_MAX failures of a batch. The groups with the most failures come first.

    Args:
        count: How many failures the snapshot counts. It decides whether the few that attempts tell of are all.
    """
    found = _read_some(batch, count)
    looked_at = found[:LOOKED_AT_MAX]
    domains: dict[str, Counter[str]] = {}
    for failed in looked_at:
        domains.setdefault(failed.words, Counter())[failed.domain] += 1
    ordered = sorted(domains, key=lambda words: (-domains[words].total(), words))
    groups = [_make_group(words, domains[words]) for words in ordered[:SHOWN_GROUPS]]
    return Failures(
        groups=groups,
        other_count=len(looked_at) - sum(group.count for group in groups),
        looked_at=len(looked_at),
        is_partial=len(found) > LOOKED_AT_MAX,
    )


def _make_group(words: str, domains: Counter[str]) -> FailureGroup:
    named = [(domain, count) for domain, count in domains.most_common(SHOWN_DOMAINS) if domain]
    return FailureGroup(
        key=find_key(words),
        words=words,
        count=domains.total(),
        domains=named,
        other_domain_count=domains.total() - sum(count for _domain, count in named),
    )


def find_group(batch: Batch, key: str, *, domain: str = "", count: int) -> FoundGroup:
    """Find the group that a key names, among the first LOOKED_AT_MAX failures of a batch.

    Args:
        count: as in ``group_failures``.

    Raises:
        JobRefused: None of them is of this group now.
    """
    found = _read_some(batch, count)
    looked_at = found[:LOOKED_AT_MAX]
    of_group = [failed for failed in looked_at if find_key(failed.words) == key and domain in ("", failed.domain)]
    if not of_group:
        raise JobRefused(str(NO_GROUP))
    return FoundGroup(
        choice=FailureChoice(key=key, words=of_group[0].words, domain=domain),
        ids=[failed.id for failed in of_group],
        looked_at=len(looked_at),
        is_partial=len(found) > LOOKED_AT_MAX,
    )


def find_choice(batch: Batch, key: str, *, domain: str = "") -> FailureChoice:
    """Find the group that a key names, among all failures of a batch.

    Raises:
        JobRefused: No failure of the batch is of this group now.
    """
    for failed in _read_all(batch):
        words = failed.words
        if find_key(words) == key and domain in ("", failed.domain):
            return FailureChoice(key=key, words=words, domain=domain)
    raise JobRefused(str(NO_GROUP))


def filter_chosen(emails: EmailQuerySet, batch: Batch, choice: FailureChoice) -> EmailQuerySet:
    """Keep only the emails of a group. Looks at all failures of the batch: some seconds if there are a million."""
    ids = [failed.id for failed in _read_all(batch) if choice.has(failed)]
    chosen: EmailQuerySet = emails.extra(where=["batches_email.id = ANY(%s)"], params=[ids])  # type: ignore[assignment]
    return chosen


def _read_some(batch: Batch, count: int) -> list[Failed]:
    """Read one failure more than is looked at. By the attempts if those tell of enough, otherwise by the list.

    The list has no index of failures: three among millions would be found by reading all.
    """
    wanted = LOOKED_AT_MAX + 1
    found = _read_by_attempts(batch, wanted)
    if len(found) >= min(count, wanted):
        return found
    return list(map(Failed._make, _failed_emails(batch).values_list(*Failed._fields)[:wanted]))


def _read_by_attempts(batch: Batch, limit: int) -> list[Failed]:
    with connection.cursor() as cursor:
        cursor.execute(sql.SOME_FAILED, {"batch": batch.pk, "limit": limit})
        return [Failed._make(row) for row in cursor.fetchall()]


def _read_all(batch: Batch) -> Iterator[Failed]:
    """Read all failures of a batch. The count of an ended batch tells whether attempts have told of all of them."""
    is_over = batch.status in (BatchStatus.COMPLETED, BatchStatus.FAILED, BatchStatus.CANCELLED)
    if is_over and 0 < batch.failed_count <= LOOKED_AT_MAX:
        found = _read_by_attempts(batch, LOOKED_AT_MAX)
        if len(found) >= batch.failed_count:
            yield from found
            return
    rows = _failed_emails(batch).values_list(*Failed._fields).iterator(chunk_size=5_000)
    yield from map(Failed._make, rows)


def _failed_emails(batch: Batch) -> EmailQuerySet:
    """The failed emails of a batch in the order of the list. What an erased person's server said is not kept."""
    emails: EmailQuerySet = batch.emails.in_state(EmailStatus.FAILED)
    return emails.order_by("row")
