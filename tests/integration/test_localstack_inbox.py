"""The local inbox in its own process, and the pages that show what it received."""

from __future__ import annotations

import os
import signal
import smtplib
import socket
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import closing
from email.message import EmailMessage
from pathlib import Path

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.urls import reverse
from pytest_django import Settings

from batches.intake import import_list
from batches.models import Batch
from batches.permissions import Permission
from batches.rendering.message import make_message_id
from emailbatch.localstack import addresses, inbox_store
from emailbatch.localstack.inbox_store import InboxWriter, Incoming
from emailbatch.localstack.probes import smtp_answers
from emailbatch.localstack.processes import die_with_parent
from tests.conftest import MakeUser, permit
from tests.inbox_file import count_messages, read_raw_messages

PROJECT_DIR = Path(__file__).resolve().parent.parent.parent


class UnixSMTP(smtplib.SMTP):
    """smtplib's client over the unix socket of the inbox."""

    def _get_socket(self, host: str, port: int, timeout: float) -> socket.socket:
        connection = socket.socket(socket.AF_UNIX)
        connection.settimeout(timeout)
        connection.connect(host)
        return connection


class Inbox:
    def __init__(self, folder: Path) -> None:
        self.path = addresses.inbox_file(folder)
        self.socket_path = addresses.inbox_socket(folder)
        self.folder = folder
        self.start()

    def start(self) -> None:
        self.process = subprocess.Popen(
            [sys.executable, str(PROJECT_DIR / "manage.py"), "inbox"],
            env={**os.environ, "DATA_DIR": str(self.folder)},
            preexec_fn=die_with_parent(signal.SIGKILL),
        )
        deadline = time.monotonic() + 20
        while not smtp_answers(self.socket_path):
            assert self.process.poll() is None and time.monotonic() < deadline
            time.sleep(0.02)

    def connect(self) -> UnixSMTP:
        return UnixSMTP(str(self.socket_path), 25, timeout=20)


@pytest.fixture
def inbox(tmp_path: Path) -> Iterator[Inbox]:
    running = Inbox(tmp_path)
    yield running
    running.process.terminate()
    assert running.process.wait(timeout=20) == 0
    assert not running.socket_path.exists()


def message(number: int = 0) -> EmailMessage:
    mail = EmailMessage()
    mail["Subject"] = f"Grüße Nr. {number} an Олена 🎉"
    mail["From"], mail["To"] = "Zoë <zoe@example.org>", f"reader{number}@example.org"
    mail.set_content("Plain text. <b> https://mail.example.org/u/abc")
    mail.add_alternative("<p>Hello <b>you</b></p><script>alert(1)</script>", subtype="html")
    mail.set_boundary(f"boundary-{number}")
    return mail


def test_message_is_stored_as_it_came_when_accepted(inbox: Inbox) -> None:
    with inbox.connect() as client:
        client.ehlo()
        assert {"pipelining", "8bitmime", "smtputf8"} <= set(client.esmtp_features)
        raw = "Subject: =?utf-8?q?H=C3=A9?=\r\nTo: ü@exämple.org\r\n\r\n.dots\r\n..two\r\nü\r\n".encode()
        client.sendmail("", ["ü@exämple.org", "b@example.org"], raw, mail_options=["SMTPUTF8", "BODY=8BITMIME"])
    [listed] = inbox_store.read_page(inbox.path).messages
    found = inbox_store.read_message(inbox.path, listed.id)
    assert found is not None
    assert found[1] == raw
    assert (listed.subject, listed.sender, listed.recipients) == ("Hé", "", "ü@exämple.org\nb@example.org")
    assert listed.to_header == "ü@exämple.org"
    assert inbox.path.stat().st_mode & 0o777 == 0o600


def test_every_accepted_message_is_there_when_the_inbox_is_killed(inbox: Inbox) -> None:
    accepted: list[int] = []

    def send(first: int) -> None:
        with inbox.connect() as client:
            for number in range(first, first + 500):
                client.send_message(message(number))
                accepted.append(number)

    def send_until_killed(first: int) -> None:
        try:
            send(first)
        except (smtplib.SMTPException, OSError):
            return

    senders = [threading.Thread(target=send_until_killed, args=(first,)) for first in (0, 1000, 2000, 3000)]
    for sender in senders:
        sender.start()
    deadline = time.monotonic() + 20
    while len(accepted) < 100:
        assert time.monotonic() < deadline
        time.sleep(0.001)
    inbox.process.kill()
    inbox.process.wait(timeout=20)
    for sender in senders:
        sender.join(timeout=30)
    inbox.start()
    stored = {entry.to_header for entry, _ in read_raw_messages(inbox.path)}
    assert {f"reader{number}@example.org" for number in accepted} <= stored
    assert len(stored) <= len(accepted) + len(senders)


