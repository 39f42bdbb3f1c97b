"""``make up`` with RETURNS_URL: what a mail server hands in by LMTP counts, and what it says is done."""

from __future__ import annotations

import base64
import os
import re
import signal
import smtplib
import time
from collections.abc import Iterator

import pytest

from emailbatch.localstack import addresses
from tests.acceptance.client import Client
from tests.acceptance.mail_server import free_port
from tests.acceptance.stack import RunningStack, stack_in_new_folder, wait_until
from tests.inbox_file import read_raw_messages
from tests.returned_mail import make_bounce, make_letter

DOMAIN = "news.site.example"
LMTP_PORT = free_port()
SECRET = "provider:a-long-and-random-password"
COUNTED_SECONDS = 10
"""How long a report may take to count, by the contract of the program."""


@pytest.fixture(scope="module")
def stack() -> Iterator[RunningStack]:
    environment = {
        "BOUNCE_ADDRESS": f"bounce@{DOMAIN}",
        "RETURNS_URL": f"lmtp://127.0.0.1:{LMTP_PORT}",
        "WEBHOOK_SECRET": SECRET,
    }
    with stack_in_new_folder("returns", workers=1, environment=environment) as running:
        with smtplib.LMTP("127.0.0.1", LMTP_PORT) as server:
            assert server.noop()[0] == 250, "the listener is up when up says that it is ready"
        yield running


def send(client: Client, recipients: list[str], **more: str) -> int:
    body = {"recipients": [{"email": address, "name": "Kim"} for address in recipients], **more}
    batch_id = int(client.post("/api/emails/send-bulk", body)["batchId"])
    client.wait_for_end(batch_id)
    return batch_id


def mails_to(stack: RunningStack, address: str) -> list[tuple[str, bytes]]:
    """Return MAIL FROM and the octets of each message to an address."""
    path = addresses.inbox_file(stack.data_dir)
    return [(message.sender, raw) for message, raw in read_raw_messages(path) if message.recipients == address]


def hand_in(message: bytes, recipient: str) -> None:
    with smtplib.LMTP("127.0.0.1", LMTP_PORT, timeout=30) as server:
        server.sendmail("", [recipient], message)


def wait_for_count(client: Client, batch_id: int, count: int, field: str = "returnedCount") -> None:
    wait_until(
        lambda: client.batch(batch_id)[field] == count,
        within_seconds=COUNTED_SECONDS,
        what=f"{field} of {count}",
    )


def test_report_counts_within_ten_seconds_and_suppresses_who_is_gone(stack: RunningStack, client: Client) -> None:
    gone, there = "gone@dest.example", "there@dest.example"
    batch_id = send(client, [gone, there])
    [(return_path, _)] = mails_to(stack, gone)
    assert re.fullmatch(rf"bounce\+[0-9a-z.]+@{re.escape(DOMAIN)}", return_path)
    report = make_bounce(1, to=return_path, recipient=gone)
    hand_in(report, return_path)
    wait_for_count(client, batch_id, 1)
    hand_in(report, return_path)  # a mail server may deliver twice
    hand_in(make_letter(1, to=return_path), f"bounce@{DOMAIN}")
    batch = client.batch(batch_id)
    assert (batch["sentCount"], batch["returnedCount"]) == (2, 1)
    again = send(client, [gone, there])
    assert client.batch(again)["suppressedCount"] == 1
    assert (len(mails_to(stack, gone)), len(mails_to(stack, there))) == (1, 2)


def test_forged_return_path_counts_never(stack: RunningStack, client: Client) -> None:
    address = "victim@dest.example"
    batch_id = send(client, [address])
    [(return_path, _)] = mails_to(stack, address)
    forged = re.sub(r"\.[0-9a-z]{4}", ".0000", return_path)
    assert forged != return_path
    hand_in(make_bounce(2, to=forged, recipient=address), forged)
    hand_in(make_bounce(3, to=return_path, recipient=address, action="delayed", status="4.4.1"), return_path)
    assert client.batch(batch_id)["returnedCount"] == 0
    assert client.batch(send(client, [address]))["suppressedCount"] == 0


def test_mail_to_the_unsubscribe_address_unsubscribes(stack: RunningStack, client: Client) -> None:
    address = "reader@dest.example"
    send(client, [address], topic="news")
    [(_, raw)] = mails_to(stack, address)
    found = re.search(rb"<mailto:(unsubscribe\+[A-Za-z0-9_-]+@[^>?]+)", raw.replace(b"\r\n ", b""))
    assert found, raw
    recipient = found[1].decode()
    mail = f"From: {address}\r\nTo: {recipient}\r\nSubject: unsubscribe\r\n\r\nunsubscribe\r\n"
    hand_in(mail.encode(), recipient)
    both = [address, "another@dest.example"]
    assert client.batch(send(client, both, topic="news"))["suppressedCount"] == 1
    assert client.batch(send(client, both))["suppressedCount"] == 0, "service mail goes on"


def test_event_of_a_provider_counts(stack: RunningStack, client: Client) -> None:
    address = "full@dest.example"
    batch_id = send(client, [address])
    [(_, raw)] = mails_to(stack, address)
    found = re.search(rb"^Message-ID: (\S+)", raw, re.MULTILINE | re.IGNORECASE)
    assert found
    body = {"event": "soft_bounce", "email": address, "message-id": found[1].decode(), "ts_epoch": 1700000000000}
    body["reason"] = "552 5.2.2 Mailbox full"
    signed_in = f"Basic {base64.b64encode(SECRET.encode()).decode()}"
    assert client.request("POST", "/hooks/brevo/tracking/", body, Authorization="Basic bm86bm8=")[0] == 401
    assert client.request("POST", "/hooks/brevo/tracking/", body, Authorization=signed_in)[0] == 200
    wait_for_count(client, batch_id, 1)


def test_listener_is_started_again_when_it_was_killed(stack: RunningStack, client: Client) -> None:
    address = "later@dest.example"
    batch_id = send(client, [address])
    [(return_path, _)] = mails_to(stack, address)
    before = stack.pids("returns")["returns"]
    os.kill(before, signal.SIGKILL)
    deadline = time.monotonic() + 30
    while True:
        try:
            hand_in(make_bounce(9, to=return_path, recipient=address), return_path)
            break
        except (OSError, smtplib.SMTPException):
            assert time.monotonic() < deadline, stack.log[-2000:]
            time.sleep(0.1)
    wait_for_count(client, batch_id, 1)
    assert stack.pids("returns")["returns"] != before
