"""The records of letter checks in Redis: begin a check, read how far it is, write what was found.

A letter check renders the letter of every row of a draft. A draft and message parts enter, a LetterCheck leaves. Redis
holds nothing else of it: a check that is lost is begun again.
"""

from __future__ import annotations

import hashlib
import json
import secrets
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from typing import Any, Self, cast

from redis.exceptions import RedisError

from batches.jobs import queues
from batches.models import Batch, BatchStatus, LetterCheckState
from batches.rendering.letters import LetterFault, LetterFaults
from batches.rendering.template import MessageParts

AUTOMATIC_MAX_ROWS = 20_000
"""A list of this size is checked without a click. It takes a worker less than a second (decision 19)."""

KEPT_SECONDS = 60 * 60
"""How long Redis keeps a check after its last change."""

SILENT_SECONDS = 30.0
"""A running check writes several times a second. One that has been silent for this long was killed."""

_PREFIX = "emailbatch:letter-check"


@dataclass(frozen=True, kw_only=True, slots=True)
class LetterCheck:
    """How far a letter check is, and what it has found."""

    run: str
    """Names this check. A draft and message parts that are checked again have another one."""
    batch_id: int
    total: int
    state: LetterCheckState = LetterCheckState.WAITING
    checked: int = 0
    faults: tuple[LetterFault, ...] = ()
    biggest_bytes: int = 0
    """The size of the biggest message, of those that were checked."""
    biggest_row: int = 0
    after_row: int = 0
    """The last row that was checked."""
    turn: int = 0
    """How many times the check was enqueued before."""
    worked_seconds: float = 0.0
    written_at: float = 0.0
    """The Unix time of the last change."""

    @property
    def faulty(self) -> int:
        """How many letters have a fault, of those that were checked."""
        return LetterFaults(faults=self.faults).faulty

    @property
    def has_ended(self) -> bool:
        """Whether nothing more is checked."""
        return self.state in (LetterCheckState.DONE, LetterCheckState.KILLED)

    def add(self, found: LetterFaults, *, after_row: int) -> Self:
        """Add what was found in the next rows."""
        before = LetterFaults(
            checked=self.checked,
            faults=self.faults,
            biggest_bytes=self.biggest_bytes,
            biggest_row=self.biggest_row,
        )
        both = before.add(found)
        return replace(
            self,
            checked=both.checked,
            faults=both.faults,
            biggest_bytes=both.biggest_bytes,
            biggest_row=both.biggest_row,
            after_row=after_row,
        )

    def to_json(self) -> str:
        """Return the text that Redis keeps."""
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: bytes) -> Self:
        """Read what ``to_json`` made."""
        values = json.loads(text)
        faults = tuple(LetterFault(**{**fault, "rows": tuple(fault["rows"])}) for fault in values.pop("faults"))
        return cls(faults=faults, state=LetterCheckState(values.pop("state")), **values)


def begin_check(batch: Batch, parts: MessageParts, *, again: bool = False) -> LetterCheck | None:
    """Begin the letter check of a draft with message parts, or return the one that exists. Safe to call twice.

    Args:
        again: Begin a new one if the present one has ended.

    Returns:
        The check, or None if Redis is away or the batch is no draft.
    """
    if batch.status != BatchStatus.DRAFT:
        return None
    pointer = _pointer(batch, parts)
    if again and (former := read_check(batch, parts)) and former.has_ended:
        with suppress(RedisError):
            forget(former, pointer)
    check = LetterCheck(run=secrets.token_hex(16), batch_id=batch.pk, total=batch.total_count, written_at=time.time())
    task = json.dumps({"pointer": pointer, "parts": asdict(parts)})
    try:
        client = queues.client()
        with client.pipeline() as pipeline:
            pipeline.set(_record(check.run), check.to_json(), ex=KEPT_SECONDS)
            pipeline.set(_task(check.run), task, ex=KEPT_SECONDS)
            # Last: the request that sets it first begins the check, and one that finds it finds the record too.
            pipeline.set(pointer, check.run, ex=KEPT_SECONDS, nx=True)
            *_, is_ours = pipeline.execute()
        if not is_ours:
            client.delete(_record(check.run), _task(check.run))
            return _follow(pointer)
    except RedisError:
        return None
    return check if queues.enqueue_check(check.run, turn=0) else None


