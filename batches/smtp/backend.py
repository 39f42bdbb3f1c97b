"""Deliver through another Django email backend, if EMAIL_BACKEND names one.

A connection is an instance of the backend, kept open in a thread of its own. It sends one message at a time. To the
pool it looks like a ``session.Session``. docs/email-backends.md says what it cannot do.
"""

from __future__ import annotations

import asyncio
import contextlib
import re
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from email import message_from_bytes
from email.header import decode_header, make_header
from email.message import Message as ParsedMessage
from functools import lru_cache
from smtplib import SMTPResponseException
from typing import Any, Generic

from django.core.mail import EmailMultiAlternatives, get_connection
from django.db import connections

from batches.mailboxes import Mailbox, split_mailbox
from batches.outcomes import Outcome
from batches.smtp.backend_verdicts import BackendResult, describe, judge_exception
from batches.smtp.connection import Capabilities, LaneEvents, Loss, Outgoing, Tag, Timeouts
from batches.smtp.relay import RelayError
from batches.smtp.verdicts import Verdict

_CAPABILITIES = Capabilities(eight_bit=True, smtputf8=True)
_LINE_END = re.compile(r"\r?\n")
_MADE_BY_DJANGO = ("subject", "from", "reply-to", "to", "mime-version", "content-type", "content-transfer-encoding")


@dataclass(frozen=True, kw_only=True, slots=True)
class Backend:
    """A Django email backend, by its dotted path. It takes the place of the relay."""

    path: str

    def __str__(self) -> str:
        return self.path


async def open_backend(backend: Backend, *, lane: LaneEvents[Tag], timeouts: Timeouts) -> BackendSession[Tag]:
    """Open an instance of the backend in a new thread, and return a session that is ready for its first message.

    Raises:
        RelayError: there is no such backend, or it cannot be opened.
    """
    executor = ThreadPoolExecutor(max_workers=1, thread_name_prefix="email-backend")
    opening = asyncio.get_running_loop().run_in_executor(executor, _open, backend.path)
    try:
        connection = await asyncio.wait_for(opening, timeouts.connect_seconds)
    except Exception as exc:
        executor.shutdown(wait=False)
        has_too_many_connections = isinstance(exc, SMTPResponseException) and exc.smtp_code == 421
        raise RelayError(
            f"The email backend {backend} can't be used: {describe(exc)}",
            has_too_many_connections=has_too_many_connections,
        ) from exc
    except asyncio.CancelledError:
        executor.shutdown(wait=False)
        raise
    return BackendSession(connection, executor, lane=lane, timeouts=timeouts)


def _open(path: str) -> Any:
    connection = get_connection(path)
    connection.open()
    return connection


