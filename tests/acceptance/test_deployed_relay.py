"""``deploy/postfix`` as it is written: it signs both headers of RFC 8058, and returns come by LMTP."""

from __future__ import annotations

import os
import smtplib
from collections.abc import Iterator
from email.message import Message
from pathlib import Path

import pytest

from tests.acceptance import deployed_relay, postfix
from tests.acceptance.deployed_relay import DeployedRelay
from tests.acceptance.lmtp_sink import LmtpSink
from tests.chaos.stack import wait_until

if (missing := postfix.missing() or deployed_relay.missing()) and not os.environ.get("REQUIRE_POSTFIX"):
    pytest.skip(missing, allow_module_level=True)

RETURN_PATH = "bounce+aaaa.bbbb@news.school.example"
OUTSIDE = "192.0.2.0/24"
"""A network of which nothing here is, so that every client is one from outside."""
NEWS = b"""\
From: School <news@school.example>\r
To: ann@dest.example\r
Subject: Fair\r
Date: Thu, 26 Nov 2026 10:00:00 +0000\r
Message-ID: <1@school.example>\r
List-Unsubscribe: <https://school.example/u/abc>\r
List-Unsubscribe-Post: List-Unsubscribe=One-Click\r
List-Id: <fair.school.example>\r
\r
The fair is on Sunday.\r
"""


@pytest.fixture
def sink() -> Iterator[LmtpSink]:
    with LmtpSink() as running:
        yield running


def send(relay: DeployedRelay, recipient: str, *, sender: str = RETURN_PATH) -> None:
    with smtplib.SMTP("127.0.0.1", relay.port) as client:
        client.sendmail(sender, [recipient], NEWS)


def wait_for_one(sink: LmtpSink) -> tuple[list[str], Message]:
    wait_until(lambda: sink.taken, seconds=20, what="a message by LMTP", every=0.1)
    (taken,) = sink.taken
    return taken


def signed_headers(message: Message) -> set[str]:
    tags = dict(tag.split("=", 1) for tag in "".join(message["DKIM-Signature"].split()).split(";") if tag)
    assert tags["d"] == "school.example"
    return set(tags["h"].lower().split(":"))


@pytest.mark.parametrize("has_cure", [True, False])
def test_receiver_finds_both_unsubscribe_headers_signed_when_the_file_is_as_it_is_written(
    sink: LmtpSink, has_cure: bool
) -> None:
    with DeployedRelay(has_cure=has_cure, returns_port=sink.port) as relay:
        send(relay, RETURN_PATH)
        _, message = wait_for_one(sink)
    assert ("list-unsubscribe-post" in signed_headers(message)) == has_cure
    assert {"list-unsubscribe", "from", "list-id"} <= signed_headers(message)


def test_another_server_verifies_the_signature_when_the_printed_record_is_published(sink: LmtpSink) -> None:
    with (
        DeployedRelay(host="mx.dest.example", networks=OUTSIDE, returns_port=sink.port) as receiver,
        DeployedRelay(next_hop=receiver.port) as relay,
    ):
        receiver.publish(dict([relay.public_key("school.example")]))
        send(relay, RETURN_PATH)
        _, message = wait_for_one(sink)
    assert "dkim=pass" in message["Authentication-Results"]
    assert "with ESMTPS" in message["Received"]


def test_report_comes_by_lmtp_to_its_return_path_when_a_recipient_is_refused(sink: LmtpSink) -> None:
    with (
        DeployedRelay(host="mx.dest.example", networks=OUTSIDE) as refusing,
        DeployedRelay(next_hop=refusing.port, returns_port=sink.port) as relay,
    ):
        send(relay, "dead@dest.example")
        recipients, report = wait_for_one(sink)
    assert recipients == [RETURN_PATH]
    assert report.get_content_type() == "multipart/report"
    assert "DKIM-Signature" not in report
    assert "Action: failed" in report.as_string()
    assert "Message-ID: <1@school.example>" in report.as_string()


def test_outsiders_reach_the_return_address_alone_when_they_connect(sink: LmtpSink) -> None:
    with DeployedRelay(networks=OUTSIDE, returns_port=sink.port) as relay:
        for refused in ("ann@dest.example", "ann@news.school.example", "xbounce@news.school.example"):
            with pytest.raises(smtplib.SMTPRecipientsRefused):
                send(relay, refused, sender="")
        send(relay, "unsubscribe+abc@news.school.example", sender="ann@dest.example")
        recipients, message = wait_for_one(sink)
    assert recipients == ["unsubscribe+abc@news.school.example"]
    assert "DKIM-Signature" not in message


def test_no_unsigned_mail_is_taken_when_opendkim_is_away(sink: LmtpSink) -> None:
    with DeployedRelay(returns_port=sink.port) as relay:
        relay.opendkim.kill()
        relay.opendkim.wait()
        with pytest.raises(smtplib.SMTPResponseException) as refusal:
            send(relay, RETURN_PATH)
    assert 400 <= refusal.value.smtp_code < 500


def test_keys_are_kept_when_setup_runs_again() -> None:
    relay = DeployedRelay()
    before = relay.public_key("school.example")
    relay.run_setup()
    assert relay.public_key("school.example") == before
    assert before[1].split("p=")[1][:40] in relay.published


DIG = r"""#!/bin/sh
case "$*" in
    *"TXT school.example") printf '"site-verification=1"\n"v=spf1 include:mail.example" " ~all"\n' ;;
esac
"""
"""Answers as dig does, whatever is published."""


def test_whole_records_are_printed_when_others_may_send_for_the_domain(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    dig = tmp_path / "dig"
    dig.write_text(DIG)
    dig.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    printed = DeployedRelay().published
    assert 'school.example. IN TXT "v=spf1 a:relay.school.example include:mail.example ~all"' in printed
    assert 'news.school.example. IN TXT "v=spf1 a:relay.school.example -all"' in printed
    assert "emailbatch._domainkey.school.example. IN" in " ".join(printed.split())
