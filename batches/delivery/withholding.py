"""Withhold the claimed emails whose address was suppressed after their job was opened.

The emails of one claim enter, with the version of the suppression list at that moment. Those that may be sent leave. A
lane reads the list only when its version has risen, so as long as nobody is suppressed this costs one comparison.
"""

from __future__ import annotations

from collections.abc import Mapping
from operator import attrgetter

from batches.delivery.ledger_connection import LedgerConnection, fetch
from batches.delivery.terms import ClaimedEmail, Decision
from batches.models import EmailStatus, sql
from batches.suppressions import KNOWN_MAX, REPLIES, SUPPRESSED_REPLY, SuppressionFilter

_ADDRESS = attrgetter("address")
_SUPPRESSED = EmailStatus.SUPPRESSED.value


class Withholding:
    """What a lane knows of the suppression list: only what was added after its job was opened."""

    def __init__(self, version: int, *, topic_id: int | None = None) -> None:
        self._filter = SuppressionFilter(version=version)
        self._topic_id = topic_id

    async def divide(
        self, connection: LedgerConnection, claimed: list[ClaimedEmail], version: int | None
    ) -> tuple[list[ClaimedEmail], list[Decision]]:
        """Return the claimed emails that may be sent, and the decisions about the others.

        Args:
            version: that of the list in the snapshot of the claim. None: nobody was ever suppressed.

        Raises:
            OUTAGES: PostgreSQL went away.
        """
        if version is not None and version > self._filter.version:
            await self._learn(connection)
        # An address that an erasure emptied gets no mail, though somebody took it off the list meanwhile.
        if not self._filter and all(map(_ADDRESS, claimed)):
            return claimed, []
        places = self._filter.find_possible([email.address for email in claimed])
        if not places:
            return claimed, []
        withheld = await self._confirm(connection, {claimed[place]: digest for place, digest in places.items()})
        if not withheld:
            return claimed, []
        decisions = [_decide(email_id, reply) for email_id, reply in withheld.items()]
        return [email for email in claimed if email.id not in withheld], decisions

    async def divide_again(
        self, connection: LedgerConnection, claimed: list[ClaimedEmail]
    ) -> tuple[list[ClaimedEmail], list[Decision]]:
        """Do the same for claims whose cycle was lost: nobody knows which version that cycle saw.

        Raises:
            OUTAGES: PostgreSQL went away.
        """
        if claimed:
            await self._learn(connection)
        return await self.divide(connection, claimed, None)

    async def _learn(self, connection: LedgerConnection) -> None:
        # One more than is kept, so that the filter knows that there are more.
        limit = 0 if self._filter.is_overfull else KNOWN_MAX + 1
        arguments = {"after": self._filter.version, "limit": limit}
        self._filter = self._filter.add(await fetch(connection, sql.SUPPRESSIONS_AFTER, arguments))

    async def _confirm(self, connection: LedgerConnection, possible: Mapping[ClaimedEmail, bytes]) -> dict[int, str]:
        """Return the reply for each email that is not sent, by its id. The digests of the possible ones enter.

        What was added is asked for again: it may be about another topic, have ended, or have been undone.
        """
        arguments = {"digests": list(possible.values()), "topic": self._topic_id}
        rows = await fetch(connection, sql.FIND_SUPPRESSED, arguments)
        reasons = {bytes(row.digest): row.reason for row in rows}
        return {
            email.id: REPLIES[reasons[digest]] if digest in reasons else SUPPRESSED_REPLY
            for email, digest in possible.items()
            if not email.address or digest in reasons
        }


def _decide(email_id: int, reply: str) -> Decision:
    """Decide that an email ends as suppressed. It was not attempted, so no attempt is counted or recorded."""
    return Decision(email_id, _SUPPRESSED, "", 0, reply)
