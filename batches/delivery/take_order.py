"""The order in which emails are taken from an outbox, for as long as it matters which of two was taken first.

A success is no evidence against a refusal if its message went out before the relay refused: the relay may have changed
its mind in between. Ids of emails enter, and places in the order leave. An outbox is a queue, so the order of the
claims is the order in which they are taken, except for those that are put last.
"""

from __future__ import annotations

from collections.abc import Iterable


class TakeOrder:
    """Places of emails: of two, the one with the lower place is taken first.

    Args:
        email_ids: the emails in flight, in the order of their claims.
    """

    def __init__(self, email_ids: Iterable[int]) -> None:
        self._places = {email_id: place for place, email_id in enumerate(email_ids)}
        self.end_place = len(self._places)
        """The place of the next email that is claimed."""

    def append(self, email_id: int) -> None:
        """Note an email that was claimed, or put last."""
        self._places[email_id] = self.end_place
        self.end_place += 1

    def place_of(self, email_id: int) -> int:
        return self._places.get(email_id, self.end_place)