@pytest.fixture
def filled(tmp_path: Path, settings: Settings) -> Path:
    """A DATA_DIR whose inbox has 120 messages."""
    settings.DATA_DIR = tmp_path
    writer = InboxWriter(addresses.inbox_file(tmp_path))
    writer.add(
        [
            Incoming(
                received_at=1_700_000_000 + number,
                sender="news@example.org",
                recipients=[f"reader{number}@example.org", f"copy_{number}%@example.org"],
                raw=message(number).as_bytes(),
            )
            for number in range(1, 121)
        ]
    )
    writer.close()
    return tmp_path


@pytest.fixture
def staff(client: Client, db: None) -> Client:
    client.force_login(User.objects.create_superuser("boss"))
    return client


def test_each_message_is_on_one_page_newest_first_when_paging(staff: Client, filled: Path) -> None:
    address, seen = "/inbox/", []
    while address:
        page = staff.get(address)
        seen += [line.message.id for line in page.context["lines"]]
        address = page.context["next_query"] and f"/inbox/{page.context['next_query']}"
    assert seen == list(range(120, 0, -1))


@pytest.mark.parametrize(
    ("wanted", "found"), [("reader12@", [12]), ("READER7@", [7]), ("copy_5%@", [5]), ("r_ader", []), ("nobody", [])]
)
def test_search_takes_its_text_literally_when_it_finds_recipients(
    staff: Client, filled: Path, wanted: str, found: list[int]
) -> None:
    page = staff.get("/inbox/", {"recipient": wanted})
    assert [line.message.id for line in page.context["lines"]] == found


@pytest.mark.parametrize("before", ["x", "-1", "9" * 19, "9" * 400, "²"])
def test_first_page_is_shown_when_the_key_is_not_a_number(staff: Client, filled: Path, before: str) -> None:
    assert staff.get("/inbox/", {"before": before}).context["lines"][0].message.id == 120


def test_list_says_that_it_is_empty_when_no_message_arrived(staff: Client, tmp_path: Path, settings: Settings) -> None:
    settings.DATA_DIR = tmp_path
    assert "Nothing has arrived yet" in staff.get("/inbox/").content.decode()


def test_html_is_in_a_sandboxed_frame_when_a_message_is_shown(staff: Client, filled: Path) -> None:
    answer = staff.get("/inbox/7/")
    page = answer.content.decode()
    assert '<iframe sandbox="allow-popups allow-popups-to-escape-sandbox" referrerpolicy="no-referrer"' in page
    assert 'srcdoc="&lt;base target=&quot;_blank&quot;&gt;' in page  # links open in a new tab
    assert "<dt>Returns to (MAIL FROM)</dt><dd>news@example.org</dd>" in page
    assert "<script>alert" not in page
    assert "&lt;script&gt;alert(1)" in page
    policy = answer.headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy
    assert "'unsafe-inline'" not in policy.partition("script-src")[2].partition(";")[0]
    assert "Grüße Nr. 7 an Олена 🎉" in page
    assert "Plain text. &lt;b&gt; " in page
    assert '<a href="https://mail.example.org/u/abc" rel="nofollow">' in page


def test_download_has_the_same_octets_as_the_message(staff: Client, filled: Path) -> None:
    answer = staff.get("/inbox/7/raw/")
    assert answer.content == message(7).as_bytes()
    assert answer.headers["Content-Type"] == "message/rfc822"


@pytest.mark.parametrize("address", ["/inbox/121/", "/inbox/121/raw/", f"/inbox/{'9' * 30}/"])
def test_page_is_not_found_when_there_is_no_such_message(staff: Client, filled: Path, address: str) -> None:
    assert staff.get(address).status_code == 404


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"\x00\xff\xfe",
        b"Content-Type: text/html; charset=nonsense\r\n\r\n<p>\xff</p>",
        b"Content-Type: multipart/mixed; boundary=x\r\n\r\n--x\r\nContent-Type: multipart/alternative\r\n\r\n",
        b"Subject: =?utf-8?b?broken?=\r\nContent-Transfer-Encoding: base64\r\n\r\n!!!",
        b"Subject: \xff\xfe\r\nFrom: =?x-unknown?q?a?=\r\nDate: never\r\n\r\nhi",
    ],
)
def test_broken_message_is_shown_when_it_cannot_be_parsed(
    staff: Client, tmp_path: Path, settings: Settings, raw: bytes
) -> None:
    settings.DATA_DIR = tmp_path
    writer = InboxWriter(addresses.inbox_file(tmp_path))
    writer.add([Incoming(received_at=0, sender="", recipients=["a@example.org"], raw=raw)])
    writer.close()
    assert staff.get("/inbox/").status_code == 200
    assert staff.get("/inbox/1/").status_code == 200
    assert staff.get("/inbox/1/raw/").content == raw


def test_private_messages_are_hidden_when_the_visitor_is_no_administrator(
    client: Client, filled: Path, make_user: MakeUser
) -> None:
    assert client.get("/inbox/").headers["Location"] == "/accounts/login/?next=/inbox/"
    for user in (make_user("clerk", is_staff=True), permit(make_user("viewer"), Permission.VIEW_ALL_BATCHES)):
        client.force_login(user)
        assert client.get("/inbox/").context["lines"] == []
        for address in ("/inbox/7/", "/inbox/7/raw/"):
            assert client.get(address).status_code == 404
        client.post("/inbox/7/delete/")
        client.post("/inbox/delete/")
    assert count_messages(addresses.inbox_file(filled)) == 120


