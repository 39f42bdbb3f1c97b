"""Withhold the claimed emails whose address was suppressed after the import of their list.

The emails of one claim enter, with the version of the suppression list at that moment. Those that may be sent leave. A
lane reads the list only when its version has risen, so as long as nobody is suppressed this costs one comparison.
"""

from __future__ import annotations

from collections.abc import Sequence

from batches.delivery.ledger_connection import LedgerConnection, fetch
from batches.delivery.terms import ClaimedEmail, Decision
from batches.models import EmailStatus, sql
from batches.suppressions import SUPPRESSED_REPLY, SuppressionFilter

_SUPPRESSED = EmailStatus.SUPPRESSED.value


class Withholding:
    """What a lane knows of the suppression list: only what was added after the import of its batch."""

    def __init__(self, version: int) -> None:
        self._filter = SuppressionFilter(version=version)

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
        if not self._filter:
            return claimed, []
        places = self._filter.find_possible([email.address for email in claimed])
        withheld = await self._confirm(connection, [claimed[place] for place in places]) if places else set()
        if not withheld:
            return claimed, []
        return [email for email in claimed if email.id not in withheld], list(map(_decide, withheld))

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
        rows = await fetch(connection, sql.SUPPRESSIONS_AFTER, {"after": self._filter.version})
        self._filter = SuppressionFilter.of(rows, known=self._filter.checksums)

    async def _confirm(self, connection: LedgerConnection, possible: Sequence[ClaimedEmail]) -> set[int]:
        digests = {email.id: self._filter.digest(email.address) for email in possible}
        rows = await fetch(connection, sql.FIND_SUPPRESSED, {"digests": list(digests.values())})
        found = {bytes(row.digest) for row in rows}
        return {email.id for email in possible if not email.address or digests[email.id] in found}


def _decide(email_id: int) -> Decision:
    """Decide that an email ends as suppressed. It was not attempted, so no attempt is counted or recorded."""
    return Decision(email_id, _SUPPRESSED, "", 0, SUPPRESSED_REPLY)
