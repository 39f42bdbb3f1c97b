"""Acceptances that may answer another command than the message, and the question that proves what they are.

A relay that leaves out a reply, or sends one too many, makes each later reply look like the answer to another command.
A message could then be recorded as sent before the relay has taken it. With DATA, a 354, which no other command gets,
comes right before the reply to each content. So the next reply is in its place, unless the relay left it out and the
next envelope has been written. With BDAT nothing marks that reply. In lock-step one reply at most is awaited.

So an acceptance that looks like the reply to RSET, MAIL or RCPT is suspended where it may be one, until everything is
answered, and the relay is asked HELP. If the next reply answers HELP, every reply before it was in its place, and the
relay simply says so to messages.
"""

from __future__ import annotations

from typing import Generic

from batches.smtp.connection import Outgoing, Tag
from batches.smtp.replies import Reply, ReplyViolation

OUT_OF_STEP = "The relay's replies are out of step."

_HELP, _QUIT = b"HELP\r\n", b"QUIT\r\n"
_ANSWERS_TO_HELP = (211, 214, 500, 502)
"""RFC 5321 section 4.2.3. Some test servers say 250, as they say to everything."""
_ANSWER_TO_QUIT = 221


class StepCheck(Generic[Tag]):
    """The suspended acceptances of one session."""

    __slots__ = ("_question", "suspended")

    def __init__(self) -> None:
        self.suspended: list[tuple[Outgoing[Tag], Reply]] = []
        self._question = b""

    def suspend(self, outgoing: Outgoing[Tag], reply: Reply) -> None:
        """Keep an acceptance until the replies are known to be in step."""
        self.suspended.append((outgoing, reply))

    def release(self) -> list[tuple[Outgoing[Tag], Reply]]:
        """Return what is suspended, and keep nothing."""
        suspended, self.suspended = self.suspended, []
        return suspended

    def ask(self) -> bytes:
        """Return the command whose answer shows it. Nothing else may be in flight."""
        self._question = _QUIT if self._question else _HELP
        return self._question

    def is_answered_by(self, reply: Reply) -> bool:
        """Whether this reply answers the question, so that all are in step. If not, the next question is due.

        Raises:
            ReplyViolation: the replies are out of step.
        """
        if self._question == _HELP:
            return reply.code in _ANSWERS_TO_HELP
        if reply.code != _ANSWER_TO_QUIT:
            raise ReplyViolation(OUT_OF_STEP)
        return True

    @property
    def ends_connection(self) -> bool:
        """Whether the question was QUIT."""
        return self._question == _QUIT
