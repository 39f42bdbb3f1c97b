"""Interoperation with a real Exim and its default limits: refusals, closings, full disks and limits of a connection."""

from __future__ import annotations

import os
from collections import Counter
from itertools import product

import pytest

from batches.models import EmailStatus
from batches.smtp.depth import RESETS_MAX
from tests.acceptance import exim
from tests.acceptance.exim import Exim
from tests.acceptance.fates import count_doubts, read_addresses, send, wait_for_end
from tests.acceptance.test_postfix import wait_for_relay_error
from tests.acceptance.test_worker import statuses
from tests.chaos.stack import Stack

if exim.missing() and not os.environ.get("REQUIRE_EXIM"):
    pytest.skip(exim.missing(), allow_module_level=True)

IS_LONG = bool(os.environ.get("LONG_TESTS"))
RECIPIENTS = 2000 if IS_LONG else 1000
LONG_LIST = 2000
"""For runs of accepted messages that are long enough for the full depth."""
FIRST_DOUBTS_MAX = 2 * 2 * RESETS_MAX
"""Each of two lanes learns of closings by its first one, or by two at a time, which meet other messages in flight."""
POLICIES = ["resend", "hold"]
MANY = [("deny", 3, "resend"), ("deny", 6, "hold"), ("drop", 3, "hold"), ("drop", 6, "resend")]
FEW = [("deny", "hold"), ("drop", "resend"), ("drop", "hold")]
if IS_LONG:  # both answers with each share of unknown users and both crash policies
    MANY, FEW = list(product(["deny", "drop"], [3, 6], POLICIES)), list(product(["deny", "drop"], POLICIES))
REFUSE = "  {verb} message = {message}\n    local_parts = ^unknown"


def name_recipients(name: str, *, tenths_unknown: int) -> tuple[list[str], set[str]]:
    """Return addresses, evenly mixed, and those of them that Exim refuses."""
    addresses = [
        f"{'unknown' if number * 7 % 10 < tenths_unknown else 'known'}.{name}{number:05d}@example.org"
        for number in range(RECIPIENTS)
    ]
    return addresses, {address for address in addresses if address.startswith("unknown")}


@pytest.mark.parametrize(("verb", "tenths_unknown", "policy"), MANY)
def test_every_good_recipient_is_sent_once_when_exim_knows_many_users_not(
    stack: Stack, verb: str, tenths_unknown: int, policy: str
) -> None:
    addresses, unknown = name_recipients(verb, tenths_unknown=tenths_unknown)
    with Exim(at_rcpt=REFUSE.format(verb=verb, message="no such user here")) as relay:
        send(stack, relay.port, addresses, policy=policy)
        counts = wait_for_end(stack)
        print(f"{verb} {tenths_unknown}0 %, {policy}: {dict(counts)}, {count_doubts(stack)} in doubt")  # noqa: T201
        assert read_addresses(stack, EmailStatus.FAILED) == unknown
        assert read_addresses(stack, EmailStatus.SENT) == set(addresses) - unknown
        assert relay.accepted() == Counter(set(addresses) - unknown)
        assert count_doubts(stack) == 0
        assert "too many nonmail commands" not in relay.log
        assert "protocol error" not in relay.log


@pytest.mark.parametrize(("verb", "policy"), FEW)
def test_a_loss_puts_next_to_nothing_in_doubt_when_exim_refuses_a_few(stack: Stack, verb: str, policy: str) -> None:
    """After long runs of accepted messages connections have their full depth when the first refusal comes.

    At its end the list has a block of unknown users, as if their domain were gone. By then every lane has learned.
    """
    addresses = [
        f"{'unknown' if number % 100 == 99 or number >= LONG_LIST - 40 else 'known'}.few{number:05d}@example.org"
        for number in range(LONG_LIST)
    ]
    unknown = {address for address in addresses if address.startswith("unknown")}
    with Exim(at_rcpt=REFUSE.format(verb=verb, message="no such user here")) as relay:
        send(stack, relay.port, addresses, policy=policy)
        counts = wait_for_end(stack)
        print(f"{verb} a few, {policy}: {dict(counts)}, {count_doubts(stack)} in doubt")  # noqa: T201
        in_doubt = read_addresses(stack, EmailStatus.UNKNOWN)
        assert count_doubts(stack) <= (0 if verb == "deny" else FIRST_DOUBTS_MAX)
        assert read_addresses(stack, EmailStatus.FAILED) == unknown - in_doubt
        assert read_addresses(stack, EmailStatus.SENT) == set(addresses) - unknown - in_doubt
        assert relay.accepted() == Counter(set(addresses) - unknown - in_doubt)
        assert "too many nonmail commands" not in relay.log


def test_every_recipient_is_sent_once_when_exim_limits_the_messages_of_a_connection(stack: Stack) -> None:
    addresses, _ = name_recipients("limit", tenths_unknown=0)
    with Exim(options="smtp_accept_max_per_connection = 20") as relay:
        send(stack, relay.port, addresses, policy="hold")
        assert wait_for_end(stack) == {EmailStatus.SENT: RECIPIENTS}
        assert relay.accepted() == Counter(addresses)
        assert count_doubts(stack) == 0


@pytest.mark.parametrize("stage", ["at_rcpt", "at_data"])
def test_only_the_deferred_are_attempted_again_when_exim_defers_some(stack: Stack, stage: str) -> None:
    addresses, deferred = name_recipients(stage.replace("_", ""), tenths_unknown=3)
    condition = {"at_rcpt": "local_parts = ^unknown", "at_data": "condition = ${if match{$h_to:}{unknown}}"}[stage]
    with Exim(**{stage: f"  defer message = mailbox is locked\n    {condition}"}) as relay:
        send(stack, relay.port, addresses, policy="hold", SEND_MAX_ATTEMPTS="2")
        wait_for_end(stack)
        assert read_addresses(stack, EmailStatus.FAILED) == deferred
        assert read_addresses(stack, EmailStatus.SENT) == set(addresses) - deferred
        assert relay.accepted() == Counter(set(addresses) - deferred)
        assert count_doubts(stack) == 0
        with stack.services.connect() as connection:
            found = connection.execute("SELECT status, attempts, count(*) FROM batches_email GROUP BY 1, 2").fetchall()
    assert set(found) == {(EmailStatus.SENT, 1, RECIPIENTS * 7 // 10), (EmailStatus.FAILED, 2, RECIPIENTS * 3 // 10)}


def test_nobody_is_charged_when_the_disk_of_exim_is_full_for_a_while(stack: Stack) -> None:
    """Exim says ``452 space shortage`` to MAIL. The first attempt of each email is the one that sends it."""
    addresses, _ = name_recipients("disk", tenths_unknown=0)
    with Exim(options="check_spool_space = 2000000G") as relay:
        send(stack, relay.port, addresses, policy="resend")
        reason = wait_for_relay_error(stack)
        assert "452" in reason
        assert statuses(stack)[EmailStatus.SENT] == 0
        relay.change("check_spool_space = 2000000G", "check_spool_space = 0")
        assert wait_for_end(stack, seconds=90) == {EmailStatus.SENT: RECIPIENTS}
        assert relay.accepted() == Counter(addresses)
        with stack.services.connect() as connection:
            assert connection.execute("SELECT DISTINCT attempts FROM batches_email").fetchall() == [(1,)]
            assert connection.execute("SELECT count(*) FROM batches_attempt").fetchone() == (RECIPIENTS,)
