"""What a reply or a backend's exception says about one message."""

from __future__ import annotations

import smtplib
import socket
import ssl

import pytest

from batches.outcomes import Outcome, ReplyMeaning
from batches.smtp.backend_verdicts import judge_exception
from batches.smtp.replies import Reply
from batches.smtp.verdicts import Stage, judge

SENT, DEFERRED, FAILED, UNKNOWN, REQUEUED = (
    Outcome.SENT,
    Outcome.DEFERRED,
    Outcome.FAILED,
    Outcome.UNKNOWN,
    Outcome.REQUEUED,
)


OF_ONE_EMAIL = (Stage.RCPT, Stage.DATA, Stage.FINAL)


@pytest.mark.parametrize("stage", Stage)
def test_message_is_deferred_only_where_the_recipient_is_named_when_the_relay_says_4xx(stage: Stage) -> None:
    verdict = judge(stage, Reply(451, b"4.9.9 Later"))
    assert (verdict.outcome, verdict.code, verdict.reply) == (
        DEFERRED if stage in OF_ONE_EMAIL else REQUEUED,
        451,
        "4.9.9 Later",
    )
    assert (verdict.meaning is None) == (stage in OF_ONE_EMAIL)
    assert verdict.is_recognised == (stage is Stage.LOGIN)


@pytest.mark.parametrize("stage", Stage)
def test_message_fails_only_where_the_recipient_is_named_when_the_relay_says_5xx(stage: Stage) -> None:
    verdict = judge(stage, Reply(550, b"5.9.9 No"))
    assert (verdict.outcome, verdict.code) == (FAILED if stage in OF_ONE_EMAIL else REQUEUED, 550)
    assert (verdict.meaning is None) == (stage in OF_ONE_EMAIL)
    assert verdict.is_recognised == (stage is Stage.LOGIN)


@pytest.mark.parametrize("reply", [Reply(552, b"Too big"), Reply(552, b"5.3.4 Too big"), Reply(554, b"5.3.4 Too big")])
def test_message_fails_alone_when_its_size_is_refused_at_mail(reply: Reply) -> None:
    """Otherwise one big message would pause the relay for everybody."""
    assert judge(Stage.MAIL, reply)[:4] == (FAILED, reply.code, reply.text, ReplyMeaning.CONTENT)


class HttpError(Exception):
    """It carries an HTTP status, as the exceptions of anymail and requests do."""

    def __init__(self, status_code: int, words: str = "the provider said no") -> None:
        super().__init__(words)
        self.status_code = status_code


class Response:
    def __init__(self, status_code: int, retry_after: str) -> None:
        self.status_code, self.headers = status_code, {"Retry-After": retry_after}


class HttpErrorWithResponse(Exception):
    def __init__(self, status_code: int, *, retry_after: str = "") -> None:
        super().__init__("the provider said no")
        self.response = Response(status_code, retry_after)


class AmazonError(Exception):
    """It carries its answer as boto3's ClientError does."""

    def __init__(self, status_code: int, words: str) -> None:
        super().__init__(words)
        self.response = {"Error": {"Message": words}, "ResponseMetadata": {"HTTPStatusCode": status_code}}


@pytest.mark.parametrize("kind", [HttpError, HttpErrorWithResponse])
@pytest.mark.parametrize(
    ("status", "outcome", "meaning"),
    [
        (400, FAILED, None),
        (404, FAILED, None),
        (422, FAILED, None),
        (401, REQUEUED, ReplyMeaning.LOGIN),
        (402, REQUEUED, ReplyMeaning.QUOTA),
        (403, REQUEUED, ReplyMeaning.LOGIN),
        (407, REQUEUED, ReplyMeaning.LOGIN),
        (425, REQUEUED, ReplyMeaning.RELAY),
        (429, REQUEUED, ReplyMeaning.RATE),
        (503, REQUEUED, ReplyMeaning.RELAY),
        (408, UNKNOWN, None),
        (500, UNKNOWN, None),
        (502, UNKNOWN, None),
        (504, UNKNOWN, None),
    ],
)
def test_outcome_says_who_refused_when_a_provider_answers_with_a_status(
    kind: type[HttpError | HttpErrorWithResponse], status: int, outcome: Outcome, meaning: ReplyMeaning | None
) -> None:
    result = judge_exception(kind(status), recipient="a@x.org")
    assert (result.verdict.outcome, result.verdict.meaning, result.verdict.code) == (outcome, meaning, 0)
    assert (result.loss is not None) == (outcome is UNKNOWN)


