"""What an exception of a Django email backend says about one message, and whether the connection can be used again.

Backends raise what they like. An exception of smtplib names the command that failed, and its reply is judged as a
relay's. An HTTP status says whose fault it was, unless a reply rule names the provider's words. After any other
exception nobody can know whether the message went out.
"""

from __future__ import annotations

import re
import smtplib
import socket
import ssl
from collections.abc import Mapping
from typing import Any, NamedTuple

from batches.outcomes import Outcome, ReplyMeaning
from batches.smtp.connection import Loss
from batches.smtp.replies import Reply
from batches.smtp.stated_waits import WAIT_MAX_SECONDS
from batches.smtp.verdicts import Stage, Verdict, judge

_OURS = {
    401: ReplyMeaning.LOGIN,
    402: ReplyMeaning.QUOTA,
    403: ReplyMeaning.LOGIN,
    407: ReplyMeaning.LOGIN,
    425: ReplyMeaning.RELAY,
    429: ReplyMeaning.RATE,
    503: ReplyMeaning.RELAY,
}
"""HTTP: the provider took nothing from us and would take nothing for any recipient, now or until we pay or log in."""
_TEMPORARY = (425, 429, 503)
_NOT_FOUND = 404
"""HTTP 404 may be about the recipient. It is also Mailgun's "Domain not found" for a sender's domain, and any
provider's for a wrong URL. So it counts as one recipient's only while others are accepted: the breaker decides."""
_DOUBTFUL = 408
"""HTTP 408 says that the request timed out, not what became of it. The same holds for each 5xx except 503."""


class BackendResult(NamedTuple):
    """The verdict on one message; and a loss, if the connection must not be used again."""

    verdict: Verdict
    loss: Loss | None = None


def judge_exception(exc: Exception, *, recipient: str) -> BackendResult:
    """Return what became of the message whose sending raised this exception."""
    if isinstance(exc, smtplib.SMTPRecipientsRefused) and exc.recipients:
        return _judge_reply(Stage.RCPT, *_own_refusal(exc.recipients, recipient))
    if isinstance(exc, smtplib.SMTPSenderRefused):
        return _judge_reply(Stage.MAIL, exc.smtp_code, exc.smtp_error)
    if isinstance(exc, smtplib.SMTPAuthenticationError):
        return _refuse_connection(exc, judge(Stage.LOGIN, _reply(exc.smtp_code, exc.smtp_error)))
    if isinstance(exc, (smtplib.SMTPConnectError, smtplib.SMTPHeloError)):
        return _refuse_connection(exc, judge(Stage.CONNECT, _reply(exc.smtp_code, exc.smtp_error)))
    if isinstance(exc, smtplib.SMTPResponseException):
        return _judge_reply(Stage.FINAL, exc.smtp_code, exc.smtp_error)
    if isinstance(exc, smtplib.SMTPNotSupportedError):
        return _judge_unsupported(exc)
    # Nothing is sent before the certificate was checked.
    if isinstance(exc, (ConnectionRefusedError, socket.gaierror, ssl.SSLCertVerificationError)):
        return _refuse_connection(exc, _requeued(exc, ReplyMeaning.RELAY))
    if type(exc).__name__.endswith("RecipientsRefused"):  # anymail's own: the provider refuses the address
        return BackendResult(Verdict(Outcome.FAILED, 0, describe(exc), ReplyMeaning.RECIPIENT))
    return _judge_status(exc)


def _own_refusal(refused: Mapping[str, tuple[int, bytes | str]], recipient: str) -> tuple[int, bytes | str]:
    """Return the recipient's own refusal. A backend may spell the address differently from us."""
    return refused.get(recipient) or next(iter(refused.values()))


def _reply(code: Any, said: Any) -> Reply:
    """Make a Reply of what an exception holds. smtplib's types are not enforced, so a backend may have put others."""
    text = said if isinstance(said, bytes) else str(said or "").encode("utf-8", "replace")
    return Reply(int(code) if re.fullmatch(r"[45]\d\d", str(code), re.ASCII) else -1, text)


