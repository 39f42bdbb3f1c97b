"""Interoperation with a real Postfix: pipelining, CHUNKING, STARTTLS, AUTH, SMTPUTF8, SIZE and a restart."""

from __future__ import annotations

import csv
import os
import smtplib
from collections.abc import Iterator
from pathlib import Path

import pytest

from batches.models import EmailStatus
from tests.acceptance import postfix
from tests.acceptance.postfix import Accounts, Postfix
from tests.acceptance.test_worker import statuses
from tests.chaos.stack import Stack, wait_until
from tests.chaos.trial import write_recipients
from tests.chaos.workers import Worker

USER, PASSWORD = "ann@example.org", "p@ss:w/rd"
LOGIN = "ann%40example.org:p%40ss%3Aw%2Frd@"
SIZE_LIMIT = 20_000
RECIPIENTS = 1000
WINDOW = 128

if postfix.missing() and not os.environ.get("REQUIRE_POSTFIX"):
    pytest.skip(postfix.missing(), allow_module_level=True)


@pytest.fixture(scope="module")
def accounts() -> Iterator[Accounts]:
    with Accounts(USER, PASSWORD) as running:
        yield running


@pytest.fixture(scope="module")
def plain(accounts: Accounts) -> Iterator[Postfix]:
    """A Postfix without TLS. It would accept a login in the clear."""
    with Postfix(accounts=accounts, size=SIZE_LIMIT) as running:
        yield running


@pytest.fixture(scope="module")
def secure(accounts: Accounts) -> Iterator[Postfix]:
    """A Postfix with STARTTLS that requires a login."""
    with Postfix(accounts=accounts, has_tls=True, needs_login=True, size=SIZE_LIMIT) as running:
        yield running


def start_worker(stack: Stack, relay: Postfix, scheme: str, *, login: str = "", **extra: str) -> Worker:
    environment = {
        "EMAIL_URL": f"{scheme}://{login}127.0.0.1:{relay.port}",
        "SSL_CERT_FILE": str(relay.certificate),
        "SEND_RETRY_SECONDS": "0.2",
    }
    return stack.start_worker(environment=environment | extra, wait=False)


def load(stack: Stack, name: str, count: int) -> set[str]:
    addresses = [f"{name}{number:05d}@example.org" for number in range(count)]
    stack.send_batch(write_recipients(stack.folder / "recipients.csv", addresses))
    return set(addresses)


def load_rows(stack: Stack, rows: list[tuple[str, str]]) -> None:
    """Send to a file of addresses and names."""
    path = stack.folder / "rows.csv"
    with path.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([("email", "name", "city", "code"), *((*row, "", "") for row in rows)])
    stack.send_batch(path)


def wait_for_sent(stack: Stack, count: int, *, seconds: float = 40) -> None:
    wait_until(
        lambda: statuses(stack)[EmailStatus.SENT] == count,
        seconds=seconds,
        what=f"{count} emails to be sent",
        every=0.1,
    )


def read_email(stack: Stack, row: int) -> tuple[str, int | None, str, int]:
    """Return status, code, reply and attempts of the recipient in this row."""
    with stack.services.connect() as connection:
        found = connection.execute(
            "SELECT status, code, reply, attempts FROM batches_email WHERE row = %s", [row]
        ).fetchone()
    assert found is not None
    return found


def wait_for_relay_error(stack: Stack) -> str:
    """Wait until the job shows a relay error, and return it."""

    def read() -> str:
        with stack.services.connect() as connection:
            row = connection.execute("SELECT last_error FROM batches_emailjob").fetchone()
        return row[0] if row else ""

    return wait_until(read, seconds=20, what="a relay error on the job", every=0.1)


def assert_no_attempt_was_counted(stack: Stack) -> None:
    with stack.services.connect() as connection:
        rows = connection.execute("SELECT DISTINCT status, attempts FROM batches_email").fetchall()
    assert set(rows) - {(EmailStatus.SENDING, 1)} == {(EmailStatus.PENDING, 0)}  # an attempt may be in flight


def test_each_recipient_gets_one_mail_when_postfix_offers_pipelining_and_chunking(stack: Stack, plain: Postfix) -> None:
    with smtplib.SMTP("127.0.0.1", plain.port) as client:
        client.ehlo()
        assert {"pipelining", "chunking", "8bitmime", "smtputf8"} <= set(client.esmtp_features)
    start_worker(stack, plain, "smtp")
    start_worker(stack, plain, "smtp")
    expected = load(stack, "plain", RECIPIENTS)
    wait_for_sent(stack, RECIPIENTS)
    assert plain.wait_for(expected) == dict.fromkeys(expected, 1)


@pytest.mark.parametrize("policy", ["resend", "hold"])
def test_only_the_unknown_users_fail_when_postfix_knows_six_in_ten_not(
    stack: Stack, accounts: Accounts, policy: str
) -> None:
    """Postfix waits a second for each reply after ten errors on a connection, and closes it after twenty."""
    addresses = {f"{'unknown' if number % 10 < 6 else 'known'}{number:05d}@example.org" for number in range(RECIPIENTS)}
    unknown = {address for address in addresses if address.startswith("unknown")}
    with Postfix(accounts=accounts, size=SIZE_LIMIT, unknown_users="^unknown") as relay:
        start_worker(stack, relay, "smtp", SEND_ON_CRASH=policy)
        stack.send_batch(
            write_recipients(stack.folder / "recipients.csv", sorted(addresses, key=lambda each: each[-17:]))
        )
        wait_for_sent(stack, len(addresses - unknown))
        wait_until(lambda: statuses(stack)[EmailStatus.FAILED] == len(unknown), seconds=40, what="the refusals")
        assert relay.wait_for(addresses - unknown) == dict.fromkeys(addresses - unknown, 1)
        assert "too many errors" not in relay.log


