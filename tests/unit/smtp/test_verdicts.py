"""What a reply, a lost connection or a backend's exception says about one message."""

from __future__ import annotations

import smtplib
import socket

import pytest

from batches.outcomes import Outcome
from batches.smtp.backend_verdicts import judge_exception
from batches.smtp.replies import Reply
from batches.smtp.verdicts import Stage, Verdict, is_relay_error, judge, judge_lost

SENT, DEFERRED, FAILED, UNKNOWN, REQUEUED = (
    Outcome.SENT,
    Outcome.DEFERRED,
    Outcome.FAILED,
    Outcome.UNKNOWN,
    Outcome.REQUEUED,
)


@pytest.mark.parametrize("stage", Stage)
def test_message_is_deferred_when_the_relay_says_4xx(stage: Stage) -> None:
    assert judge(stage, Reply(451, b"4.3.0 Later")) == Verdict(DEFERRED, 451, "4.3.0 Later")


@pytest.mark.parametrize(
    ("stage", "outcome"),
    [
        (Stage.CLEAR, REQUEUED),
        (Stage.MAIL, REQUEUED),
        (Stage.RCPT, FAILED),
        (Stage.DATA, FAILED),
        (Stage.FINAL, FAILED),
        (Stage.RESET, FAILED),
    ],
)
def test_only_a_refusal_of_the_message_fails_it_when_the_relay_says_5xx(stage: Stage, outcome: Outcome) -> None:
    reply = Reply(550, b"5.7.1 No")
    assert judge(stage, reply) == Verdict(outcome, 550, "5.7.1 No")
    assert is_relay_error(stage, reply) == (outcome is REQUEUED)


@pytest.mark.parametrize("reply", [Reply(552, b"Too big"), Reply(552, b"5.3.4 Too big"), Reply(554, b"5.3.4 Too big")])
def test_message_fails_alone_when_its_size_is_refused_at_mail(reply: Reply) -> None:
    """Otherwise one big message would stop its whole job."""
    assert not is_relay_error(Stage.MAIL, reply)
    assert judge(Stage.MAIL, reply).outcome is FAILED


@pytest.mark.parametrize(
    ("stage", "is_content_out", "outcome"),
    [
        (Stage.MAIL, False, REQUEUED),
        (Stage.RCPT, False, DEFERRED),
        (Stage.DATA, False, DEFERRED),
        (Stage.FINAL, True, UNKNOWN),
        (Stage.CLEAR, True, UNKNOWN),
        (Stage.MAIL, True, UNKNOWN),
        (Stage.RCPT, True, UNKNOWN),
    ],
)
def test_message_is_in_doubt_only_when_its_content_was_out(
    stage: Stage, is_content_out: bool, outcome: Outcome
) -> None:
    verdict = judge_lost(stage, is_content_out=is_content_out, reason="The relay closed the connection.")
    assert (verdict.outcome, verdict.code) == (outcome, 0)
    assert verdict.reply.startswith("The relay closed the connection.")
    assert ("may have taken it" in verdict.reply) == (outcome is UNKNOWN)


class HttpError(Exception):
    """It carries an HTTP status, as the exceptions of anymail and requests do."""

    def __init__(self, status_code: int) -> None:
        super().__init__("the provider said no")
        self.status_code = status_code


class HttpErrorWithResponse(Exception):
    def __init__(self, status_code: int) -> None:
        self.response = HttpError(status_code)


@pytest.mark.parametrize("kind", [HttpError, HttpErrorWithResponse])
@pytest.mark.parametrize(
    ("status", "outcome"),
    [
        (400, FAILED),
        (404, FAILED),
        (422, FAILED),
        (401, REQUEUED),
        (402, REQUEUED),
        (403, REQUEUED),
        (407, REQUEUED),
        (425, DEFERRED),
        (429, DEFERRED),
        (503, DEFERRED),
        (408, UNKNOWN),
        (500, UNKNOWN),
        (502, UNKNOWN),
        (504, UNKNOWN),
    ],
)
def test_outcome_says_who_refused_when_a_provider_answers_with_a_status(
    kind: type[HttpError | HttpErrorWithResponse], status: int, outcome: Outcome
) -> None:
    result = judge_exception(kind(status), recipient="a@x.org")
    assert result.verdict.outcome is outcome
    assert (result.loss is not None) == (outcome in (REQUEUED, UNKNOWN))
    assert (result.loss is not None and result.loss.is_relay_error) == (outcome is REQUEUED)


@pytest.mark.parametrize(
    ("exc", "outcome", "is_relay_error"),
    [
        (smtplib.SMTPRecipientsRefused({"A@x.org": (550, b"5.1.1 No")}), FAILED, None),
        (smtplib.SMTPRecipientsRefused({"a@x.org": (450, b"4.2.0 Later")}), DEFERRED, None),
        (smtplib.SMTPSenderRefused(550, b"5.7.1 Not you", "f@x.org"), REQUEUED, True),
        (smtplib.SMTPSenderRefused(552, b"5.3.4 Too big", "f@x.org"), FAILED, None),
        (smtplib.SMTPDataError(554, b"5.6.0 No"), FAILED, None),
        (smtplib.SMTPDataError(421, b"4.3.2 Going down"), REQUEUED, False),
        (smtplib.SMTPDataError(-1, b"no reply at all"), REQUEUED, False),
        (smtplib.SMTPAuthenticationError(535, b"5.7.8 No"), REQUEUED, True),
        (smtplib.SMTPConnectError(554, b"Go away"), REQUEUED, True),
        (smtplib.SMTPNotSupportedError("no SMTPUTF8"), REQUEUED, True),
        (ConnectionRefusedError(111, "Connection refused"), REQUEUED, True),
        (socket.gaierror(-2, "Name or service not known"), REQUEUED, True),
        (smtplib.SMTPServerDisconnected("gone"), UNKNOWN, False),
        (TimeoutError("timed out"), UNKNOWN, False),
        (ValueError("a bug"), UNKNOWN, False),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Exception) else str(value),
)
def test_verdict_follows_from_the_exception_when_a_backend_raises(
    exc: Exception, outcome: Outcome, is_relay_error: bool | None
) -> None:
    """None: the connection can be used again."""
    result = judge_exception(exc, recipient="a@x.org")
    assert result.verdict.outcome is outcome
    assert (None if result.loss is None else result.loss.is_relay_error) == is_relay_error
