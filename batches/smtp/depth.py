"""How many messages may be in flight on one connection, by what the relay has accepted and refused on it."""

from __future__ import annotations

GROW_AFTER = 16
"""After this many accepted messages a connection doubles its depth. So it has its full depth after about 60."""

RESETS_MAX = 10
"""Refused messages and messages in flight are together at most this many on a connection. Each of them may cost a RSET,
and Exim closes the connection after ten commands that send no mail (smtp_accept_max_nonmail)."""

REFUSALS_MAX = 9
"""After this many refused messages a session ends its connection, before the relay does it in the middle of another."""

_NEVER = 1 << 62


class Depth:
    """The depth of one session.

    With CHUNKING, a connection begins by holding each content back until its recipient is accepted. Only the next
    envelope follows a content. From ``GROW_AFTER`` accepted messages on, whole messages follow each other. A refusal
    leads back to the beginning.
    """

    __slots__ = (
        "_full",
        "grow_at",
        "holds_content",
        "in_flight_max",
        "is_chunking",
        "last_refusal_at",
        "refused_count",
    )

    def __init__(self, *, is_pipelining: bool, is_chunking: bool, full: int, is_single: bool) -> None:
        self._full = min(full, RESETS_MAX)
        self.is_chunking = is_chunking
        self.refused_count = 0
        self.last_refusal_at = -1
        """How many messages had been accepted at the last refusal; -1 when the relay has answered RSET since."""
        self.in_flight_max = 2 if is_pipelining else 1
        """How many messages may be in flight now, an envelope whose content is still to come included."""
        self.holds_content = is_chunking
        """Whether BDAT waits for the reply to RCPT."""
        self.grow_at = GROW_AFTER if is_chunking else _NEVER
        """How many messages must have been accepted before ``grow`` is called."""
        if is_single or full < 2:
            self.become_single()

    def become_single(self) -> None:
        """From now on, one message at a time: nothing of the next is written before the reply to the last one."""
        self.in_flight_max, self.holds_content, self.grow_at = 1, self.is_chunking, _NEVER

    def grow(self, sent_count: int) -> None:
        """Double the depth: the relay has accepted ``GROW_AFTER`` messages and refused none of them."""
        room = RESETS_MAX - self.refused_count
        if room < 2:
            self.grow_at = _NEVER
            return
        self.in_flight_max = min(2 if self.holds_content else self.in_flight_max * 2, self._full, room)
        self.holds_content = False
        self.grow_at = sent_count + GROW_AFTER if self.in_flight_max < self._full else _NEVER

    def note_refusal(self, sent_count: int) -> None:
        """Be careful again, after a refused message."""
        self.refused_count += 1
        self.last_refusal_at = sent_count
        if self.is_chunking and self.in_flight_max > 1:
            self.in_flight_max, self.holds_content, self.grow_at = 2, True, sent_count + GROW_AFTER

    @property
    def is_used_up(self) -> bool:
        """Whether the connection has met so many refusals that another one takes its place."""
        return self.refused_count >= REFUSALS_MAX