@pytest.mark.parametrize(
    ("exc", "outcome", "meaning", "wait_seconds"),
    [
        (AmazonError(400, "Daily message quota exceeded."), REQUEUED, ReplyMeaning.QUOTA, 600),
        (AmazonError(400, "Maximum sending rate exceeded."), REQUEUED, ReplyMeaning.RATE, 1),
        (AmazonError(400, "Illegal header."), FAILED, None, None),
        (AmazonError(500, "Internal failure."), UNKNOWN, None, None),
        (HttpError(401, "Maximum credits exceeded"), REQUEUED, ReplyMeaning.QUOTA, 3600),
        (HttpError(400, "5.1.1 <quota@x.org>: no such user"), FAILED, ReplyMeaning.RECIPIENT, None),
        (HttpError(403, "Domain not found: school.example"), REQUEUED, ReplyMeaning.LOGIN, None),
        (HttpError(404, "Domain not found: school.example"), FAILED, ReplyMeaning.SENDER, None),
        (
            AmazonError(400, "An error occurred (MessageRejected): Address blacklisted."),
            FAILED,
            ReplyMeaning.RECIPIENT,
            None,
        ),
        (HttpErrorWithResponse(429, retry_after="17"), REQUEUED, ReplyMeaning.RATE, 17),
        (HttpErrorWithResponse(429, retry_after="9999999"), REQUEUED, ReplyMeaning.RATE, None),
        (HttpErrorWithResponse(503, retry_after="999999"), REQUEUED, ReplyMeaning.RELAY, 86400),
    ],
)
def test_words_of_a_provider_are_read_by_the_reply_rules_when_it_answers_with_a_status(
    exc: Exception, outcome: Outcome, meaning: ReplyMeaning | None, wait_seconds: float | None
) -> None:
    verdict = judge_exception(exc, recipient="a@x.org").verdict
    assert (verdict.outcome, verdict.meaning, verdict.wait_seconds) == (outcome, meaning, wait_seconds)


@pytest.mark.parametrize(
    ("exc", "outcome", "is_relay_error"),
    [
        (smtplib.SMTPRecipientsRefused({"A@x.org": (550, b"5.1.1 No")}), FAILED, None),
        (smtplib.SMTPRecipientsRefused({"a@x.org": (450, b"4.2.0 Later")}), DEFERRED, None),
        (smtplib.SMTPSenderRefused(550, b"5.7.1 Not you", "f@x.org"), REQUEUED, None),
        (smtplib.SMTPSenderRefused(450, b"4.7.1 Too much mail", "f@x.org"), REQUEUED, None),
        (smtplib.SMTPSenderRefused(552, b"5.3.4 Too big", "f@x.org"), FAILED, None),
        (smtplib.SMTPDataError(554, b"5.6.0 No"), FAILED, None),
        (smtplib.SMTPDataError(550, b"5.4.5 Daily user sending limit exceeded"), REQUEUED, None),
        (smtplib.SMTPDataError(421, b"4.3.2 Going down"), REQUEUED, False),
        (smtplib.SMTPDataError(-1, b"no reply at all"), UNKNOWN, False),  # the message may have been out
        (smtplib.SMTPSenderRefused(-1, b"no reply at all", "f@x.org"), REQUEUED, False),
        (smtplib.SMTPDataError("550", "5.4.5 Daily user sending limit exceeded"), REQUEUED, None),  # type: ignore[arg-type]
        (smtplib.SMTPDataError(None, None), UNKNOWN, False),  # type: ignore[arg-type]
        (smtplib.SMTPSenderRefused(550, None, "f@x.org"), REQUEUED, None),  # type: ignore[arg-type]
        (smtplib.SMTPRecipientsRefused({}), FAILED, None),
        (ssl.SSLCertVerificationError("self-signed certificate"), REQUEUED, True),
        (smtplib.SMTPAuthenticationError(535, b"5.7.8 No"), REQUEUED, True),
        (smtplib.SMTPConnectError(554, b"Go away"), REQUEUED, True),
        (smtplib.SMTPNotSupportedError("SMTP AUTH extension not supported by server."), REQUEUED, True),
        (smtplib.SMTPNotSupportedError("the required SMTPUTF8 capability"), FAILED, None),
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
