"""The breaker of one route: a refusal that may be about everybody waits until it is known whether it is.

Refusals that no reply rule can tell apart enter, with the emails that they answered. They are *suspended*: nothing is
recorded, and nobody is charged an attempt. A success of the route shows that the relay accepts mail from us, so the
refusals before it were the recipients' own. Refusals in a row that are all alike are about everybody: the breaker
trips. The lane then pauses the job or the relay, and requeues the suspended emails.

The limits are chosen so that a mistake in either direction is cheap (decision 26). It knows no database and no clock.
"""

from __future__ import annotations

import re
from collections import Counter
from typing import NamedTuple

from batches.delivery.terms import ClaimedEmail
from batches.outcomes import Outcome, ReplyMeaning
from batches.smtp.verdicts import Stage, Verdict

FIRST_COUNT = 10
"""Alike refusals in a row that trip the breaker while the relay has accepted nothing of the job. Ten strangers whose
addresses are all wrong, and whom the relay refuses in words that no rule knows, are rare. A relay that denies everybody
is common, and is seen before the eleventh."""

LATER_COUNT = 20
"""The same after the relay has accepted a message of the job. A list that is sorted by domain may have a run of dead
addresses in its middle, so the run must be longer."""

UNLIKE_FACTOR = 3
"""Refusals in a row that are not alike trip the breaker too, at this many times the limit. Some relays put words into
each reply that differ, and that nobody can foresee."""

LAST_COUNT = 3
"""At the end of a job, this many are enough, if all are alike and their words do not name the recipient. One or two
refusals are no pattern. If the relay has accepted a message of the job, this holds for 4xx replies only."""

TEXT_MAX = 300
"""Only the beginning of a reply is compared."""

# What differs from recipient to recipient: an address, a word with a digit (an id, a time, an IP address), an id of
# mixed letters, and a long word.
_VARYING = re.compile(r"<[^<>\s]*>|\S*@\S*|\S*\d\S*|\b[A-Za-z]*[a-z][A-Z][A-Za-z]*\b|\S{25,}")
_ENHANCED = re.compile(r"[245]\.\d{1,3}\.\d{1,3}(?=\s|$)")
_ABOUT_RECIPIENT = re.compile(
    r"\b(?:user|users|mailbox|mailboxes|account|recipient|inbox|addressee|alias|unknown|undeliverable|unroute?able"
    r"|no such|not exist|doesn.t exist|over quota|is full)\b"
)
_ABOUT_US = re.compile(r"\b(?:sender|relay\w*|authent\w*|log ?in|policy|block\w*|black\w*|spam|client|denied)\b")


def make_key(verdict: Verdict, *, stage: Stage | None, address: str) -> str:
    """Return a line that is equal for refusals that are alike: same stage, code, enhanced code and words.

    Addresses, ids and numbers in the words are left out, and so are the parts of the recipient's own address.
    """
    text = " ".join(verdict.reply[:TEXT_MAX].split())
    enhanced = _ENHANCED.match(text)
    if enhanced is not None:
        text = text[enhanced.end() :]
    words = _VARYING.sub("*", text).casefold()
    local, _, domain = address.casefold().rpartition("@")
    for part in (domain, local):
        if part:
            words = re.sub(rf"(?<![\w.-]){re.escape(part)}(?![\w-])", "*", words)
    named = stage.value if stage is not None else ""
    return " ".join(f"{named} {verdict.code} {enhanced[0] if enhanced else ''} {words}".split())


def is_about_recipient(key: str) -> bool:
    """Whether the words of a refusal name the recipient or the mailbox, as far as words can tell."""
    return bool(_ABOUT_RECIPIENT.search(key)) and not _ABOUT_US.search(key)


class Suspended(NamedTuple):
    """A refusal that is not recorded yet.

    ``place`` is that of its email in the order in which emails are taken, and ``free_place`` that of the first email
    that was not taken when the refusal came.
    """

    claimed: ClaimedEmail
    verdict: Verdict
    key: str
    place: int
    free_place: int


class Trip(NamedTuple):
    """What the breaker found: the last of the refusals, how many there were in a row, and their keys, a line each."""

    verdict: Verdict
    refusal_count: int
    refusal: str
    is_alike: bool = True
    is_first: bool = False
    """Nothing of the job was accepted before."""
    is_last: bool = False
    """There are few, and they are all that is left of the job."""

    @property
    def is_temporary(self) -> bool:
        """Whether the relay may accept the mail after a while without anybody's help."""
        passing = (ReplyMeaning.RATE, ReplyMeaning.QUOTA, ReplyMeaning.RELAY)
        return self.verdict.outcome is Outcome.DEFERRED or self.verdict.meaning in passing


