"""Strikes: refusals of which nobody knows yet whether they are about one email or about everybody.

A strike is a 421, a connection that ended without a word, or a refusal at RCPT or later whose words are about us. A 421
ends the connection, so one email that always meets it would end each connection that carries it.
The ids of emails that were struck enter, and what to do with each leaves. It knows no database and no clock.
"""

from __future__ import annotations

from enum import Enum

STRIKES_MAX = 3
"""A relay may say 421 by chance: it restarts, or has too many connections. Three strikes against the same email are no
chance."""

CLEAR_COUNT = 2
"""So many strikes are enough if the lane run ends, and other emails were accepted in between."""

EVERYBODY_COUNT = 10
"""So many different emails that are struck for the first time, without a success in between, are about everybody."""

EVERYBODY_RECOGNISED_COUNT = 3
"""The same if a reply rule says that the refusal is about the rate, the login or the like."""


class Effect(Enum):
    """What follows from a strike."""

    BACK = "the email goes to the back, and the others go on"
    DEFER = "the email is charged an attempt, if others were accepted"
    EVERYBODY = "the relay is paused, and nobody is charged"


class Strikes:
    """The strikes of one route in one lane run."""

    def __init__(self) -> None:
        self._counts: dict[int, int] = {}
        self._struck_at: dict[int, int] = {}
        self._run: set[int] = set()
        self._limit = EVERYBODY_COUNT
        self._success_count = 0

    def add(self, email_id: int, *, is_retry: bool, is_recognised: bool) -> Effect:
        """Note a strike, and say what follows.

        Args:
            is_retry: the email was charged an attempt before. Emails that are struck each time come again together,
                so they must not look like everybody.
            is_recognised: a reply rule says that the refusal is about us or the relay.
        """
        count = self._counts[email_id] = self._counts.get(email_id, 0) + 1
        self._struck_at.setdefault(email_id, self._success_count)
        if is_recognised:
            self._limit = min(self._limit, EVERYBODY_RECOGNISED_COUNT)
        if count == 1 and not is_retry:
            self._run.add(email_id)
            if len(self._run) >= self._limit:
                self._limit = 1  # After the pause, the next one is enough, until there is a success.
                return Effect.EVERYBODY
        return Effect.BACK if count < STRIKES_MAX else Effect.DEFER

    @property
    def run_count(self) -> int:
        """How many emails were struck for the first time since the last success."""
        return len(self._run)

    def has_success_since(self, email_id: int) -> bool:
        """Whether another email was accepted after this one was struck for the first time."""
        return self._success_count > self._struck_at.get(email_id, self._success_count)

    def is_clear(self, email_id: int) -> bool:
        """Whether the strikes of an email are its own, as far as is known when the lane run ends."""
        return self._counts.get(email_id, 0) >= CLEAR_COUNT and self.has_success_since(email_id)

    def forget(self, email_id: int) -> None:
        """Forget an email that is deferred or requeued."""
        self._counts.pop(email_id, None)
        self._struck_at.pop(email_id, None)

    def on_success(self) -> None:
        """Note that the relay accepted a message after the last strike."""
        self._success_count += 1
        self._run.clear()
        self._limit = EVERYBODY_COUNT
