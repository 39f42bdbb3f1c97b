"""The return mailbox, read from a real Dovecot."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from typing import Any

import pytest
from django.db import connection

from batches.models import UnknownReport, WaitingReturn
from batches.returns.doors import imap
from batches.returns.doors.address import MailboxAddress, parse_returns_url
from batches.returns.doors.imap import DONE, NOT_UNDERSTOOD, MailboxError, open_mailbox
from batches.returns.doors.mailbox_reader import MailboxReader, count_readers
from tests.acceptance import dovecot
from tests.acceptance.dovecot import Dovecot
from tests.chaos.stack import wait_until
from tests.returned_mail import make_bounce, make_letter

if dovecot.missing() and not os.environ.get("REQUIRE_DOVECOT"):
    pytest.skip(dovecot.missing(), allow_module_level=True)

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(scope="module")
def mailboxes() -> Iterator[Dovecot]:
    with Dovecot() as running:
        yield running


@pytest.fixture
def user(request: pytest.FixtureRequest) -> str:
    """A mailbox of the test's own."""
    return f"user{abs(hash(request.node.name)) % 10**9}"


def address_of(mailboxes: Dovecot, user: str, **changes: str) -> MailboxAddress:
    address = parse_returns_url(mailboxes.url(user, **changes))
    assert isinstance(address, MailboxAddress)
    return address


def read(address: MailboxAddress) -> dict[bool, int]:
    with open_mailbox(address) as mailbox:
        return mailbox.read()


def deliver(mailboxes: Dovecot, user: str, *messages: bytes) -> None:
    mailboxes.deliver_all(messages, f"{user}@site.example")


def count_events() -> int:
    """Count the events that are recorded. None of them matches an email, because there is none."""
    return WaitingReturn.objects.count()


def test_messages_are_recorded_and_then_moved(mailboxes: Dovecot, user: str) -> None:
    deliver(mailboxes, user, make_bounce(1), make_letter(1), make_bounce(2), make_bounce(3, action="delayed"))
    assert read(address_of(mailboxes, user)) == {True: 3, False: 1}
    assert mailboxes.counts(user) == {"INBOX": 0, DONE: 3, NOT_UNDERSTOOD: 1}
    assert count_events() == 2, "a delay is understood, and nothing came back"
    assert UnknownReport.objects.get().content == "", "the mailbox keeps it"
    assert b"When does school begin" in mailboxes.messages(NOT_UNDERSTOOD, user)[0]
    assert read(address_of(mailboxes, user)) == {True: 0, False: 0}


