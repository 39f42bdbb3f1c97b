"""Find the emails of a batch that are in one state, at a cost in proportion to what is shown.

A batch, a state and the batch's snapshot enter. A Walk leaves, of which ``paging`` reads a page. No index holds the
status of an email, because sending would have to write it (docs/decisions/0014). So the few emails in a state are found
by what else is known of them: their attempts, the rows that lanes have claimed, and how far the list was handed out.
Nothing is written.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Final

from django.db import connection, transaction
from django.db.models import Q

from batches.jobs.left_out import SMALL_ROWS, read_left_out
from batches.models import WAS_SENT, Batch, Email, EmailQuerySet, EmailStatus, sql
from batches.paging import Walk, walk_indexes
from batches.progress import Snapshot

FEW: Final = 2_000
"""So many emails are found one by one at most. Of more than these, the next fifty are near in the list."""

OPEN_STATUSES = (EmailStatus.PENDING, EmailStatus.SENDING)
"""The states of the emails that have not ended. A snapshot counts them together, as ``pending``."""

_LEFT_OUT = (EmailStatus.SUPPRESSED, EmailStatus.CANCELLED)
_KNOWN_BY_ATTEMPTS = (EmailStatus.FAILED, EmailStatus.UNKNOWN)


def find_in_states(batch: Batch, states: Collection[EmailStatus], now: Snapshot) -> Walk[Email]:
    """Find the emails of a batch in one state, or in both of ``OPEN_STATUSES``. ``now`` is the batch's snapshot."""
    emails = batch.emails.with_state()
    if all(_is_empty(state, now) for state in states):
        return Walk([])
    if set(states) <= set(OPEN_STATUSES):
        return Walk(_find_open(emails, batch, states))
    [state] = states
    return Walk([narrow(emails, batch, state, now)])


def narrow(emails: EmailQuerySet, batch: Batch, state: EmailStatus, now: Snapshot) -> EmailQuerySet:
    """Filter emails of one batch by their state, in one queryset: for a list that is no Walk."""
    if _is_empty(state, now):
        return emails.none()
    rows = find_few_rows(batch, state, now)
    if rows is not None:
        emails = emails.filter(row__in=rows)
    elif state in _LEFT_OUT and batch.total_count > SMALL_ROWS:
        found = read_left_out(batch, now)
        is_cancelled = state == EmailStatus.CANCELLED
        emails = emails.filter(row__gte=found.cancelled_from if is_cancelled else found.suppressed_from)
    return emails.in_state(state)


def find_few_rows(batch: Batch, state: EmailStatus, now: Snapshot) -> list[int] | None:
    """Find the rows of the emails in a state. None: they may be many, or nothing tells where they are."""
    if _is_empty(state, now):
        return []
    if state == EmailStatus.SUPPRESSED and batch.total_count > SMALL_ROWS:
        return read_left_out(batch, now).suppressed_rows
    if state in _KNOWN_BY_ATTEMPTS and _count(now, state) <= FEW:
        rows = _find_rows_by_attempts(batch, state)
        if len(rows) >= _count(now, state):  # otherwise somebody has deleted attempts
            return rows
    return None


def _is_empty(state: EmailStatus, now: Snapshot) -> bool:
    """Whether a snapshot says that no email is in a state."""
    is_over = now["pending"] == 0
    if state in OPEN_STATUSES:
        return is_over
    # The end of a job counts the cancelled emails, so until then nobody knows how many there are.
    return _count(now, state) == 0 and (is_over or state != EmailStatus.CANCELLED)


def _count(now: Snapshot, state: EmailStatus) -> int:
    return {
        EmailStatus.SENT: now["sent"],
        EmailStatus.FAILED: now["failed"],
        EmailStatus.UNKNOWN: now["unknown"],
        EmailStatus.SUPPRESSED: now["suppressed"],
        EmailStatus.CANCELLED: now["cancelled"],
    }[state]


def _find_rows_by_attempts(batch: Batch, state: EmailStatus) -> list[int]:
    """Find the rows of the emails in a state that an attempt has led to. Empty: there were too many attempts."""
    with connection.cursor() as cursor:
        cursor.execute(sql.ROWS_WITH_ATTEMPTS, {"batch": batch.pk, "status": state.value, "limit": FEW})
        [found] = sql.ROWS_WITH_ATTEMPTS.rows(cursor.fetchall())
    return sorted(set(found.rows)) if found.attempt_count <= FEW else []


def _find_open(emails: EmailQuerySet, batch: Batch, states: Collection[EmailStatus]) -> list[EmailQuerySet]:
    """Find the emails that have not ended, in two parts: those that wait for a retry or are in one, and all others."""
    with transaction.atomic(), walk_indexes(), connection.cursor() as cursor:
        cursor.execute(sql.OPEN_ROWS, {"batch": batch.pk, "limit": FEW})
        found = sql.OPEN_ROWS.rows(cursor.fetchall())
    if not found:  # a draft
        return [emails.filter(status__in=states)]
    [bounds] = found
    retries = emails.filter(next_attempt_at__isnull=False)
    if len(bounds.retried_rows) <= FEW:
        retries = retries.filter(row__in=bounds.retried_rows)
    untried = emails.filter(next_attempt_at=None, row__gte=bounds.first_untried_row)
    is_wanted = Q(status__in=states)
    if set(states) == {EmailStatus.SENDING}:
        # The first attempt of an email is claimed by its lane's row alone (docs/decisions/0015).
        untried, is_wanted = untried.filter(row__in=bounds.claimed_rows), is_wanted | Q(status=EmailStatus.PENDING)
    elif set(states) == {EmailStatus.PENDING}:
        untried = untried.exclude(row__in=bounds.claimed_rows)
    if set(states) != set(OPEN_STATUSES):  # an email that was sent before is in state sent
        untried, retries = untried.filter(~WAS_SENT), retries.filter(~WAS_SENT)
    return [retries.filter(status__in=states), untried.filter(is_wanted)]
