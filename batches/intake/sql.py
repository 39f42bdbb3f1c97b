"""The statements of ``statements.sql``, each with the rows that it answers. This module runs nothing."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from batches.models import SharedAddresses
from batches.models.sql import Statement, load


class ResolvedRows(NamedTuple):
    """How many rows became emails and rejected duplicates, and how many have the address of an earlier row."""

    email_count: int
    duplicate_count: int
    shared_count: int


class KnownEmails(NamedTuple):
    """How many emails the planner expects."""

    email_count: int


class OddCount(NamedTuple):
    """How many emails leave the merge field at a place blank. At place -1: how many addresses need SMTPUTF8."""

    place: int
    blank_count: int


class CorrectedRows(NamedTuple):
    """How many of the deleted rejected rows were duplicates."""

    duplicate_count: int


class Member(NamedTuple):
    """The cells of a user, in the order of the columns of a group."""

    address: str
    first_name: str
    last_name: str
    username: str
    name: str


_statements = load(Path(__file__).with_name("statements.sql"))

COPY_EMAILS = _statements["COPY_EMAILS"]
COPY_EMAILS_WITH_LINES = _statements["COPY_EMAILS_WITH_LINES"]
COPY_REJECTED = _statements["COPY_REJECTED"]
DUPLICATE_EMAILS = _statements["DUPLICATE_EMAILS"]
COPY_POSSIBLE_DUPLICATES = _statements["COPY_POSSIBLE_DUPLICATES"]
COPY_POSSIBLE_DUPLICATES_WITH_LINES = _statements["COPY_POSSIBLE_DUPLICATES_WITH_LINES"]
COPY_UPLOAD = _statements["COPY_UPLOAD"]

CREATE_POSSIBLE_DUPLICATES = _statements["CREATE_POSSIBLE_DUPLICATES"]
FORBID_NESTED_LOOPS = _statements["FORBID_NESTED_LOOPS"]
ALLOW_NESTED_LOOPS = _statements["ALLOW_NESTED_LOOPS"]
REJECT_REPEATED = _statements["REJECT_REPEATED"]
RESOLVE_FIRST = Statement(_statements["RESOLVE_FIRST"], ResolvedRows)
RESOLVE_EACH = Statement(_statements["RESOLVE_EACH"], ResolvedRows)
RESOLVE_TOGETHER = Statement(_statements["RESOLVE_TOGETHER"], ResolvedRows)
RESOLVE = {
    SharedAddresses.FIRST: RESOLVE_FIRST,
    SharedAddresses.EACH: RESOLVE_EACH,
    SharedAddresses.TOGETHER: RESOLVE_TOGETHER,
}
"""For each choice, the statement that makes emails of the possible duplicates."""
KNOWN_EMAIL_COUNT = Statement(_statements["KNOWN_EMAIL_COUNT"], KnownEmails)
ANALYZE_EMAILS = _statements["ANALYZE_EMAILS"]
COUNT_ODD_RESOLVED = Statement(_statements["COUNT_ODD_RESOLVED"], OddCount)
DROP_POSSIBLE_DUPLICATES = _statements["DROP_POSSIBLE_DUPLICATES"]

INSERT_GROUP = Statement(_statements["INSERT_GROUP"], ResolvedRows)
GROUP_AS_POSSIBLE_DUPLICATES = _statements["GROUP_AS_POSSIBLE_DUPLICATES"]
OTHER_MEMBERS = Statement(_statements["OTHER_MEMBERS"], Member)

DELETE_EMAILS = _statements["DELETE_EMAILS"]
DELETE_REJECTED = _statements["DELETE_REJECTED"]
DELETE_CORRECTED = Statement(_statements["DELETE_CORRECTED"], CorrectedRows)
