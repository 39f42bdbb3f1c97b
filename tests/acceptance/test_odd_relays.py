"""Relays with odd habits: everybody whom the relay accepts is recorded as sent, and nobody else fails or is sent twice.

The relay counts. A message is in doubt only if its content arrived and got no reply.
"""

from __future__ import annotations

import os
import random
import time
from collections import Counter
from itertools import product

import pytest

from batches.models import EmailStatus
from batches.smtp.depth import RESETS_MAX
from tests.acceptance.fates import count_doubts, read_addresses, send, wait_for_end
from tests.acceptance.odd_relay import Dialogue, OddRelay
from tests.chaos.stack import Stack

IS_LONG = bool(os.environ.get("LONG_TESTS"))
RECIPIENTS = 1500 if IS_LONG else 600
BDAT = ("PIPELINING", "CHUNKING", "8BITMIME", "ENHANCEDSTATUSCODES")
PIPELINED = ("PIPELINING", "8BITMIME")
CHUNKING_ALONE = ("CHUNKING", "8BITMIME")
LOCK_STEP = ("8BITMIME",)
UNKNOWN_USER = "550 5.1.1 No such user here"


def is_unknown(address: str, *, of: int = 3) -> bool:
    return int(address[1:5]) % of == 0


class SaysByeAfterSeven(Dialogue):
    def on_mail(self) -> str | None:
        return "421 4.4.2 Seven are enough" if self.accepted_count == 7 else super().on_mail()


class ClosesAfterSevenWithRefusals(SaysByeAfterSeven):
    def on_rcpt(self, address: str) -> str | None:
        return UNKNOWN_USER if is_unknown(address) else super().on_rcpt(address)


class PutsOffForTwentySeconds(Dialogue):
    """From its hundredth recipient on, for 20 seconds."""

    began = 0.0

    def on_rcpt(self, address: str) -> str | None:
        if self.record.rcpt_count >= 100:
            cls = type(self)
            cls.began = cls.began or time.monotonic()
            if time.monotonic() < cls.began + 20:
                return "450 4.3.9 The moon is in the wrong place"
        return super().on_rcpt(address)


class RefusesTheThirdContent(Dialogue):
    def on_message(self, address: str) -> str | None:
        return "552 5.2.9 Not this one" if self.message_count == 3 else super().on_message(address)


class RefusesReset(Dialogue):
    def on_rcpt(self, address: str) -> str | None:
        return UNKNOWN_USER if is_unknown(address) else super().on_rcpt(address)

    def on_reset(self) -> str | None:
        return "502 5.5.1 What is RSET?"


class ClosesAtReset(RefusesReset):
    def on_reset(self) -> str | None:
        return None


class ClosesAfterEachMessage(Dialogue):
    def on_message(self, address: str) -> str | None:
        self.closes = True
        return super().on_message(address)


class ClosesAtTheFifthRefusal(Dialogue):
    def on_rcpt(self, address: str) -> str | None:
        if not is_unknown(address):
            return super().on_rcpt(address)
        if self.refused_count == 4:
            return None
        return UNKNOWN_USER


class ClosesAfterTheFifthRefusal(Dialogue):
    def on_rcpt(self, address: str) -> str | None:
        if not is_unknown(address):
            return super().on_rcpt(address)
        self.closes = self.refused_count == 4
        return UNKNOWN_USER


class RefusesAtData(Dialogue):
    def on_data(self, address: str) -> str | None:
        return "554 5.1.1 Nobody of this name" if is_unknown(address, of=4) else super().on_data(address)


class SaysByeAtTheMessage(Dialogue):
    """Each fifth message of a connection."""

    def on_message(self, address: str) -> str | None:
        return "421 4.3.0 Another time" if self.message_count == 5 else super().on_message(address)


class RefusesMailForLoad(Dialogue):
    """One message in six is put off before its recipient is named."""

    def on_mail(self) -> str | None:
        return "451 4.3.2 Busy" if random.random() < 1 / 6 else super().on_mail()


class LosesReplies(Dialogue):
    """One message in fifty arrives, and the connection ends before the reply."""

    def on_message(self, address: str) -> str | None:
        if random.random() > 1 / 50:
            return super().on_message(address)
        self.record.accepted[address] += 1
        return None


class RefusesTheContentOfSome(Dialogue):
    """With words about everybody: for one in ten, and for a block in the middle of the list."""

    def on_message(self, address: str) -> str | None:
        number = int(address[1:5])
        is_refused = number % 10 == 0 or 700 <= number < 712
        return "554 5.7.1 Relay access denied" if is_refused else super().on_message(address)


HABITS = [
    SaysByeAfterSeven,
    ClosesAfterSevenWithRefusals,
    PutsOffForTwentySeconds,
    RefusesTheThirdContent,
    RefusesReset,
    ClosesAtReset,
    ClosesAfterEachMessage,
    ClosesAtTheFifthRefusal,
    ClosesAfterTheFifthRefusal,
    RefusesAtData,
    SaysByeAtTheMessage,
    RefusesMailForLoad,
    LosesReplies,
    RefusesTheContentOfSome,
]


WAYS = [BDAT, PIPELINED, CHUNKING_ALONE, LOCK_STEP]
POLICIES = ["resend", "hold"]
CASES = [(habit, WAYS[number % 4], POLICIES[number // 4 % 2]) for number, habit in enumerate(HABITS)]
if IS_LONG:  # every habit with every way to send and both crash policies
    CASES = list(product(HABITS, WAYS, POLICIES))


@pytest.mark.parametrize(("habit", "extensions", "policy"), CASES)
def test_every_accepted_message_is_recorded_when_the_relay_is_odd(
    stack: Stack, habit: type[Dialogue], extensions: tuple[str, ...], policy: str
) -> None:
    addresses = [f"p{number:04d}@example.org" for number in range(RECIPIENTS)]
    with OddRelay(habit, extensions) as relay:
        began = time.monotonic()
        send(stack, relay.port, addresses, policy=policy)
        counts = wait_for_end(stack, seconds=100)
        record = relay.record
        doubts = count_doubts(stack)
        twice = {address for address, count in record.accepted.items() if count > 1}
        print(  # noqa: T201
            f"\n@@ {habit.__name__} {'-'.join(extensions)} {policy}: {dict(counts)} "
            f"in {time.monotonic() - began:.1f} s, {doubts} in doubt, {len(record.lost)} lost, {len(twice)} twice, "
            f"{record.connection_count} connections"
        )
        sent, unknown = read_addresses(stack, EmailStatus.SENT), read_addresses(stack, EmailStatus.UNKNOWN)
        accepted = set(record.accepted)
        assert accepted <= sent | unknown, f"accepted and not recorded: {sorted(accepted - sent - unknown)[:9]}"
        assert sent <= accepted, f"recorded and not accepted: {sorted(sent - accepted)[:9]}"
        assert read_addresses(stack, EmailStatus.FAILED) <= record.refused
        assert twice <= record.lost
        assert doubts <= len(record.lost) * RESETS_MAX, "in doubt although the relay said what it did"
        assert Counter(counts).total() == RECIPIENTS
