"""Say what was found of a person, and what was removed: sentences for the page and the command."""

from __future__ import annotations

from batches.people.erasing import Erased
from batches.people.searching import Findings

TABLE_NAMES = {
    "batches_email": "cells or replies of other recipients",
    "batches_attempt": "replies to attempts",
    "batches_rejectedrow": "rejected rows",
    "batches_emailjob": "jobs",
    "batches_emailtemplate": "templates",
    "batches_templateversion": "versions of templates",
    "batches_relaypause": "relay pauses",
    "batches_person": "entries of the search for people",
    "batches_batch": "batches",
    "django_admin_log": "entries of the admin's log",
}
"""What the tables are called that hold an address among other text. Any other keeps its own name."""


def count_findings(found: Findings) -> list[tuple[str, int]]:
    """Name what was found, with counts. The person's own rows are counted once."""
    own = [
        ("emails", found.email_count),
        ("rejected rows", len(found.rejected)),
        ("stored files of drafts", len(found.uploads)),
        ("accounts", len(found.users)),
        ("senders", len(found.senders)),
    ]
    others = [
        (TABLE_NAMES.get(mention.table, mention.table), mention.count)
        for mention in found.mentions
        if mention.table not in ("batches_email", "batches_rejectedrow")
    ]
    return [(name, count) for name, count in own + others if count]


def say_findings(found: Findings) -> list[str]:
    """Say what was found, a sentence each."""
    counts = count_findings(found)
    if not counts and not found:
        return ["Nothing was found."]
    return [f"Found: {', '.join(f'{name} {count:,}' for name, count in counts) or 'the address in other cells'}."]


def say_erased(erased: Erased) -> list[str]:
    """Say what was removed, and what the auditor has to know."""
    counts = ", ".join(f"{name} {count:,}" for name, count in erased.counts.items())
    removed = f"Removed: {counts}." if counts else "Nothing was kept about this address."
    return [removed, "The address is on the do-not-send list: it gets no mail from here any more.", *erased.remarks]