def test_event_counts_once_when_the_reader_dies_before_it_moves_the_message(
    mailboxes: Dovecot, user: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    deliver(mailboxes, user, *(make_bounce(number) for number in range(5)), make_letter(1))

    def die(*args: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(imap.Mailbox, "_move", die)
        with pytest.raises(KeyboardInterrupt):
            read(address_of(mailboxes, user))
    assert (count_events(), UnknownReport.objects.count()) == (5, 1)
    assert mailboxes.counts(user)["INBOX"] == 6
    assert read(address_of(mailboxes, user)) == {True: 5, False: 1}
    assert (count_events(), UnknownReport.objects.count()) == (5, 1)


def test_many_messages_are_read_in_chunks(mailboxes: Dovecot, user: str) -> None:
    count = 3 * imap.CHUNK_MESSAGES + 7
    deliver(mailboxes, user, *(make_bounce(number) for number in range(count)))
    assert read(address_of(mailboxes, user)) == {True: count, False: 0}
    assert mailboxes.counts(user) == {"INBOX": 0, DONE: count, NOT_UNDERSTOOD: 0}
    assert count_events() == count


def test_messages_are_moved_when_the_server_has_no_move_command(
    mailboxes: Dovecot, user: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A message that somebody else has marked as deleted stays."""
    deliver(mailboxes, user, make_letter(1), make_bounce(1), make_bounce(2))
    with mailboxes.opened(user) as other:
        other.select()
        other.store("1", "+FLAGS", r"(\Deleted)")
    with open_mailbox(address_of(mailboxes, user)) as mailbox:
        client = mailbox._box.client
        assert {"MOVE", "UIDPLUS"} <= set(client.capabilities)
        monkeypatch.setattr(client, "capabilities", tuple(set(client.capabilities) - {"MOVE"}))
        assert mailbox.read() == {True: 2, False: 0}
    assert mailboxes.counts(user) == {"INBOX": 1, DONE: 2, NOT_UNDERSTOOD: 0}


def test_folders_are_made_below_the_inbox_when_the_server_has_them_there() -> None:
    with Dovecot(prefix="INBOX.", separator=".") as mailboxes:
        deliver(mailboxes, "bounce", make_bounce(1), make_letter(1))
        assert read(address_of(mailboxes, "bounce")) == {True: 1, False: 1}
        assert mailboxes.counts() == {"INBOX": 0, f"INBOX.{DONE}": 1, f"INBOX.{NOT_UNDERSTOOD}": 1}


def test_nothing_is_lost_when_the_mailbox_is_rebuilt_with_other_uids(mailboxes: Dovecot, user: str) -> None:
    deliver(mailboxes, user, make_bounce(1), make_bounce(2))
    read(address_of(mailboxes, user))
    deliver(mailboxes, user, make_bounce(3), make_bounce(1))
    for index in (mailboxes.folder / "mail" / user).glob("dovecot*"):
        index.unlink()
    assert read(address_of(mailboxes, user)) == {True: 2, False: 0}
    assert count_events() == 3


@pytest.mark.parametrize("scheme", ["imap", "imap+tls", "imap+ssl"])
def test_mailbox_is_read_over_each_kind_of_connection(
    mailboxes: Dovecot, user: str, monkeypatch: pytest.MonkeyPatch, scheme: str
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(mailboxes.certificate))
    deliver(mailboxes, user, make_bounce(1))
    assert read(address_of(mailboxes, user, scheme=scheme)) == {True: 1, False: 0}


def test_failure_is_a_sentence_without_the_password(mailboxes: Dovecot, user: str) -> None:
    right = address_of(mailboxes, user)
    wrong: dict[str, dict[str, Any]] = {
        "refused the login": {"password": "hush"},
        "has no folder Elsewhere": {"folder": "Elsewhere"},
        "can't be reached: Connection refused": {"port": 1},
        "There is no TLS with": {"scheme": "imap+ssl", "port": mailboxes.secure_port},  # no trusted certificate
    }
    for words, changes in wrong.items():
        fields = {name: getattr(right, name) for name in ("scheme", "host", "port", "username", "password", "folder")}
        with pytest.raises(MailboxError, match=words) as caught:
            read(MailboxAddress(**{**fields, **changes}))
        assert "hush" not in str(caught.value)
        assert dovecot.PASSWORD not in str(caught.value)


def test_long_message_is_read_to_its_limit(mailboxes: Dovecot, user: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(imap, "MESSAGE_READ_BYTES", 20_000)
    long = make_bounce(1).replace(b"--b--\r\n", b"x" * 70 + b"\r\n" + b"y" * 70 * 1000 + b"\r\n--b--\r\n")
    deliver(mailboxes, user, long, make_bounce(2))
    assert read(address_of(mailboxes, user)) == {True: 2, False: 0}
    assert max(map(len, mailboxes.messages(DONE, user))) > 70_000, "it is moved as a whole"


class Running:
    """A reader in a thread of its own."""

    def __init__(self, address: MailboxAddress) -> None:
        self.stop = threading.Event()
        self.thread = threading.Thread(target=MailboxReader(address, stop=self.stop).run)

    def __enter__(self) -> Running:
        self.thread.start()
        return self

    def __exit__(self, *exc: object) -> None:
        self.stop.set()
        self.thread.join(timeout=30)
        assert not self.thread.is_alive()


def test_new_message_is_read_at_once_when_the_server_announces_it(mailboxes: Dovecot, user: str) -> None:
    deliver(mailboxes, user, make_bounce(1))
    with Running(address_of(mailboxes, user)):
        wait_until(lambda: count_events() == 1, seconds=20, what="the first event")
        deliver(mailboxes, user, make_bounce(2))
        wait_until(lambda: count_events() == 2, seconds=20, what="the second event")


def test_reader_goes_on_after_an_outage_of_the_server(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("batches.returns.doors.mailbox_reader.RETRY_SECONDS", (0.2,))
    with Dovecot() as mailboxes, Running(address_of(mailboxes, "bounce")):
        deliver(mailboxes, "bounce", make_bounce(1))
        wait_until(lambda: count_events() == 1, seconds=20, what="the first event")
        mailboxes.stop()
        mailboxes.start()
        deliver(mailboxes, "bounce", make_bounce(2))
        wait_until(lambda: count_events() == 2, seconds=20, what="the second event")


def test_reader_goes_on_after_its_database_connection_was_lost(
    mailboxes: Dovecot, user: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("batches.returns.doors.mailbox_reader.RETRY_SECONDS", (0.2,))
    with Running(address_of(mailboxes, user)):
        deliver(mailboxes, user, make_bounce(1))
        wait_until(lambda: count_events() == 1, seconds=20, what="the first event")
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_terminate_backend(pid) FROM pg_locks WHERE locktype = 'advisory'")
        deliver(mailboxes, user, make_bounce(2))
        wait_until(lambda: count_events() == 2, seconds=20, what="the second event")


def test_second_reader_waits_and_takes_over(mailboxes: Dovecot, user: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("batches.returns.doors.mailbox_reader.TURN_SECONDS", 0.2)
    address = address_of(mailboxes, user)
    with Running(address) as first:
        deliver(mailboxes, user, make_bounce(1))
        wait_until(lambda: count_events() == 1, seconds=20, what="the first event")
        assert MailboxReader(address, stop=threading.Event()).read_once() is None
        assert count_readers() == 1
        with Running(address):
            first.stop.set()
            first.thread.join(timeout=30)
            deliver(mailboxes, user, make_bounce(2))
            wait_until(lambda: count_events() == 2, seconds=20, what="the second event")
    wait_until(lambda: count_readers() == 0, seconds=20, what="the end of both readers")
