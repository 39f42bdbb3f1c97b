"""What a lane notes in PostgreSQL about a relay that accepts no mail now, and about its job because of that.

Sentences and waits enter, statements leave through the lane's ledger. Nothing here decides how long a lane waits.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any, NamedTuple, Protocol

from batches.delivery.breaker import Trip
from batches.delivery.spec import LaneSpec, RouteSpec
from batches.models import sql
from batches.outcomes import ReplyMeaning
from batches.smtp.verdicts import Verdict

BACKOFF_SECONDS = 1.0
"""How long a relay is paused after its first failure, if it did not say how long. Each further one doubles that. A job
whose relay can't be paused for all its lanes waits as long."""

BACKOFF_MAX_SECONDS = 60.0
"""The longest pause of a relay that may accept mail again without anybody's help."""

HELPLESS_MAX_SECONDS = 15 * 60.0
"""The same where a person has to act. A relay that is asked more often may block us."""

FORGET_SECONDS = 15 * 60.0
"""A pause that ended longer ago than this is not in a row with the next one."""

REPLY_MAX = 200
"""How many characters of a reply a sentence quotes."""

NEEDS_PERSON = frozenset({ReplyMeaning.LOGIN, ReplyMeaning.POLICY, ReplyMeaning.SENDER})

_SENTENCES: Mapping[ReplyMeaning, str] = {
    ReplyMeaning.RATE: "The relay {name} says that mail comes too fast ({reply}). Sending goes on by itself.",
    ReplyMeaning.QUOTA: "The relay {name} says that its quota is used up ({reply}). Sending goes on by itself.",
    ReplyMeaning.LOGIN: (
        "The relay {name} refuses our login ({reply}). Correct the user name or the password in its address."
    ),
    ReplyMeaning.SENDER: (
        "The relay {name} refuses this sender ({reply}). Allow the sender at the relay, or send as another one."
    ),
    ReplyMeaning.POLICY: "The relay {name} refuses our mail ({reply}). Correct its settings, or ask its operator why.",
    ReplyMeaning.RELAY: "The relay {name} has a fault of its own ({reply}). Sending goes on by itself.",
}


class DeliversStatements(Protocol):
    """What this module needs of the ledger."""

    async def execute(self, statement: str, arguments: Mapping[str, object]) -> Any:
        """Execute a statement over the lane's connection, and return its cursor."""


class RelayRefusal(NamedTuple):
    """Why a relay accepts no mail now. ``wait_seconds`` is None if the relay did not say how long."""

    meaning: ReplyMeaning
    sentence: str
    wait_seconds: float | None = None
    has_too_many_connections: bool = False
    is_for_sender: bool = False
    """Mail of other senders may still be accepted."""


def say_refusal(name: str, meaning: ReplyMeaning, verdict: Verdict) -> str:
    """Say in words why a relay is paused, and what to do."""
    sentence = _SENTENCES.get(meaning, _SENTENCES[ReplyMeaning.RELAY])
    return sentence.format(name=name, reply=quote(verdict))


def say_trip(name: str, trip: Trip) -> str:
    """Say in words why a job is paused: what the relay refused, that nobody was charged, and what to do."""
    count, reply = trip.refusal_count, quote(trip.verdict)
    if trip.is_first and trip.is_alike:
        refused = f"The relay {name} refused the first {count} recipients alike: {reply}."
    elif trip.is_first:
        refused = f"The relay {name} refused the first {count} recipients in different words, the last with: {reply}."
    elif trip.is_alike:
        refused = f"The relay {name} refused {count} recipients in a row alike: {reply}."
    else:
        refused = f"The relay {name} refused {count} recipients in a row in different words, the last with: {reply}."
    return (
        f"{refused} Nobody was charged an attempt. Correct the relay, its login or the sender first if the fault is "
        "there, and then resume. After that the same refusal counts as the recipient's own."
    )


def quote(verdict: Verdict) -> str:
    """Return the code and the text of a reply, for use within a sentence."""
    text = " ".join(f"{verdict.code or ''} {verdict.reply}".split()).rstrip(". ")
    return text if len(text) <= REPLY_MAX else f"{text[:REPLY_MAX]}..."


class Pauses:
    """The pauses of one lane run's relays and of its job. Each method executes one statement.

    Each of them raises the outages of ``ledger.OUTAGES``, and is safe to call again then.
    """

    def __init__(self, spec: LaneSpec, ledger: DeliversStatements) -> None:
        self._spec, self._ledger = spec, ledger

    async def pause_relay(self, route: RouteSpec, refusal: RelayRefusal) -> sql.NotedPause | None:
        """Note that a relay accepts no mail now. Returns for how long.

        None: there is no Relay to be noted, or it has too many connections and accepts mail over those of other lanes.
        """
        is_for_sender = refusal.is_for_sender or refusal.meaning is ReplyMeaning.SENDER
        needs_person = refusal.meaning in NEEDS_PERSON
        arguments = {
            "relay": route.relay_id,
            "sender": self._spec.sender_id if is_for_sender else None,
            "lane": self._spec.lane_id,
            "meaning": refusal.meaning.value,
            "sentence": refusal.sentence,
            "wait_seconds": refusal.wait_seconds,
            "has_too_many_connections": refusal.has_too_many_connections,
            "base_seconds": BACKOFF_SECONDS,
            "cap_seconds": HELPLESS_MAX_SECONDS if needs_person else BACKOFF_MAX_SECONDS,
            "forget_seconds": FORGET_SECONDS,
        }
        cursor = await self._ledger.execute(sql.PAUSE_RELAY, arguments)
        rows = sql.PAUSE_RELAY.rows(await cursor.fetchall())
        return rows[0] if rows else None

    async def note_success(self, relay_ids: Collection[int]) -> None:
        """Note that these relays accept mail, and that the job waits for none."""
        arguments = {"job": self._spec.job_id, "sender": self._spec.sender_id, "relays": list(relay_ids)}
        await self._ledger.execute(sql.NOTE_SUCCESS, arguments)

    async def report_wait(self, sentence: str, seconds: float) -> None:
        """Note on the job why none of its mail is sent, and when its lanes start again."""
        arguments = {"job": self._spec.job_id, "sentence": sentence, "seconds": seconds}
        await self._ledger.execute(sql.REPORT_WAIT, arguments)

    async def pause_job(self, sentence: str, refusal: str) -> None:
        """Pause the job and its batch, and keep the refusals as those that resuming accepts. Nobody is charged."""
        arguments = {"job": self._spec.job_id, "sentence": sentence, "refusal": refusal}
        await self._ledger.execute(sql.PAUSE_JOB, arguments)

    async def count_failed_alike(self, reply: str) -> sql.FailedAlike:
        """How many emails of the batch failed with this reply, beside how many are not pending."""
        cursor = await self._ledger.execute(sql.COUNT_FAILED_ALIKE, {"batch": self._spec.batch_id, "reply": reply})
        return sql.COUNT_FAILED_ALIKE.rows(await cursor.fetchall())[0]

    async def has_job_sent(self) -> bool:
        """Whether any lane of the job has sent an email."""
        cursor = await self._ledger.execute(sql.HAS_JOB_SENT, {"job": self._spec.job_id})
        return sql.HAS_JOB_SENT.rows(await cursor.fetchall())[0].has_sent

    async def note_closing(self, route: RouteSpec) -> None:
        """Note that a relay closes connections after refusals, for the lane runs to come."""
        await self._ledger.execute(sql.NOTE_CLOSING, {"relay": route.relay_id})
