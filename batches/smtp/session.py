"""One SMTP connection: messages in, verdicts out, as many in flight as the relay's replies allow.

What EHLO offered decides how messages are sent:

* with CHUNKING and PIPELINING: by BDAT (RFC 3030). At first a message's content waits until the relay has accepted its
  recipient. Then whole messages follow each other, and more of them as more are accepted;
* with PIPELINING (RFC 2920): MAIL, RCPT and DATA in one write, and the next envelope right after the final dot;
* with neither: one command at a time.

A refusal brings a connection back to its first, careful way, because a relay that closes the connection then leaves in
doubt what it has received and not answered. Decision 25 gives the reasons.

The relay replies in the order of the commands, so a queue of messages is all the state. Each message that is taken
gets exactly one verdict. Nothing here knows of databases or batches.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Any, Generic

from batches.outcomes import Outcome
from batches.smtp.commands import MailCommand, stuff
from batches.smtp.connection import Capabilities, LaneEvents, Loss, Outgoing, Tag, Timeouts
from batches.smtp.depth import Depth
from batches.smtp.losses import explain_closing, judge_closed, judge_lost, requeue_unreset
from batches.smtp.replies import Reply, ReplyViolation
from batches.smtp.step_check import OUT_OF_STEP, StepCheck
from batches.smtp.verdicts import Stage, Verdict, accept, judge
from batches.smtp.wire import Wire

# Looked up once: finding a member of an enum searches its class, and each reply needs one.
_CLEAR, _MAIL, _RCPT, _DATA, _FINAL, *_ = Stage
_NO_REPLY = Reply(0, b"")

ENOUGH_REFUSALS = "The relay has refused many messages on the connection, so another one takes its place."


class Session(Wire, Generic[Tag]):
    """One connection, from its first MAIL to QUIT or to its loss.

    ``depth`` is how many messages may be in flight at most. A relay of which it is known that it
    ``closes_after_refusals`` gets one message at a time.
    """

    __slots__ = (
        "_after_rcpt", "_closing_reply", "_depth", "_held", "_is_chunking", "_is_mail_open", "_is_pipelining",
        "_is_pumping", "_judged_count", "_lane", "_mail_command", "_mail_reply", "_may_be_out_of_step",
        "_plain_reply", "_queue", "_rcpt_reply", "_reset_reply", "_step_check", "_timeouts", "_waited_seconds",
        "_was_idle", "capabilities", "sent_count",
    )  # fmt: skip

    def __init__(
        self,
        lane: LaneEvents[Tag],
        capabilities: Capabilities,
        *,
        timeouts: Timeouts,
        depth: int,
        closes_after_refusals: bool = False,
    ) -> None:
        super().__init__(lane.may_send)
        self.capabilities = capabilities
        self._lane, self._timeouts = lane, timeouts
        self._is_chunking, self._is_pipelining = capabilities.chunking, capabilities.pipelining
        self._after_rcpt = _FINAL if capabilities.chunking else _DATA
        self._depth = Depth(
            is_pipelining=capabilities.pipelining,
            is_chunking=capabilities.chunking,
            full=depth,
            is_single=closes_after_refusals,
        )
        self._mail_command = MailCommand(capabilities).write
        self._queue: deque[Outgoing[Tag]] = deque()
        self._held: Outgoing[Tag] | None = None  # its envelope is out, its content waits for the reply to RCPT
        self._is_pumping = False
        self._is_mail_open = False
        self._closing_reply: Reply | None = None
        self._was_idle = False
        self.sent_count = 0
        self._judged_count = 0
        self._waited_seconds = 0.0
        self._step_check = StepCheck[Tag]()
        self._may_be_out_of_step = capabilities.pipelining
        self._reset_reply = self._mail_reply = self._rcpt_reply = self._plain_reply = _NO_REPLY

    def connection_lost(self, exc: Exception | None) -> None:
        loss = self._loss
        if loss is None or not self._is_ending:
            loss = Loss(reason="The relay closed the connection.", follows_refusal=self._is_after_refusal())
        self._transport, self._is_taking, self._is_ending = None, False, True
        for outgoing, _ in self._step_check.release():
            self._lane.on_verdict(outgoing, judge_lost(outgoing, is_content_out=True, reason=loss.reason))
        is_first = True
        while self._queue:
            outgoing = self._queue.popleft()
            verdict = self._judge_lost(outgoing, loss, is_first=is_first)
            is_first = False
            self._judged_count += verdict.is_strike
            self._lane.on_verdict(outgoing, verdict)
        self._lane.on_connection_lost(self, loss)

    # --- called by the pool --------------------------------------------------------------------------

    @property
    def is_idle(self) -> bool:
        return not (self._queue or self._step_check.suspended)

    @property
    def answered_count(self) -> int:
        return self.sent_count + self._judged_count

    def pump(self) -> None:
        """Take messages, and write as many as may be in flight."""
        if self._is_pumping:
            return
        self._is_pumping = True  # The lane may pump again while it gives a message.
        try:
            while self._can_write and self._is_taking and self._may_start_next():
                outgoing = self._lane.take(self.capabilities)
                if outgoing is None:
                    break
                self._start(outgoing)
        finally:
            self._is_pumping = False
            self._flush()

    def send_one_at_a_time(self) -> None:
        """From now on, write nothing of a message before the one before it has its reply."""
        self._depth.become_single()

    def tick(self, seconds: float) -> None:
        """Note that this much time has passed, and drop the connection if it has waited too long for a reply.

        Counting ticks is coarse, but it spares a look at the clock for each reply.
        """
        if self.is_idle:
            self._waited_seconds = 0.0
            self._was_idle = True
            return
        self._waited_seconds += seconds
        stage = self._queue[0].stage if self._queue else _MAIL
        limit = self._timeouts.final_seconds if stage is _FINAL else self._timeouts.command_seconds
        if self._waited_seconds > limit:
            self._drop(Loss(reason=f"The relay did not answer {stage.value} in time."))

    # --- writing -------------------------------------------------------------------------------------

    def _may_start_next(self) -> bool:
        """Whether there is room for one more. An envelope never follows one whose content is still to come.

        So at most one 354 is awaited at a time, and it is clear whose content the relay asks for.
        """
        queue = self._queue
        if not queue:
            return True
        if len(queue) >= self._depth.in_flight_max:
            return False
        return self._held is None if self._is_chunking else queue[-1].stage is _FINAL

    def _start(self, outgoing: Outgoing[Tag]) -> None:
        queue, unwritten, is_chunking = self._queue, self._unwritten, self._is_chunking
        outgoing.stage = _MAIL
        if self._is_mail_open or (queue and is_chunking):
            # If the relay refuses the message before this one, that message's MAIL may still be open, and this RCPT
            # would join it. With DATA the final dot ends it.
            self._is_mail_open = False
            outgoing.stage = _CLEAR
            unwritten.append(b"RSET\r\n")
        if not queue:
            self._waited_seconds, self._was_idle = 0.0, False
        queue.append(outgoing)
        if not self._is_pipelining:
            if outgoing.stage is _MAIL:
                unwritten.append(self._mail_command(outgoing))
            return
        rcpt = b"RCPT TO:<" + outgoing.recipient.encode() + b">\r\n"
        if not is_chunking:
            unwritten += (self._mail_command(outgoing), rcpt, b"DATA\r\n")
        elif self._depth.holds_content:
            self._held = outgoing
            unwritten += (self._mail_command(outgoing), rcpt)
        else:
            content = outgoing.content
            self._gathered.append(outgoing)
            unwritten += (self._mail_command(outgoing), rcpt, b"BDAT %d LAST\r\n" % len(content), content)

    def _write_content(self, outgoing: Outgoing[Tag]) -> None:
        """After the 354: write the content, or an empty one if the relay refused the message before."""
        outgoing.stage = _FINAL
        if outgoing.refusal is not None:
            self._unwritten.append(b".\r\n")
            return
        self._gathered.append(outgoing)
        self._unwritten += (stuff(outgoing.content) if outgoing.has_dots else outgoing.content, b".\r\n")

    def _write_held(self, outgoing: Outgoing[Tag], reply: Reply) -> None:
        """After the reply to RCPT: write the content that waited for it, unless the relay refused the envelope."""
        self._held = None
        if outgoing.refusal is not None:
            self._finish_refused(outgoing, reply)
        else:
            self._gathered.append(outgoing)
            self._unwritten += (b"BDAT %d LAST\r\n" % len(outgoing.content), outgoing.content)

    # --- reading: one method for the reply to each stage ---------------------------------------------

    def _on_reply(self, reply: Reply) -> None:
        if reply.code == 421 or not self._queue:
            self._on_unasked(reply)
            return
        self._waited_seconds = 0.0
        outgoing = self._queue[0]
        stage = outgoing.stage
        if stage is _MAIL and reply.code < 300 and self._is_pipelining:  # as in _on_mail, in less time
            outgoing.stage, self._mail_reply = _RCPT, reply
            return
        if reply.code >= 300 and stage is not _DATA:
            self._note_refusal(outgoing, reply)
        _ON_REPLY[stage](self, outgoing, reply)

    def _note_refusal(self, outgoing: Outgoing[Tag], reply: Reply) -> None:
        """Keep a message's first refusal. A 3xx is not a refusal, but it is right only after DATA."""
        if reply.code < 400:
            raise ReplyViolation(OUT_OF_STEP)
        if outgoing.refusal is None:
            outgoing.refusal = (outgoing.stage, reply)

    def _on_clear(self, outgoing: Outgoing[Tag], reply: Reply) -> None:
        outgoing.stage = _MAIL
        self._reset_reply = reply
        self._depth.last_refusal_at = -1
        if outgoing.refusal is not None:
            self._on_reset_refused(reply)
        elif not self._is_pipelining:
            self._unwritten.append(self._mail_command(outgoing))

    def _on_mail(self, outgoing: Outgoing[Tag], reply: Reply) -> None:
        outgoing.stage = _RCPT
        self._mail_reply = reply
        if not self._is_pipelining:
            self._write_next(outgoing, b"RCPT TO:<" + outgoing.recipient.encode() + b">\r\n", reply)

    def _on_rcpt(self, outgoing: Outgoing[Tag], reply: Reply) -> None:
        outgoing.stage = self._after_rcpt
        self._rcpt_reply = reply
        if self._held is outgoing:
            self._write_held(outgoing, reply)
        elif not self._is_pipelining:
            self._write_next(outgoing, b"DATA\r\n", reply)

    def _write_next(self, outgoing: Outgoing[Tag], command: bytes, reply: Reply) -> None:
        """Without PIPELINING: write a message's next command, unless the relay refused the one before."""
        if outgoing.refusal is None:
            self._unwritten.append(command)
        else:
            self._finish_refused(outgoing, reply)

    def _on_data(self, outgoing: Outgoing[Tag], reply: Reply) -> None:
        if reply.code < 300:
            raise ReplyViolation(OUT_OF_STEP)
        if reply.code < 400:
            self._write_content(outgoing)
        else:
            self._note_refusal(outgoing, reply)
            self._finish_refused(outgoing, reply)

    def _on_final(self, outgoing: Outgoing[Tag], reply: Reply) -> None:
        refusal = outgoing.refusal
        if refusal is not None and (reply.code >= 400 or refusal[0] is not _CLEAR):
            self._finish_refused(outgoing, reply)
            return
        self._queue.popleft()
        if reply is not self._plain_reply and self._looks_misplaced(reply):
            self._step_check.suspend(outgoing, reply)
            self._is_taking = False
        else:
            self.sent_count += 1
            self._lane.on_verdict(outgoing, accept(reply))
            if self.sent_count >= self._depth.grow_at:
                self._depth.grow(self.sent_count)
        if not (self._is_taking or self._queue):
            self._on_drained()

    def _looks_misplaced(self, reply: Reply) -> bool:
        """Whether this acceptance looks like the reply to a command, or follows one that did."""
        if not (self._may_be_out_of_step and (self._queue or self._is_chunking)):
            return False
        if (
            self._step_check.suspended
            or reply in (self._mail_reply, self._rcpt_reply, self._reset_reply)
            or reply.octets.startswith(b"2.1.")  # about an address (RFC 3463 section 3.2)
        ):
            self._plain_reply = _NO_REPLY
            return True
        self._plain_reply = reply  # A relay that always says the same is looked at once.
        return False

    # --- what a reply means for the connection -------------------------------------------------------

    def _finish_refused(self, outgoing: Outgoing[Tag], reply: Reply) -> None:
        """Give the verdict on a refused message, and be careful with the next ones."""
        self._queue.popleft()
        stage, refusal = outgoing.refusal or (_MAIL, reply)
        has_no_mail = stage is _MAIL and (not self._is_pipelining or self._rcpt_reply.code >= 400)
        is_over = outgoing.stage is _FINAL and not self._is_chunking  # the final dot ended it
        self._is_mail_open = not (self._queue or has_no_mail or is_over)
        self._depth.note_refusal(self.sent_count)
        verdict = requeue_unreset(refusal) if stage is _CLEAR else judge(stage, refusal)
        self._judged_count += verdict.outcome is not Outcome.REQUEUED
        self._lane.on_verdict(outgoing, verdict)
        if self._depth.is_used_up:
            self._close_when_drained(Loss(reason=ENOUGH_REFUSALS))
        if not (self._is_taking or self._queue):
            self._on_drained()

    def _on_reset_refused(self, reply: Reply) -> None:
        """End the connection: a MAIL may be open that the next RCPT would join."""
        loss = Loss(reason=requeue_unreset(reply).reply, follows_refusal=True)
        self._close_when_drained(loss)
        if not self._is_chunking or self._queue[0] is self._held:  # no content is out
            self._drop(loss)

    def _on_drained(self) -> None:
        """Go on when nothing is in flight and nothing may be taken."""
        if self._step_check.suspended:
            self._ask()
        elif not self._is_ending:
            self.quit()

    def _on_unasked(self, reply: Reply) -> None:
        if reply.code == 421:
            self._on_closing(reply)
        elif self._step_check.suspended:
            self._on_answer(reply)
        else:
            raise ReplyViolation("The relay sent a reply to no command.")

    def _on_closing(self, reply: Reply) -> None:
        """A relay may say 421 at any time, and processes nothing that follows (RFC 5321 section 3.8)."""
        self._closing_reply = reply
        head = self._queue[0] if self._queue else None
        self._drop(explain_closing(reply, head, follows_refusal=self._is_after_refusal()))

    def _is_after_refusal(self) -> bool:
        """Whether a refusal is the last thing that the relay said about a message."""
        head = self._queue[0] if self._queue else None
        if head is not None and head.refusal is not None:
            return True
        if self._depth.last_refusal_at != self.sent_count:
            return False
        return not self._was_idle if head is None else head.stage in (_CLEAR, _MAIL)

    # --- acceptances that may answer another command -------------------------------------------------

    def _ask(self) -> None:
        self._waited_seconds = 0.0
        self._unwritten.append(self._step_check.ask())

    def _on_answer(self, reply: Reply) -> None:
        """Record what was suspended, if this reply shows that every reply before it was in its place."""
        if not self._step_check.is_answered_by(reply):
            self._ask()
            return
        self._may_be_out_of_step, self._is_taking = False, self._loss is None
        for outgoing, accepted in self._step_check.release():
            self.sent_count += 1
            self._lane.on_verdict(outgoing, accept(accepted))
        if self._step_check.ends_connection or not self._is_taking:
            self.quit()

    # --- the end -------------------------------------------------------------------------------------

    def _judge_lost(self, outgoing: Outgoing[Tag], loss: Loss, *, is_first: bool) -> Verdict:
        closing_reply, reason = self._closing_reply, loss.reason
        if closing_reply is not None:
            is_answered = is_first and not loss.follows_refusal
            return judge_closed(outgoing, closing_reply=closing_reply if is_answered else None, reason=reason)
        # Without its content, a BDAT message is only an envelope. Otherwise both left together.
        is_content_out = outgoing is not self._held if self._is_chunking else outgoing.stage is _FINAL
        is_content_out = is_content_out and outgoing not in self._gathered
        verdict = judge_lost(outgoing, is_content_out=is_content_out, reason=reason)
        return verdict._replace(is_strike=False) if self._is_loss_ours else verdict


_ON_REPLY: dict[Stage, Callable[[Session[Any], Outgoing[Any], Reply], None]] = {
    Stage.CLEAR: Session._on_clear,
    Stage.MAIL: Session._on_mail,
    Stage.RCPT: Session._on_rcpt,
    Stage.DATA: Session._on_data,
    Stage.FINAL: Session._on_final,
}
