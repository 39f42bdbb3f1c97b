"""The octets of one connection: replies come in, commands go out in few writes, and its end has one reason."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from batches.smtp.connection import Loss
from batches.smtp.replies import Reply, ReplyReader, ReplyViolation

LEASE_RAN_OUT = "The lane's lease ran out."


class Wire(asyncio.Protocol):
    """A connection as asyncio sees it. ``Session`` adds what the replies mean.

    ``may_send`` says whether a content may be written now.
    """

    # More attributes than 30 would be slow without slots.
    __slots__ = (
        "_can_write",
        "_gathered",
        "_is_ending",
        "_is_loss_ours",
        "_is_taking",
        "_loss",
        "_may_send",
        "_reader",
        "_transport",
        "_unwritten",
    )

    def __init__(self, may_send: Callable[[], bool]) -> None:
        self._may_send = may_send
        self._reader = ReplyReader()
        self._transport: asyncio.Transport | None = None
        self._unwritten: list[bytes] = []
        self._gathered: list[object] = []
        """The messages whose contents are in ``_unwritten``."""
        self._can_write = True
        self._is_taking = True
        """Whether the next message may be taken."""
        self._is_ending = False
        """Whether the connection is over for us: no reply is read any more."""
        self._loss: Loss | None = None
        self._is_loss_ours = False
        """Whether the connection ends for a reason of ours, so that it is about no message."""

    def pump(self) -> None:
        """Take messages, and write as many as may be in flight."""
        raise NotImplementedError

    def _on_reply(self, reply: Reply) -> None:
        raise NotImplementedError

    # --- called by asyncio ---------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport  # type: ignore[assignment]  # a stream's, but uvloop's is not a subclass

    def pause_writing(self) -> None:
        self._can_write = False

    def resume_writing(self) -> None:
        self._can_write = True
        self.pump()

    def data_received(self, data: bytes) -> None:
        try:
            for reply in self._reader.feed(data):
                if self._is_ending:
                    return
                self._on_reply(reply)
        except ReplyViolation as exc:
            self._drop(Loss(reason=str(exc)))
            return
        self.pump()

    # --- writing and ending --------------------------------------------------------------------------

    def _flush(self) -> None:
        """Write everything that has gathered in one system call, for example a final dot and the next envelope.

        Whether a content may be sent is asked right before the write: messages are made after it was gathered, and the
        process may be frozen in the middle of that.
        """
        if self._gathered:
            if self._may_send():
                self._gathered.clear()
            else:
                self._unwritten.clear()
                self.abort(Loss(reason=LEASE_RAN_OUT))
        if self._unwritten and self._transport is not None:
            self._transport.write(b"".join(self._unwritten))
        self._unwritten.clear()

    def quit(self) -> None:
        """Say QUIT and close, without waiting for the relay's 221. Only for an idle session."""
        self._loss = self._loss or Loss(reason="We closed the connection.")
        self._is_taking, self._is_ending = False, True
        self._unwritten.append(b"QUIT\r\n")
        self._flush()
        if self._transport is not None:
            self._transport.close()

    def abort(self, loss: Loss) -> None:
        """Drop the connection. How far each message in flight has come decides its verdict."""
        self._is_loss_ours = True
        self._drop(loss)

    def _drop(self, loss: Loss) -> None:
        """End the connection at once, because of the relay if ``abort`` does not say otherwise."""
        if not self._is_ending:
            self._loss = loss
        self._is_taking, self._is_ending = False, True
        if self._transport is not None:
            self._transport.abort()

    def _close_when_drained(self, loss: Loss) -> None:
        """Take no more. What is in flight still gets its replies, so that none of it is in doubt."""
        self._loss = self._loss or loss
        self._is_taking = False