class Breaker:
    """The suspended refusals of one route, in their order.

    Args:
        window: how many emails may be in flight. Half of them may be suspended before the breaker trips.
        accepted_refusal: the keys, a line each, that a person took for the recipients' own by resuming the job.
    """

    def __init__(self, accepted_refusal: str, *, window: int) -> None:
        self._limit_max = max(LAST_COUNT, window // 2)
        self._accepted = frozenset(accepted_refusal.splitlines())
        # Those of requeued emails, which are still in a row with what comes after a pause.
        self._kept: Counter[str] = Counter()
        self._success_place = -1
        self.suspended: list[Suspended] = []
        self.trip: Trip | None = None
        """What the strikes found to be about everybody."""

    def suspend(
        self, claimed: ClaimedEmail, verdict: Verdict, *, stage: Stage | None, place: int, free_place: int
    ) -> bool:
        """Suspend a refusal. False: it is to be charged, because a person has accepted it."""
        key = make_key(verdict, stage=stage, address=claimed.address)
        if key in self._accepted:
            return False
        self.suspended.append(Suspended(claimed, verdict, key, place, free_place))
        return True

    def on_success(self, place: int) -> list[Suspended]:
        """Note a success, and return the refusals that are charged by it: those that came before it was taken.

        A success that was taken after a refused email, but before its refusal came, charges nothing. Yet the two are
        not in a row.
        """
        self._success_place = max(self._success_place, place)
        charged = [each for each in self.suspended if each.free_place <= place]
        self.suspended = [each for each in self.suspended if each.free_place > place]
        return charged

    def _count(self) -> Counter[str]:
        """Count the refusals in a row, by their keys."""
        return self._kept + Counter(each.key for each in self.suspended if each.place > self._success_place)

    def is_full(self, *, has_sent: bool) -> bool:
        """Whether there are enough refusals in a row to trip."""
        if self.trip is not None:
            return True
        counts = self._count() if self.suspended else None
        if not counts:
            return False
        limit = self._limit(has_sent)
        return max(counts.values()) >= limit or counts.total() >= UNLIKE_FACTOR * limit

    def _limit(self, has_sent: bool) -> int:
        return min(LATER_COUNT if has_sent else FIRST_COUNT, self._limit_max)

    def find_trip(self, *, has_sent: bool, is_last: bool) -> Trip | None:
        """Say whether the refusals are about everybody.

        Args:
            has_sent: whether a message of the job was ever accepted.
            is_last: whether nothing more of the job can be sent before the refusals have to be recorded.
        """
        if self.trip is not None:
            return self.trip._replace(is_first=not has_sent)
        is_full = self.is_full(has_sent=has_sent)
        if not is_full and not (is_last and self._is_pattern(has_sent=has_sent)):
            return None
        counts = self._count() or Counter(each.key for each in self.suspended)
        key, count = counts.most_common(1)[0]
        is_alike = count == counts.total() or count >= self._limit(has_sent)
        # The last of the commonest kind: the person reads it as the example.
        last = [each for each in self.suspended if each.key == key] or self.suspended
        refusal = "\n".join({key: None} if is_alike else dict.fromkeys(counts))
        shown_count = count if is_alike else counts.total()
        return Trip(
            last[-1].verdict, shown_count, refusal, is_alike=is_alike, is_first=not has_sent, is_last=not is_full
        )

    def _is_pattern(self, *, has_sent: bool) -> bool:
        """Whether the few refusals at the end of a job look as if they were about everybody.

        After a success, only those that defer do: it costs little to wait for a relay that has a fault.
        """
        untried = [each for each in self.suspended if each.claimed.attempts <= 1]
        considered = untried if has_sent else self.suspended
        keys = {each.key for each in considered}
        if len(considered) < LAST_COUNT or len(keys) > 1 or is_about_recipient(considered[0].key):
            return False
        return not has_sent or considered[0].verdict.outcome is Outcome.DEFERRED

    def release(self) -> list[Suspended]:
        """Return the suspended refusals and forget them, but not how many there were in a row."""
        self._kept = self._count()
        return self._take_all()

    def end_run(self) -> list[Suspended]:
        """End the run of refusals. Returns those that were suspended."""
        self.forget_run()
        return self._take_all()

    def forget_run(self) -> None:
        """Forget what was refused before the last pause, because a message was accepted after it."""
        self._kept.clear()

    def _take_all(self) -> list[Suspended]:
        suspended, self.suspended, self.trip = self.suspended, [], None
        self._success_place = -1
        return suspended

    def take_retries(self) -> list[Suspended]:
        """Return those that were charged an attempt before, and keep the others."""
        retries = [each for each in self.suspended if each.claimed.attempts > 1]
        self.suspended = [each for each in self.suspended if each.claimed.attempts <= 1]
        return retries
