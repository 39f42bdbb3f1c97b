"""What an exception of a Django email backend says about one message, and whether the connection can be used again.

Backends raise what they like. An exception of smtplib names the command that failed. An HTTP status says whose fault it
was. After any other exception nobody can know whether the message went out.
"""

from __future__ import annotations

import smtplib
import socket
from collections.abc import Mapping
from typing import NamedTuple

from batches.outcomes import Outcome
from batches.smtp.connection import Loss
from batches.smtp.replies import Reply
from batches.smtp.verdicts import Stage, Verdict, is_relay_error, judge

_NOT_NOW = (425, 429, 503)
"""HTTP: the provider took nothing and may take the message later."""
_NOT_US = (401, 402, 403, 407)
"""HTTP: the provider refuses us, for every recipient."""
_DOUBTFUL = 408
"""HTTP 408 says that the request timed out, not what became of it. The same holds for each 5xx except 503."""


class BackendResult(NamedTuple):
    """The verdict on one message; and a loss, if the connection must not be used again."""

    verdict: Verdict
    loss: Loss | None = None


def judge_exception(exc: Exception, *, recipient: str) -> BackendResult:
    """Return what became of the message whose sending raised this exception."""
    if isinstance(exc, smtplib.SMTPRecipientsRefused):
        return _judge_reply(Stage.RCPT, *_own_refusal(exc.recipients, recipient))
    if isinstance(exc, smtplib.SMTPSenderRefused):
        return _judge_reply(Stage.MAIL, exc.smtp_code, exc.smtp_error)
    if isinstance(exc, (smtplib.SMTPConnectError, smtplib.SMTPHeloError, smtplib.SMTPAuthenticationError)):
        return _requeue(exc)
    if isinstance(exc, smtplib.SMTPResponseException):
        return _judge_reply(Stage.FINAL, exc.smtp_code, exc.smtp_error)
    if isinstance(exc, (ConnectionRefusedError, socket.gaierror, smtplib.SMTPNotSupportedError)):
        return _requeue(exc)
    if type(exc).__name__.endswith("RecipientsRefused"):  # anymail's own: the provider refuses the address
        return BackendResult(Verdict(Outcome.FAILED, 0, describe(exc)))
    return _judge_status(exc)


def _own_refusal(refused: Mapping[str, tuple[int, bytes | str]], recipient: str) -> tuple[int, bytes | str]:
    """Return the recipient's own refusal. A backend may spell the address differently from us."""
    return refused.get(recipient) or next(iter(refused.values()))


def _judge_reply(stage: Stage, code: int, said: bytes | str) -> BackendResult:
    reply = Reply(code, said if isinstance(said, bytes) else said.encode())
    if code == 421 or code < 400:  # smtplib uses -1 for a line that is not a reply
        reason = f"The relay closed the connection ({code} {reply.text})."
        return BackendResult(Verdict(Outcome.REQUEUED, 0, reason), Loss(reason=reason, has_too_many_connections=True))
    loss = None
    if is_relay_error(stage, reply):
        loss = Loss(reason=f"The relay refuses our mail ({code} {reply.text}).", is_relay_error=True)
    return BackendResult(judge(stage, reply), loss)


def _requeue(exc: Exception) -> BackendResult:
    """Requeue the message: the relay error came before it, so it costs no attempt."""
    reason = f"The email backend takes no mail: {describe(exc)}"
    return BackendResult(Verdict(Outcome.REQUEUED, 0, reason), Loss(reason=reason, is_relay_error=True))


def _judge_status(exc: Exception) -> BackendResult:
    """Judge by the HTTP status that an exception of anymail or requests carries. Without one, nobody knows."""
    status = getattr(exc, "status_code", None) or getattr(getattr(exc, "response", None), "status_code", None)
    if status in _NOT_US:
        return _requeue(exc)
    if status in _NOT_NOW:
        return BackendResult(Verdict(Outcome.DEFERRED, 0, describe(exc)))
    if isinstance(status, int) and 400 <= status < 500 and status != _DOUBTFUL:
        return BackendResult(Verdict(Outcome.FAILED, 0, describe(exc)))
    reason = f"{describe(exc)} The backend had the message, so it may have gone out."
    return BackendResult(Verdict(Outcome.UNKNOWN, 0, reason), Loss(reason=describe(exc)))


def describe(exc: Exception) -> str:
    """Say in one sentence, for a person, what the exception says."""
    if isinstance(exc, smtplib.SMTPResponseException):
        said = exc.smtp_error
        return f"{exc.smtp_code} {said.decode('utf-8', 'replace') if isinstance(said, bytes) else said}."
    words = Reply(0, str(exc).encode("utf-8", "replace")).text.rstrip(".")
    return f"{type(exc).__name__}: {words}." if words else f"{type(exc).__name__}."