def _judge_reply(stage: Stage, code: Any, said: Any) -> BackendResult:
    reply = _reply(code, said)
    if reply.code == -1 and stage is Stage.FINAL:  # smtplib's code for a line that is not a reply
        reason = f"The relay's reply can't be read ({code} {reply.text}). The message was out, so it may have gone out."
        return BackendResult(Verdict(Outcome.UNKNOWN, 0, reason), Loss(reason=reason))
    if reply.code in (421, -1):
        reason = f"The relay closed the connection ({code} {reply.text})."
        return BackendResult(Verdict(Outcome.REQUEUED, 0, reason), Loss(reason=reason, has_too_many_connections=True))
    return BackendResult(judge(stage, reply))


def _judge_unsupported(exc: smtplib.SMTPNotSupportedError) -> BackendResult:
    """Judge what smtplib refuses itself: an address that the relay cannot take, or a login that it does not offer."""
    if "SMTPUTF8" in str(exc):
        return BackendResult(Verdict(Outcome.FAILED, 0, describe(exc), ReplyMeaning.RECIPIENT))
    return _refuse_connection(exc, _requeued(exc, ReplyMeaning.LOGIN))


def _requeued(exc: Exception, meaning: ReplyMeaning) -> Verdict:
    return Verdict(Outcome.REQUEUED, 0, f"The email backend takes no mail: {describe(exc)}", meaning)


def _refuse_connection(exc: Exception, verdict: Verdict) -> BackendResult:
    """Requeue the message: the refusal came before it, and would meet the next one on this connection too."""
    reason = f"The email backend takes no mail: {describe(exc)}"
    return BackendResult(verdict._replace(code=0, reply=reason), Loss(reason=reason, is_relay_error=True))


def _judge_status(exc: Exception) -> BackendResult:
    """Judge by the provider's words and the HTTP status that an exception carries. Without a status, nobody knows."""
    response = getattr(exc, "response", None)
    status = _find_status(exc, response)
    if status is None or not (400 <= status < 500 or status in _OURS) or status == _DOUBTFUL:
        reason = f"{describe(exc)} The backend had the message, so it may have gone out."
        return BackendResult(Verdict(Outcome.UNKNOWN, 0, reason), Loss(reason=describe(exc)))
    # A status has three digits as a reply has, but other ones: only "temporary" and "permanent" are the same.
    verdict = judge(Stage.FINAL, Reply(450 if status in _TEMPORARY else 550, describe(exc).encode("utf-8", "replace")))
    is_ours = verdict.is_recognised and verdict.meaning not in (None, ReplyMeaning.RECIPIENT)
    if status in _OURS and not is_ours:  # "Domain not found" is then said of the sender's
        verdict = _requeued(exc, _OURS[status])
    if status == _NOT_FOUND and verdict.meaning is ReplyMeaning.RECIPIENT:
        verdict = verdict._replace(meaning=ReplyMeaning.SENDER, is_recognised=False)
    wait_seconds = verdict.wait_seconds if verdict.wait_seconds is not None else _find_wait(response)
    return BackendResult(verdict._replace(code=0, wait_seconds=wait_seconds))


def _find_status(exc: Exception, response: Any) -> int | None:
    """Return the HTTP status of an exception of anymail, requests or boto3, or None."""
    status = getattr(exc, "status_code", None) or getattr(response, "status_code", None)
    if status is None and isinstance(response, Mapping):
        status = response.get("ResponseMetadata", {}).get("HTTPStatusCode")
    return status if isinstance(status, int) else None


def _find_wait(response: Any) -> float | None:
    """Return the seconds of the Retry-After header (RFC 9110 section 10.2.3), or None. A date there is left out."""
    headers = getattr(response, "headers", None)
    stated = str(headers.get("Retry-After", "")) if isinstance(headers, Mapping) else ""
    return float(min(max(int(stated), 1), WAIT_MAX_SECONDS)) if re.fullmatch(r"\d{1,6}", stated) else None


def describe(exc: Exception) -> str:
    """Say in one sentence, for a person, what the exception says."""
    if isinstance(exc, smtplib.SMTPResponseException):
        said = exc.smtp_error
        return f"{exc.smtp_code} {said.decode('utf-8', 'replace') if isinstance(said, bytes) else said}."
    words = Reply(0, str(exc).encode("utf-8", "replace")).text.rstrip(".")
    return f"{type(exc).__name__}: {words}." if words else f"{type(exc).__name__}."
