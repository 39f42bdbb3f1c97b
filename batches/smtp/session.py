"""One SMTP connection: messages in, verdicts out, as many in flight as the relay allows.

What EHLO offered decides how messages are sent:

* with CHUNKING and PIPELINING: whole messages by BDAT (RFC 3030), several in flight;
* with PIPELINING (RFC 2920): MAIL, RCPT and DATA in one write, and the next envelope right after the final dot;
* with neither: one command at a time.

The relay replies in the order of the commands, so a queue of messages is all the state. Each message that is taken
gets exactly one verdict. Nothing here knows of databases or batches.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Any, Generic

from batches.outcomes import Outcome
from batches.smtp.connection import Capabilities, LaneEvents, Loss, Outgoing, Tag, Timeouts
from batches.smtp.replies import Reply, ReplyReader, ReplyViolation
from batches.smtp.verdicts import Stage, Verdict, is_relay_error, judge, judge_lost

# Looked up once: finding a member of an enum searches its class, and each reply needs one.
_CLEAR, _MAIL, _RCPT, _DATA, _FINAL, _RESET, *_ = Stage
_SENT = Outcome.SENT

OUT_OF_STEP = "The relay's replies are out of step."
LEASE_RAN_OUT = "The lane's lease ran out."


class Session(asyncio.Protocol, Generic[Tag]):
    """One connection, from its first MAIL to QUIT or to its loss."""

    def __init__(self, lane: LaneEvents[Tag], capabilities: Capabilities, *, timeouts: Timeouts, depth: int) -> None:
        self.capabilities = capabilities
        self._lane, self._timeouts = lane, timeouts
        # With DATA, two messages are in flight at most: one waits for the reply to its content, and the envelope of the
        # next follows the final dot.
        self._depth = depth if capabilities.chunking else 2 if capabilities.pipelining else 1
        self._first_stage = _CLEAR if capabilities.chunking else _MAIL
        self._after_rcpt = _FINAL if capabilities.chunking else _DATA
        self._mail_start = b""
        self._mail_sender = ""
        self._queue: deque[Outgoing[Tag]] = deque()
        self._reader = ReplyReader()
        self._transport: asyncio.Transport | None = None
        self._unwritten: list[bytes] = []
        self._can_write = True
        self._is_pumping = False
        self._is_ending = False
        self._is_closing = False
        self._is_rest_refused = False
        self._loss: Loss | None = None
        self.sent_count = 0
        self._waited_seconds = 0.0

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
            self.abort(Loss(reason=str(exc)))
            return
        self.pump()

    def connection_lost(self, exc: Exception | None) -> None:
        self._transport, self._is_ending = None, True
        loss = self._loss or Loss(reason="The relay closed the connection.")
        while self._queue:
            outgoing = self._queue.popleft()
            self._lane.on_verdict(outgoing, self._judge_lost(outgoing, loss.reason))
        self._lane.on_connection_lost(self, loss)

    # --- called by the pool --------------------------------------------------------------------------

    @property
    def is_idle(self) -> bool:
        return not self._queue

    def pump(self) -> None:
        """Take messages, and write as many as may be in flight."""
        if self._is_pumping:
            return
        self._is_pumping = True  # The lane may pump again while it gives a message.
        try:
            while self._can_write and not (self._is_ending or self._is_closing) and self._may_start_next():
                outgoing = self._lane.take(self.capabilities)
                if outgoing is None:
                    break
                self._start(outgoing)
        finally:
            self._is_pumping = False
            self._flush()

    def quit(self) -> None:
        """Say QUIT and close, without waiting for the relay's 221. Only for an idle session."""
        self._is_ending = True
        self._unwritten.append(b"QUIT\r\n")
        self._flush()
        if self._transport is not None:
            self._transport.close()

    def abort(self, loss: Loss) -> None:
        """Drop the connection. How far each message in flight has come decides its verdict."""
        self._loss = self._loss or loss
        self._is_ending = True
        if self._transport is not None:
            self._transport.abort()

    def tick(self, seconds: float) -> None:
        """Note that this much time has passed, and drop the connection if it has waited too long for a reply.

        Counting ticks is coarse, but it spares a look at the clock for each reply.
        """
        if not self._queue:
            self._waited_seconds = 0.0
            return
        self._waited_seconds += seconds
        stage = self._queue[0].stage
        limit = self._timeouts.final_seconds if stage is _FINAL else self._timeouts.command_seconds
        if self._waited_seconds > limit:
            self.abort(Loss(reason=f"The relay did not answer {stage.value} in time."))

    # --- writing -------------------------------------------------------------------------------------

    def _may_start_next(self) -> bool:
        """Whether there is room for one more. With DATA, an envelope follows only a final dot.

        So at most one 354 is awaited at a time, and it is clear whose content the relay asks for.
        """
        if not self._queue:
            return True
        if len(self._queue) >= self._depth:
            return False
        return self.capabilities.chunking or self._queue[-1].stage is _FINAL

    def _start(self, outgoing: Outgoing[Tag]) -> None:
        chunking = self.capabilities.chunking
        if chunking and not self._lane.may_send():
            # With BDAT the content leaves together with its envelope. Nothing is written yet, so nothing is in doubt.
            self._lane.on_verdict(outgoing, Verdict(Outcome.REQUEUED, 0, LEASE_RAN_OUT))
            self.abort(Loss(reason=LEASE_RAN_OUT))
            return
        outgoing.stage = self._first_stage
        self._queue.append(outgoing)
        if len(self._queue) == 1:
            self._waited_seconds = 0.0
        mail = self._mail_command(outgoing)
        rcpt = b"RCPT TO:<" + outgoing.recipient.encode() + b">\r\n"
        if chunking:
            # RSET comes first: if the relay refused the message before at RCPT, that message's MAIL may still be open,
            # and this RCPT would join it.
            bdat = b"BDAT %d LAST\r\n" % len(outgoing.content)
            self._unwritten += (b"RSET\r\n", mail, rcpt, bdat, outgoing.content)
        elif self.capabilities.pipelining:
            self._unwritten += (mail, rcpt, b"DATA\r\n")
        else:
            self._unwritten.append(mail)

    def _mail_command(self, outgoing: Outgoing[Tag]) -> bytes:
        if outgoing.sender != self._mail_sender:
            self._mail_sender = outgoing.sender
            self._mail_start = b"MAIL FROM:<" + outgoing.sender.encode() + b">"
        command = self._mail_start
        capabilities = self.capabilities
        if capabilities.size:
            command += b" SIZE=%d" % len(outgoing.content)
        if outgoing.is_8bit and capabilities.eight_bit:
            command += b" BODY=8BITMIME"
        if not outgoing.recipient.isascii():
            command += b" SMTPUTF8"
        return command + b"\r\n"

    def _flush(self) -> None:
        """Write everything that has gathered in one system call, for example a final dot and the next envelope."""
        if self._unwritten and self._transport is not None:
            self._transport.write(b"".join(self._unwritten))
        self._unwritten.clear()

    def _write_content(self, outgoing: Outgoing[Tag]) -> None:
        """After the 354: write the content, or an empty one if the relay refused the message before."""
        if outgoing.refusal is None and not self._lane.may_send():
            self.abort(Loss(reason=LEASE_RAN_OUT))
            return
        outgoing.stage = _FINAL
        if outgoing.refusal is not None:
            self._unwritten.append(b".\r\n")
            return
        self._unwritten += (_stuff(outgoing.content) if outgoing.has_dots else outgoing.content, b".\r\n")

    def _reset(self, outgoing: Outgoing[Tag]) -> None:
        """End the MAIL that the relay still holds open. Nothing follows until the relay has answered."""
        outgoing.stage = _RESET
        self._unwritten.append(b"RSET\r\n")

    # --- reading: one method for the reply to each stage ---------------------------------------------

    def _on_reply(self, reply: Reply) -> None:
        if reply.code == 421 or not self._queue:
            self._on_unasked(reply)
            return
        self._waited_seconds = 0.0
        outgoing = self._queue[0]
        stage = outgoing.stage
        if reply.code >= 300 and stage is not _DATA:
            self._note_refusal(outgoing, reply)
        _ON_REPLY[stage](self, outgoing, reply)

    def _on_unasked(self, reply: Reply) -> None:
        if reply.code != 421:
            raise ReplyViolation("The relay sent a reply to no command.")
        # A relay may say 421 at any time, and processes nothing that follows (RFC 5321 section 3.8).
        self._is_rest_refused = True
        self.abort(Loss(reason=f"The relay closed the connection (421 {reply.text}).", has_too_many_connections=True))

    def _note_refusal(self, outgoing: Outgoing[Tag], reply: Reply) -> None:
        """Keep a message's first refusal. A 3xx is not a refusal, but it is right only after DATA."""
        if reply.code < 400:
            raise ReplyViolation(OUT_OF_STEP)
        if outgoing.refusal is None:
            outgoing.refusal = (outgoing.stage, reply)

    def _on_clear(self, outgoing: Outgoing[Tag], reply: Reply) -> None:
        outgoing.stage = _MAIL

    def _on_mail(self, outgoing: Outgoing[Tag], reply: Reply) -> None:
        outgoing.stage = _RCPT
        if not self.capabilities.pipelining:
            self._write_next(outgoing, b"RCPT TO:<" + outgoing.recipient.encode() + b">\r\n")

    def _on_rcpt(self, outgoing: Outgoing[Tag], reply: Reply) -> None:
        outgoing.stage = self._after_rcpt
        if not self.capabilities.pipelining:
            self._write_next(outgoing, b"DATA\r\n")

    def _write_next(self, outgoing: Outgoing[Tag], command: bytes) -> None:
        """Without PIPELINING: write a message's next command, or RSET if the relay refused the one before."""
        if outgoing.refusal is None:
            self._unwritten.append(command)
        else:
            self._reset(outgoing)

    def _on_data(self, outgoing: Outgoing[Tag], reply: Reply) -> None:
        if reply.code < 300:
            raise ReplyViolation(OUT_OF_STEP)
        if reply.code < 400:
            self._write_content(outgoing)
        else:
            self._note_refusal(outgoing, reply)
            self._reset(outgoing)

    def _on_final(self, outgoing: Outgoing[Tag], reply: Reply) -> None:
        # A status X.1.X is about an address (RFC 3463 section 3.2), so this reply answers a MAIL or an RCPT.
        if reply.code < 300 and reply.octets.startswith(b"2.1."):
            raise ReplyViolation(OUT_OF_STEP)
        if outgoing.refusal is not None:
            self._finish_refused(outgoing, reply)
            return
        self._queue.popleft()
        self.sent_count += 1
        self._lane.on_verdict(outgoing, Verdict(_SENT, reply.code, reply.text))
        self._end_if_over()

    def _on_reset(self, outgoing: Outgoing[Tag], reply: Reply) -> None:
        self._finish_refused(outgoing, reply)

    # --- judging -------------------------------------------------------------------------------------

    def _finish_refused(self, outgoing: Outgoing[Tag], reply: Reply) -> None:
        """Give the verdict on a refused message. The connection ends too if the refusal is not about this email."""
        self._queue.popleft()
        stage, refusal = outgoing.refusal or (_RESET, reply)
        self._lane.on_verdict(outgoing, judge(stage, refusal))
        if is_relay_error(stage, refusal):
            # Take no more. What is in flight still gets its replies, so that none of it is in doubt.
            self._is_closing = True
            reason = f"The relay refuses our mail ({refusal.code} {refusal.text})."
            self._loss = Loss(reason=reason, is_relay_error=True)
        elif outgoing.stage is _RESET and reply.code >= 400:
            self.abort(Loss(reason=f"The relay refused RSET ({reply.code} {reply.text})."))
        self._end_if_over()

    def _end_if_over(self) -> None:
        if self._is_closing and not self._queue and self._transport is not None:
            self._transport.abort()

    def _judge_lost(self, outgoing: Outgoing[Tag], reason: str) -> Verdict:
        if outgoing.refusal is not None:
            return judge(*outgoing.refusal)
        if self._is_rest_refused:
            return Verdict(Outcome.REQUEUED, 0, reason)
        # With BDAT the content left together with its envelope, whatever stage the replies have reached.
        is_content_out = outgoing.stage is _FINAL or self.capabilities.chunking
        return judge_lost(outgoing.stage, is_content_out=is_content_out, reason=reason)


_ON_REPLY: dict[Stage, Callable[[Session[Any], Outgoing[Any], Reply], None]] = {
    Stage.CLEAR: Session._on_clear,
    Stage.MAIL: Session._on_mail,
    Stage.RCPT: Session._on_rcpt,
    Stage.DATA: Session._on_data,
    Stage.FINAL: Session._on_final,
    Stage.RESET: Session._on_reset,
}


def _stuff(content: bytes) -> bytes:
    """Double the dot at the beginning of each line (RFC 5321 section 4.5.2)."""
    stuffed = content.replace(b"\r\n.", b"\r\n..")
    return b"." + stuffed if stuffed.startswith(b".") else stuffed
