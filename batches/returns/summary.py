"""Say what came back of a batch: the counts in one sentence, the reports of each email, and a warning for the sender.

Ids enter. Sentences and rows leave, for pages, the API and exports. A refusal in the SMTP session is no report: its
email failed, and has its own reply.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Mapping
from pathlib import Path
from typing import NamedTuple

from django.db.models import F, QuerySet, Window
from django.db.models.functions import RowNumber

from batches.models import EmailQuerySet, EmailState, Return, ReturnClass, ReturnKind
from batches.models.sql import Statement, load
from batches.returns.sql import fetch

REPORTED_KINDS = (ReturnKind.BOUNCED, ReturnKind.COMPLAINED, ReturnKind.AUTO_REPLY)
"""What came back after a relay had taken the message."""

SENDERS_CLASSES = (ReturnClass.BLOCKED, ReturnClass.CONTENT)
"""The classes that say something about the sender or the content, and nothing about the address."""

NAMED_DOMAINS = 2
"""So many domains are named, those with the most emails. The others are counted."""

READ_PER_KIND = 10
"""So many reports of each kind are read about one email, the newest. A mailbox may answer any number of times."""

WARNED_DAYS = 7
"""For how long a sender is warned of what receivers refused."""

_COUNTED = {
    ReturnClass.GONE: "{count} gone",
    ReturnClass.FULL: "{count} full",
    ReturnClass.BLOCKED: "{count} blocked by {domains}",
    ReturnClass.CONTENT: "{count} refused for the content by {domains}",
    ReturnClass.PASSING: "{count} not delivered in time",
    ReturnClass.OTHER: "{count} for another reason",
}


class ReturnCount(NamedTuple):
    """How many emails came back with one class from one domain."""

    return_class: str
    domain: str
    email_count: int


_statements = load(Path(__file__).with_name("summary.sql"))
COUNT_RETURNS = Statement(_statements["COUNT_RETURNS"], ReturnCount)
COUNT_REFUSALS = Statement(_statements["COUNT_REFUSALS"], ReturnCount)


class ReturnSummary(NamedTuple):
    """What came back of a batch, in words."""

    sentence: str
    """``61 came back: 48 gone, 9 full, 4 blocked by example.com. 2 complained.`` Empty if nothing did."""
    warning: str
    """What the sender has to do about it. Empty if it is about addresses alone."""


NOTHING = ReturnSummary("", "")


def summarise(batch_id: int, *, returned: int, complained: int) -> ReturnSummary:
    """Say what came back of a batch. Without a count, no statement is run."""
    if not returned and not complained:
        return NOTHING
    counts = fetch(COUNT_RETURNS, {"batch": batch_id, "kind": ReturnKind.BOUNCED}) if returned else []
    sentences = [say_counts(counts)] if counts else []
    if complained:
        sentences.append(f"{complained:,} complained.")
    return ReturnSummary(" ".join(sentences), _warn(counts))


def say_counts(counts: Iterable[ReturnCount]) -> str:
    """Say how many emails came back, and how many of each class: ``"61 came back: 48 gone, 9 full."``"""
    domains = _group(counts)
    parts = [
        words.format(count=f"{domains[kind].total():,}", domains=_say_domains(domains[kind]))
        for kind, words in _COUNTED.items()
        if domains[kind]
    ]
    return f"{sum(each.total() for each in domains.values()):,} came back: {', '.join(parts)}."


def _group(counts: Iterable[ReturnCount]) -> Mapping[str, Counter[str]]:
    """Count the emails of each class by domain."""
    domains: defaultdict[str, Counter[str]] = defaultdict(Counter)
    for each in counts:
        domains[each.return_class][each.domain] += each.email_count
    return domains


def _say_domains(counts: Counter[str]) -> str:
    """Name the domains with the most emails: ``"a.example, b.example and 3 others"``."""
    ordered = sorted(counts, key=lambda domain: (-counts[domain], domain))
    named = [domain or "an unknown domain" for domain in ordered[:NAMED_DOMAINS]]
    others = len(ordered) - len(named)
    if others:
        named.append(f"{others:,} other{'' if others == 1 else 's'}")
    return f"{', '.join(named[:-1])} and {named[-1]}" if len(named) > 1 else "".join(named)


def _warn(counts: Iterable[ReturnCount]) -> str:
    """Say what the sender has to do about mail that receivers refuse for the sender's sake. Empty: nothing."""
    domains = _group(counts)
    blocked, content = domains[ReturnClass.BLOCKED], domains[ReturnClass.CONTENT]
    sentences = []
    if blocked:
        sentences.append(
            f"{_say_emails(blocked)} blocked by {_say_domains(blocked)}. That is about the sender, and not about these "
            "addresses. Read the answers below, and check the sender's domain: SPF, DKIM and DMARC, and whether the "
            "mail server is on a block list."
        )
    if content:
        sentences.append(
            f"{_say_emails(content)} refused for the content by {_say_domains(content)}. Make the message smaller or "
            "plainer before you send it again."
        )
    return " ".join(sentences)