def read_check(batch: Batch, parts: MessageParts) -> LetterCheck | None:
    """Return the letter check of a draft with message parts. None if there is none, or if Redis is away."""
    with suppress(RedisError):
        return _follow(_pointer(batch, parts))
    return None


def _follow(pointer: str) -> LetterCheck | None:
    """Return the check that a pointer names. If its work-horse died, its state says so from now on.

    Raises:
        RedisError: Redis is away.
    """
    run = cast("bytes | None", queues.client().get(pointer))
    check = read_record(run.decode()) if run else None
    return write_record(replace(check, state=LetterCheckState.KILLED)) if check and _is_killed(check) else check


def _is_killed(check: LetterCheck) -> bool:
    """Whether no worker works on a check and no queue holds it."""
    if check.has_ended:
        return False
    if queues.has_check_failed(check.run, turn=check.turn):
        return True
    is_silent = time.time() - check.written_at > SILENT_SECONDS
    is_queued = check.state == LetterCheckState.WAITING and queues.is_check_queued(check.run, turn=check.turn)
    return is_silent and not is_queued


def read_record(run: str) -> LetterCheck | None:
    """Return the record of a check, or None.

    Raises:
        RedisError: Redis is away.
    """
    text = cast("bytes | None", queues.client().get(_record(run)))
    return LetterCheck.from_json(text) if text else None


def read_task(run: str) -> tuple[str, MessageParts] | None:
    """Return the pointer and the message parts of a check, or None if it is no longer wanted.

    Raises:
        RedisError: Redis is away.
    """
    text = cast("bytes | None", queues.client().get(_task(run)))
    if text is None:
        return None
    task: Mapping[str, Any] = json.loads(text)
    return task["pointer"], MessageParts(**task["parts"])


def write_record(check: LetterCheck) -> LetterCheck:
    """Write a record, and return it with its time.

    Raises:
        RedisError: Redis is away.
    """
    written = replace(check, written_at=time.time())
    queues.client().set(_record(check.run), written.to_json(), ex=KEPT_SECONDS)
    return written


def forget(check: LetterCheck, pointer: str) -> None:
    """Delete a check whose draft was changed, sent or discarded.

    Raises:
        RedisError: Redis is away.
    """
    client = queues.client()
    client.delete(_record(check.run), _task(check.run))
    if client.get(pointer) == check.run.encode():  # otherwise another check has taken this one's place
        client.delete(pointer)


def is_wanted(check: LetterCheck, pointer: str, parts: MessageParts) -> bool:
    """Whether the batch is still the same draft, and no other check has taken the place of this one.

    Raises:
        RedisError: Redis is away.
    """
    batch = Batch.objects.filter(pk=check.batch_id, status=BatchStatus.DRAFT).first()
    if batch is None or _pointer(batch, parts) != pointer:
        return False
    return queues.client().get(pointer) == check.run.encode()


def _pointer(batch: Batch, parts: MessageParts) -> str:
    """Return the key under which Redis names the check of these message parts and of the list as it is now.

    Whatever changes the rows of a draft or the names of its merge fields changes one of these values.
    """
    state = [
        [batch.columns, batch.address_indexes, batch.merge_fields, batch.encoding, batch.delimiter, batch.has_header],
        [batch.reading, batch.shared_addresses, batch.content_digest, batch.total_count, batch.rejected_count],
        asdict(parts),
    ]
    digest = hashlib.sha256(json.dumps(state, sort_keys=True).encode()).hexdigest()
    return f"{_PREFIX}:of:{batch.pk}:{digest}"


def _record(run: str) -> str:
    return f"{_PREFIX}:record:{run}"


def _task(run: str) -> str:
    return f"{_PREFIX}:task:{run}"