class BackendSession(Generic[Tag]):
    """One open instance of a backend, from its first message to its end."""

    def __init__(
        self, connection: Any, executor: ThreadPoolExecutor, *, lane: LaneEvents[Tag], timeouts: Timeouts
    ) -> None:
        self.capabilities = _CAPABILITIES
        self.sent_count = self.answered_count = 0
        self._connection, self._executor = connection, executor
        self._lane, self._timeouts = lane, timeouts
        self._loop = asyncio.get_running_loop()
        self._outgoing: Outgoing[Tag] | None = None
        self._waited_seconds = 0.0
        self._is_ending = False

    @property
    def is_idle(self) -> bool:
        return self._outgoing is None

    def send_one_at_a_time(self) -> None:
        """Change nothing: a backend has one message at a time."""

    def pump(self) -> None:
        """Take a message and pass it to the backend, unless the backend has one."""
        if self._outgoing is not None or self._is_ending:
            return
        outgoing = self._lane.take(self.capabilities)
        if outgoing is None:
            return
        if not self._lane.may_send():
            self._lane.on_verdict(outgoing, Verdict(Outcome.REQUEUED, 0, "The lane's lease ran out."))
            return
        self._outgoing, self._waited_seconds = outgoing, 0.0
        sending = self._loop.run_in_executor(self._executor, self._send, outgoing)
        sending.add_done_callback(self._on_sent)

    def _send(self, outgoing: Outgoing[Tag]) -> BackendResult:
        """Send one message. Runs in the backend's thread."""
        try:
            message = to_django(outgoing)
        except Exception as exc:
            return BackendResult(Verdict(Outcome.FAILED, 0, f"The message cannot be made for Django. {describe(exc)}"))
        try:
            count = self._connection.send_messages([message])
        except Exception as exc:
            return judge_exception(exc, recipient=outgoing.recipient)
        if count == 0:
            return BackendResult(Verdict(Outcome.DEFERRED, 0, "The email backend says that it sent nothing."))
        return BackendResult(Verdict(Outcome.SENT, 0, _acceptance(message)))

    def _on_sent(self, sending: asyncio.Future[BackendResult]) -> None:
        result = sending.result()
        outgoing, self._outgoing = self._outgoing, None
        if outgoing is None or self._is_ending:
            return  # abort() has given the message its verdict.
        outcome = result.verdict.outcome
        self.sent_count += outcome is Outcome.SENT
        self.answered_count += outcome not in (Outcome.REQUEUED, Outcome.UNKNOWN)
        self._lane.on_verdict(outgoing, result.verdict)
        if result.loss is not None:
            self._end(result.loss)
        else:
            self.pump()

    def quit(self) -> None:
        """Close the backend. Only for an idle session."""
        self._end(Loss(reason="We closed the connection."))

    def abort(self, loss: Loss) -> None:
        """End at once. The backend may still send the message that it has, because its thread cannot be stopped."""
        outgoing, self._outgoing = self._outgoing, None
        if outgoing is not None:
            reason = f"{loss.reason} The backend had the message, so it may have gone out."
            self._lane.on_verdict(outgoing, Verdict(Outcome.UNKNOWN, 0, reason))
        self._end(loss, is_stuck=outgoing is not None)

    def tick(self, seconds: float) -> None:
        """Note that this much time has passed, and give up on a backend that does not return."""
        self._waited_seconds += seconds
        if self._outgoing is not None and self._waited_seconds > self._timeouts.final_seconds:
            self.abort(Loss(reason="The email backend did not answer in time."))

    def _end(self, loss: Loss, *, is_stuck: bool = False) -> None:
        if self._is_ending:
            return
        self._is_ending = True
        closing = self._loop.run_in_executor(self._executor, self._close)
        self._executor.shutdown(wait=False)
        if is_stuck:
            self._loop.call_soon(self._lane.on_connection_lost, self, loss)
        else:
            closing.add_done_callback(lambda _: self._lane.on_connection_lost(self, loss))

    def _close(self) -> None:
        """Close the backend, in its thread. What it raises is ignored: every message has its verdict by now."""
        with contextlib.suppress(Exception):
            self._connection.close()
        connections.close_all()  # This thread's own connections, if the backend used the database.


def to_django(outgoing: Outgoing[Any]) -> EmailMultiAlternatives:
    """Convert a rendered message to Django's kind, with our Message-ID, Date and other headers."""
    # The old policy parses headers much faster than the new one. That is safe: we wrote these headers ourselves.
    parsed = message_from_bytes(outgoing.content)
    bodies = {part.get_content_subtype(): _content(part) for part in parsed.walk() if not part.is_multipart()}
    message = EmailMultiAlternatives(
        subject=_decode(_LINE_END.sub("", parsed["Subject"])),
        body=bodies["plain"] if "plain" in bodies else bodies["html"],
        from_email=_decode_mailbox(parsed["From"]),
        to=[outgoing.recipient],
        reply_to=[_decode_mailbox(parsed["Reply-To"])] if "Reply-To" in parsed else None,
        headers={name: value for name, value in parsed.items() if name.lower() not in _MADE_BY_DJANGO},
    )
    if "plain" not in bodies:
        message.content_subtype = "html"
    elif "html" in bodies:
        message.attach_alternative(bodies["html"], "text/html")
    return message


def _content(part: ParsedMessage[str, str]) -> str:
    octets = part.get_payload(decode=True)
    return octets.decode().replace("\r\n", "\n") if isinstance(octets, bytes) else ""


def _decode(value: str) -> str:
    return str(make_header(decode_header(value))) if "=?" in value else value


@lru_cache(maxsize=8)
def _decode_mailbox(value: str) -> str:
    """Decode a From or Reply-To field. It is cached because all messages of a job have the same."""
    name, address = split_mailbox(_LINE_END.sub("", value))
    return str(Mailbox(_decode(name), address))


def _acceptance(message: Any) -> str:
    """Return what takes the place of a relay's reply: the provider's id, if the backend (anymail) gives one."""
    provider_id = getattr(getattr(message, "anymail_status", None), "message_id", None)
    return f"The email backend accepted it{f' as {provider_id}' if provider_id else ''}."