def _say_emails(counts: Counter[str]) -> str:
    total = counts.total()
    return f"{total:,} email{' was' if total == 1 else 's were'}"


def warn_sender(sender_id: int | None) -> str:
    """Say what receivers refused of a sender's mail in the last days, for the review of the next batch. Or nothing."""
    if sender_id is None:
        return ""
    counts = fetch(
        COUNT_REFUSALS,
        {
            "sender": sender_id,
            "kind": ReturnKind.BOUNCED,
            "classes": [each.value for each in SENDERS_CLASSES],
            "days": WARNED_DAYS,
        },
    )
    domains: Counter[str] = Counter()
    for each in counts:
        domains[each.domain] += each.email_count
    if not domains:
        return ""
    return (
        f"In the last {WARNED_DAYS} days, {_say_emails(domains)} refused by {_say_domains(domains)} because of this "
        "sender or of what it sent. Find out why before you send more."
    )


RETURN_KINDS: Mapping[EmailState, ReturnKind] = {
    EmailState.RETURNED: ReturnKind.BOUNCED,
    EmailState.COMPLAINED: ReturnKind.COMPLAINED,
}
"""The states that are about what came back. Their emails are sent, and stay so."""


def filter_returned(emails: EmailQuerySet, *, batch_id: int, state: EmailState) -> EmailQuerySet:
    """Filter the emails of a batch by one of ``RETURN_KINDS``."""
    # A subquery without a condition on the outer row: PostgreSQL reads the few returns by return_by_batch, and not the
    # many emails.
    returned = Return.objects.filter(batch=batch_id, kind=RETURN_KINDS[state]).values("email")
    return emails.filter(pk__in=returned)


def read_returns(email_ids: Collection[int]) -> dict[int, list[Return]]:
    """Read the reports about some emails, oldest first, by the ids of those that have any. One statement.

    Of each kind, only the newest ``READ_PER_KIND`` about an email.
    """
    found: defaultdict[int, list[Return]] = defaultdict(list)
    for each in _reports(Return.objects.filter(email__in=email_ids)):
        found[each.email_id].append(each)
    return dict(found)


def _reports(returns: QuerySet[Return]) -> QuerySet[Return]:
    number = Window(RowNumber(), partition_by=[F("email"), F("kind")], order_by=F("pk").desc())
    numbered = returns.filter(kind__in=REPORTED_KINDS).annotate(number=number)
    return numbered.filter(number__lte=READ_PER_KIND).order_by("email", "pk")


def choose_return(reports: Iterable[Return]) -> Return | None:
    """Choose the report that says most about an email: the newest complaint, else the newest bounce. None: no such."""
    chosen = [each for each in reports if each.kind in (ReturnKind.BOUNCED, ReturnKind.COMPLAINED)]
    return max(chosen, key=lambda each: (each.kind == ReturnKind.COMPLAINED, each.pk), default=None)


def name_return(report: Return) -> str:
    """Return the word of a report for exports and the API: the class of a bounce, or the kind of another report."""
    return report.return_class if report.kind == ReturnKind.BOUNCED else report.kind


def say_answer(report: Return) -> str:
    """Return what the receiver said, with the enhanced status first."""
    has_status = not report.status_code or report.status_code in report.text
    return report.text if has_status else f"{report.status_code} {report.text}".strip()


def say_return(report: Return) -> str:
    """Say what a report means: ``"Came back: the address is gone."``"""
    if report.kind == ReturnKind.BOUNCED:
        return f"Came back: {ReturnClass(report.return_class).label}."
    if report.kind == ReturnKind.COMPLAINED:
        return "The recipient complained about it."
    return "An automatic reply came."
