"""One connection to the relay: messages in, verdicts out, as many in flight as the relay allows.

Three ways, by what EHLO offered:

* CHUNKING and PIPELINING: whole messages by BDAT (RFC 3030), several in flight;
* PIPELINING (RFC 2920): MAIL, RCPT, DATA in one write, and the next envelope behind the final dot;
* neither: one command at a time.

The relay's replies come in the order of the commands, so a queue of messages is all the state. A
verdict is given for each message taken, exactly once. Nothing here knows of databases or batches.
"""

from __future__ import annotations

import asyncio
from collections import deque

from batches.outcomes import Outcome
from batches.smtp.connection import Capabilities, Loss, Outgoing, Source, Timeouts
from batches.smtp.replies import Reply, ReplyReader, ReplyViolation
from batches.smtp.verdicts import Stage, Verdict, is_relay_error, judge, judge_lost

# Looked up once: an enum's member costs a search of its class, and these are asked for with every reply.
_CLEAR, _MAIL, _RCPT, _DATA, _FINAL, _RESET = Stage
_SENT = Outcome.SENT


class Session(asyncio.Protocol):
    """One connection, from its first MAIL to QUIT or its loss."""

    def __init__(self, source: Source, capabilities: Capabilities, *, timeouts: Timeouts, depth: int) -> None:
        self.capabilities = capabilities
        self._source, self._timeouts = source, timeouts
        # With DATA the second place is that of the envelope behind the final dot.
        self._depth = depth if capabilities.chunking else 2 if capabilities.pipelining else 1
        self._first_stage = _CLEAR if capabilities.chunking else _MAIL
        self._after_rcpt = _FINAL if capabilities.chunking else _DATA
        self._mail_start = b""
        self._mail_sender = ""
        self._queue: deque[Outgoing] = deque()
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

    # --- asyncio's side ------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport  # type: ignore[assignment]  # a stream's, but uvloop's is no subclass

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
            self._source.on_verdict(outgoing, self._judge_lost(outgoing, loss.reason))
        self._source.on_session_lost(self, loss)

    # --- the pool's side -----------------------------------------------------------------------------

    @property
    def is_idle(self) -> bool:
        return not self._queue

    def pump(self) -> None:
        """Take messages and write as many as may be in flight."""
        if self._is_pumping:
            return
        self._is_pumping = True  # a source that settles at once may pump again
        try:
            while self._can_write and not (self._is_ending or self._is_closing) and self._may_start_next():
                outgoing = self._source.take(self.capabilities)
                if outgoing is None:
                    break
                self._start(outgoing)
        finally:
            self._is_pumping = False
            self._flush()

    def quit(self) -> None:
        """Say QUIT and close; for an idle session. The relay's 221 is not waited for."""
        self._is_ending = True
        self._unwritten.append(b"QUIT\r\n")
        self._flush()
        if self._transport is not None:
            self._transport.close()

    def abort(self, loss: Loss) -> None:
        """Drop the connection; what is in flight is settled by how far it came."""
        self._loss = self._loss or loss
        self._is_ending = True
        if self._transport is not None:
            self._transport.abort()

    def tick(self, seconds: float) -> None:
        """So much time has passed: drop the connection if it has waited too long for a reply.

        Coarse, but it costs no look at the clock for each reply.
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
        """With DATA an envelope goes only behind a final dot, so that a 354 marks each content."""
        if not self._queue:
            return True
        if len(self._queue) >= self._depth:
            return False
        return self.capabilities.chunking or self._queue[-1].stage is _FINAL

    def _start(self, outgoing: Outgoing) -> None:
        chunking = self.capabilities.chunking
        outgoing.stage = self._first_stage
        self._queue.append(outgoing)
        if len(self._queue) == 1:
            self._waited_seconds = 0.0
        mail = self._mail_command(outgoing)
        rcpt = b"RCPT TO:<" + outgoing.recipient.encode() + b">\r\n"
        if chunking:
            if not self._source.may_send():
                self.abort(Loss(reason="The lane's lease ran out."))
                return
            # RSET first: if the message before was refused at RCPT its MAIL may still be open, and
            # this RCPT would join it.
            size_line = b"BDAT %d LAST\r\n" % len(outgoing.content)
            self._unwritten += (b"RSET\r\n", mail, rcpt, size_line, outgoing.content)
        elif self.capabilities.pipelining:
            self._unwritten += (mail, rcpt, b"DATA\r\n")
        else:
            self._unwritten.append(mail)

    def _mail_command(self, outgoing: Outgoing) -> bytes:
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
        """Write what was put together, in one system call: a final dot and the next envelope, say."""
        if self._unwritten and self._transport is not None:
            self._transport.write(b"".join(self._unwritten))
        self._unwritten.clear()

    def _write_content(self, outgoing: Outgoing) -> None:
        """After the 354: the content, or none if the message was refused."""
        if outgoing.refusal is None and not self._source.may_send():
            self.abort(Loss(reason="The lane's lease ran out."))
            return
        outgoing.stage = _FINAL
        if outgoing.refusal is not None:
            self._unwritten.append(b".\r\n")
            return
        self._unwritten += (_stuff(outgoing.content) if outgoing.has_dots else outgoing.content, b".\r\n")

    # --- reading -------------------------------------------------------------------------------------

    def _on_reply(self, reply: Reply) -> None:
        code = reply.code
        if code == 421 or not self._queue:
            self._on_unasked(reply)
            return
        self._waited_seconds = 0.0
        outgoing = self._queue[0]
        stage = outgoing.stage
        if 300 <= code < 400:
            if stage is not _DATA:
                raise ReplyViolation("The relay's replies are out of step.")
            self._write_content(outgoing)
            return
        if code >= 400 and outgoing.refusal is None:
            outgoing.refusal = (stage, reply)
        if stage is _FINAL:
            self._on_final(outgoing, reply)
        elif stage is _RESET:
            self._finish(outgoing, reply)
        elif stage is not _DATA:
            self._on_envelope(outgoing, stage)
        elif code < 300:
            raise ReplyViolation("The relay's replies are out of step.")
        else:
            self._reset(outgoing)

    def _on_unasked(self, reply: Reply) -> None:
        if reply.code != 421:
            raise ReplyViolation("The relay sent a reply that nothing had asked for.")
        # RFC 5321 section 3.8: at any time, and nothing behind it will be processed.
        self._is_rest_refused = True
        self.abort(Loss(reason=f"The relay closed the connection (421 {reply.text}).", has_too_many_connections=True))

    def _on_envelope(self, outgoing: Outgoing, stage: Stage) -> None:
        """After the reply to RSET, MAIL or RCPT: on to the next; one at a time if it must be."""
        if stage is _MAIL:
            outgoing.stage = _RCPT
        elif stage is _RCPT:
            outgoing.stage = self._after_rcpt
        else:
            outgoing.stage = _MAIL
        if self.capabilities.pipelining:
            return
        if outgoing.refusal is not None:
            self._reset(outgoing)
        elif outgoing.stage is _RCPT:
            self._unwritten.append(b"RCPT TO:<" + outgoing.recipient.encode() + b">\r\n")
        else:
            self._unwritten.append(b"DATA\r\n")

    def _reset(self, outgoing: Outgoing) -> None:
        """The relay still holds an open MAIL: end it. Nothing follows until it answered."""
        outgoing.stage = _RESET
        self._unwritten.append(b"RSET\r\n")

    def _on_final(self, outgoing: Outgoing, reply: Reply) -> None:
        # An X.1.X status speaks of an address (RFC 3463 section 3.2): it answers a MAIL or RCPT.
        if reply.code < 300 and reply.octets.startswith(b"2.1."):
            raise ReplyViolation("The relay's replies are out of step.")
        if outgoing.refusal is None:
            self._queue.popleft()
            self.sent_count += 1
            self._source.on_verdict(outgoing, Verdict(_SENT, reply.code, reply.text))
            self._end_if_over()
        else:
            self._finish(outgoing, reply)

    def _end_if_over(self) -> None:
        if self._is_closing and not self._queue and self._transport is not None:
            self._transport.abort()

    def _finish(self, outgoing: Outgoing, reply: Reply) -> None:
        """Settle a refused message; the connection ends too if the trouble is not this email's."""
        self._queue.popleft()
        stage, refusal = outgoing.refusal or (_RESET, reply)
        self._source.on_verdict(outgoing, judge(stage, refusal))
        if is_relay_error(stage, refusal):
            # Take no more; what is in flight still gets its replies, so that none of it is in doubt.
            self._is_closing = True
            reason = f"The relay refuses our mail ({refusal.code} {refusal.text})."
            self._loss = Loss(reason=reason, is_relay_error=True)
        elif outgoing.stage is _RESET and reply.code >= 400:
            self.abort(Loss(reason=f"The relay refused RSET ({reply.code} {reply.text})."))
        self._end_if_over()

    def _judge_lost(self, outgoing: Outgoing, reason: str) -> Verdict:
        if outgoing.refusal is not None:
            return judge(*outgoing.refusal)
        if self._is_rest_refused:
            return Verdict(Outcome.REQUEUED, 0, reason)
        # With BDAT the content went out with the envelope, whatever the stage.
        is_content_out = outgoing.stage is _FINAL or self.capabilities.chunking
        return judge_lost(outgoing.stage, is_content_out=is_content_out, reason=reason)


def _stuff(content: bytes) -> bytes:
    """Double the dot at each line's beginning (RFC 5321 section 4.5.2)."""
    stuffed = content.replace(b"\r\n.", b"\r\n..")
    return b"." + stuffed if stuffed.startswith(b".") else stuffed