@pytest.fixture
def mail_of_batches(filled: Path, make_user: MakeUser) -> dict[str, Batch]:
    """Two batches of two senders, each with one message after the 120 that are of no batch: 121 and 122."""
    writer, made = InboxWriter(addresses.inbox_file(filled)), {}
    for name in ("anna", "bert"):
        batch = import_list([{"email": f"{name}@example.org"}], user=make_user(name, "Senders")).batch
        mail = message()
        email_id = batch.emails.get().pk
        mail["Message-ID"] = make_message_id(key=b"k", email_id=email_id, job_id=1, domain="example.org")
        writer.add([Incoming(received_at=1_800_000_000, sender="", recipients=[name], raw=mail.as_bytes())])
        made[name] = batch
    writer.close()
    return made


def list_ids(client: Client, **query: str | int) -> list[int]:
    return [line.message.id for line in client.get("/inbox/", query).context["lines"]]


def test_sender_sees_and_deletes_only_the_messages_of_own_batches(
    client: Client, filled: Path, mail_of_batches: dict[str, Batch]
) -> None:
    client.force_login(User.objects.get(username="anna"))
    assert list_ids(client) == [121]
    assert client.get("/inbox/121/").status_code == 200
    assert list_ids(client, batch=mail_of_batches["bert"].pk) == []
    for address in ("/inbox/122/", "/inbox/122/raw/", "/inbox/1/"):
        assert client.get(address).status_code == 404
    client.post("/inbox/122/delete/")
    assert "1 message is deleted." in client.post("/inbox/delete/", follow=True).content.decode()
    assert count_messages(addresses.inbox_file(filled)) == 121


def test_messages_of_every_batch_are_seen_when_the_permission_is_there(
    client: Client, mail_of_batches: dict[str, Batch], make_user: MakeUser
) -> None:
    client.force_login(permit(make_user("viewer"), Permission.VIEW_ALL_BATCHES))
    assert list_ids(client) == [122, 121]


def test_messages_of_one_batch_are_listed_when_it_is_chosen(staff: Client, mail_of_batches: dict[str, Batch]) -> None:
    anna = mail_of_batches["anna"]
    page = staff.get("/inbox/", {"batch": anna.pk})
    assert [line.message.id for line in page.context["lines"]] == [121]
    assert f'<option value="{anna.pk}" selected>' in page.content.decode()
    assert reverse("batch", args=[anna.pk]) in page.content.decode()
    assert list_ids(staff, batch=anna.pk, recipient="bert") == []


def test_message_is_read_by_one_user_when_that_user_has_opened_it(
    client: Client, staff: Client, mail_of_batches: dict[str, Batch]
) -> None:
    assert list_ids(staff, unread=1)[:2] == [122, 121]
    staff.head("/inbox/122/")
    assert 122 in list_ids(staff, unread=1)
    staff.get("/inbox/122/")
    assert list_ids(staff, unread=1)[0] == 121
    other = Client()
    other.force_login(User.objects.get(username="bert"))
    assert list_ids(other, unread=1) == [122]
    staff.post("/inbox/122/unread/")
    assert list_ids(staff, unread=1)[0] == 122
    assert "All messages are marked as read." in staff.post("/inbox/read/", follow=True).content.decode()
    assert list_ids(staff, unread=1) == []
    assert list_ids(other, unread=1) == [122]


def test_old_file_gets_what_it_lacks_when_it_is_opened(staff: Client, tmp_path: Path, settings: Settings) -> None:
    settings.DATA_DIR = tmp_path
    path = addresses.inbox_file(tmp_path)
    with closing(sqlite3.connect(path)) as connection:
        old = inbox_store.TABLES.replace("message_id TEXT NOT NULL DEFAULT '',\n    batch_id INTEGER", "")
        connection.executescript(old.replace("size_bytes INTEGER NOT NULL,", "size_bytes INTEGER NOT NULL"))
        connection.execute("INSERT INTO message VALUES (NULL, 0, '', 'a@example.org', 'old', '', '', '', 3)")
        connection.execute("INSERT INTO content VALUES (1, 'old')")
        connection.commit()
    InboxWriter(path).close()
    InboxWriter(path).close()
    assert list_ids(staff) == [1]


def test_messages_are_gone_when_they_are_deleted(staff: Client, filled: Path) -> None:
    assert "The message is deleted." in staff.post("/inbox/7/delete/", follow=True).content.decode()
    assert staff.get("/inbox/7/").status_code == 404
    assert staff.get("/inbox/8/").status_code == 200
    assert "119 messages are deleted." in staff.post("/inbox/delete/", follow=True).content.decode()
    assert count_messages(addresses.inbox_file(filled)) == 0
    assert b"reader8@example.org" not in addresses.inbox_file(filled).read_bytes()