def test_each_recipient_gets_one_mail_when_postfix_requires_tls_and_a_login(
    stack: Stack, secure: Postfix, accounts: Accounts
) -> None:
    start_worker(stack, secure, "smtp+tls", login=LOGIN)
    expected = load(stack, "secure", RECIPIENTS)
    wait_for_sent(stack, RECIPIENTS)
    assert secure.wait_for(expected) == dict.fromkeys(expected, 1)
    assert accounts.logins["accepted"] > 0
    wait_until(lambda: f"sasl_username={USER}" in secure.log, seconds=10, what="the login in Postfix's log")


def test_job_shows_the_reason_and_no_attempt_is_counted_when_the_password_is_wrong(
    stack: Stack, secure: Postfix
) -> None:
    worker = start_worker(stack, secure, "smtp+tls", login="ann%40example.org:wrong@")
    load(stack, "wrong", 50)
    reason = wait_for_relay_error(stack)
    assert "refused the login (535" in reason
    assert "wrong" not in reason
    assert_no_attempt_was_counted(stack)
    worker.kill_group()
    start_worker(stack, secure, "smtp+tls", login=LOGIN)
    wait_for_sent(stack, 50)
    with stack.services.connect() as connection:
        assert connection.execute("SELECT DISTINCT attempts FROM batches_email").fetchall() == [(1,)]
        assert connection.execute("SELECT last_error FROM batches_emailjob").fetchone() == ("",)


def test_no_login_is_sent_in_the_clear_when_postfix_has_no_tls(
    stack: Stack, plain: Postfix, accounts: Accounts
) -> None:
    before = accounts.logins.copy()
    start_worker(stack, plain, "smtp+tls", login=LOGIN)
    load(stack, "clear", 50)
    assert "STARTTLS" in wait_for_relay_error(stack)
    assert_no_attempt_was_counted(stack)
    assert accounts.logins == before


def test_job_shows_the_reason_when_the_certificate_is_not_trusted(
    stack: Stack, secure: Postfix, accounts: Accounts, tmp_path: Path
) -> None:
    before = accounts.logins.copy()
    (tmp_path / "none.pem").touch()
    start_worker(stack, secure, "smtp+tls", login=LOGIN, SSL_CERT_FILE=str(tmp_path / "none.pem"))
    load(stack, "untrusted", 50)
    assert "certificate" in wait_for_relay_error(stack)
    assert_no_attempt_was_counted(stack)
    assert accounts.logins == before


def test_each_kind_of_address_gets_its_mail_and_only_the_too_long_message_fails(stack: Stack, plain: Postfix) -> None:
    rows = [
        ("zoë@example.org", "Zoë"),
        ("info@bücher.example", "Jürgen"),
        ("李@例子.example", "李"),
        ("long@example.org", "x" * SIZE_LIMIT),
        ("o'neil+tag@example.org", "Siobhán"),
    ]
    start_worker(stack, plain, "smtp")
    load_rows(stack, rows)
    wait_for_sent(stack, 4)
    status, _, reply, _ = read_email(stack, 5)
    assert status == EmailStatus.FAILED
    assert reply.startswith("The message has ")
    assert f"the relay takes {SIZE_LIMIT}" in reply
    plain.wait_for({"zoë@example.org", "info@xn--bcher-kva.example", "o'neil+tag@example.org"})
    (cjk,) = wait_until(
        lambda: [address for address in plain.accepted() if address.startswith("李@")],
        seconds=10,
        what="the mail to 李",
    )
    assert cjk in {"李@例子.example", "李@xn--fsqu00a.example"}


def test_every_recipient_gets_the_mail_when_postfix_is_reloaded_and_killed(stack: Stack, plain: Postfix) -> None:
    start_worker(stack, plain, "smtp", SEND_RATE="100")  # slow enough to be killed in the middle on a busy machine
    expected = load(stack, "restart", RECIPIENTS)

    def sent() -> int:
        return statuses(stack)[EmailStatus.SENT]

    wait_until(lambda: sent() > 200, seconds=20, what="some mail to go out", every=0.05)
    plain.reload()
    wait_until(lambda: sent() > 400, seconds=20, what="more mail to go out", every=0.05)
    plain.kill()
    # At first the relay error may only say that the connections were lost.
    wait_until(lambda: "can't be reached" in wait_for_relay_error(stack), seconds=20, what="the reason on the job")
    assert sent() < RECIPIENTS
    plain.start()
    wait_for_sent(stack, RECIPIENTS)
    twice = sum(count > 1 for count in plain.wait_for(expected).values())
    print(f"{twice} of {RECIPIENTS} recipients got the mail twice over a reload and a kill of Postfix")  # noqa: T201
    assert twice <= WINDOW
