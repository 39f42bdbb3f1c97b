"""What Django reports of an error: nothing that a person sent, unless DEBUG is on."""

from __future__ import annotations

import logging
import sys

import pytest
from django.conf import LazySettings
from django.contrib.auth.models import User
from django.core import mail
from django.http import HttpRequest
from django.test import RequestFactory
from django.views.debug import get_exception_reporter_class, technical_500_response

from emailbatch.error_reports import ErrorMails, Reporter

SENT = ("ann@example.org", "Tulip", "Secret subject", "sid-of-ann")


@pytest.fixture
def request_of_ann() -> HttpRequest:
    request = RequestFactory().post(
        "/batches/3/?q=Tulip",
        {"subject": "Secret subject", "to": "ann@example.org"},
        HTTP_AUTHORIZATION="Bearer Tulip",
        HTTP_COOKIE="sessionid=sid-of-ann",
    )
    request.user = User(pk=42, username="ann@example.org")
    return request


def fail(request: HttpRequest) -> None:
    address, subject = request.POST["to"], request.POST["subject"]
    raise ValueError(f"{address} is wrong{subject[:0]}")


def test_mail_has_the_place_of_the_fault_and_nothing_that_was_sent(
    request_of_ann: HttpRequest, settings: LazySettings
) -> None:
    settings.ADMINS = [("Op", "op@example.net")]
    try:
        fail(request_of_ann)
    except ValueError:
        record = logging.makeLogRecord(
            {"levelname": "ERROR", "msg": "Internal Server Error: /x/ann@example.org", "exc_info": sys.exc_info()}
        )
        record.request = request_of_ann
        handler = ErrorMails(include_html=True)
        handler.emit(record)
    [sent] = mail.outbox
    text = f"{sent.subject}\n{sent.body}\n{getattr(sent, 'alternatives', [])}"
    assert "in fail" in text and "ValueError: <address> is wrong" in text and "POST /batches/3/" in text
    assert "user: 42" in text
    for value in SENT:
        assert value not in text


def test_report_of_the_filter_hides_every_value(request_of_ann: HttpRequest) -> None:
    found: object = get_exception_reporter_class(request_of_ann)
    assert found is Reporter
    try:
        fail(request_of_ann)
    except ValueError:
        reporter = Reporter(request_of_ann, *sys.exc_info())
    shown = repr(reporter.filter.get_post_parameters(request_of_ann)) + repr(
        [frame["vars"] for frame in reporter.get_traceback_frames()]
    )
    for value in SENT:
        assert value not in shown


def test_debug_page_shows_the_variables_when_debug_is_on(request_of_ann: HttpRequest, settings: LazySettings) -> None:
    settings.DEBUG = True
    try:
        fail(request_of_ann)
    except ValueError:
        page = technical_500_response(request_of_ann, *sys.exc_info())
    assert b"Secret subject" in page.content
