"""The outbox of a route whose messages a child renders: it asks ahead, and gives out what has come."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from itertools import islice

from batches.delivery.lane_renderer import LaneRenderer, Written
from batches.delivery.outbox import AHEAD_MAX_BYTES, Outbox
from batches.delivery.spec import LaneSpec
from batches.delivery.terms import ClaimedEmail
from batches.rendering.message import Message
from batches.rendering.template import TemplateFault
from batches.return_paths import ReturnPathMaker
from batches.smtp.connection import Capabilities, Outgoing
from batches.smtp.verdicts import Verdict

ASKED_MAX = 64
"""How many messages are asked for in one request."""

ENOUGH = 32
"""With so many messages ready, no more are asked for. Nor are they with more than AHEAD_MAX_BYTES of them."""


class RenderedOutbox(Outbox):
    """The claimed emails of one route in order, and the messages that were written of the next ones.

    ``on_ready`` is called when there may be messages to take.
    """

    def __init__(
        self,
        spec: LaneSpec,
        *,
        record: Callable[[ClaimedEmail, Verdict], None],
        renderer: LaneRenderer,
        on_ready: Callable[[], None],
        is_paced: bool = False,
        return_paths: ReturnPathMaker | None = None,
    ) -> None:
        super().__init__(spec, record=record, is_paced=is_paced, return_paths=return_paths)
        self._renderer, self._on_ready = renderer, on_ready
        # Under a rate, a message written ahead would wait and leave with an old Date header.
        self._asked_max, self._enough = (1, 1) if is_paced else (ASKED_MAX, ENOUGH)
        self._written: Written = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._is_asking = False
        self._is_8bit = True
        """Whether messages may be written in 8bit. Not after a connection was met that takes 7bit alone."""
        self._round = 0
        """Rises when what was asked for is not wanted any more."""

    def _prepare(self, spec: LaneSpec) -> None:
        """Overridden because the renderer does all of it."""

    def clear(self) -> list[ClaimedEmail]:
        """Empty the outbox, and return its emails. What is being rendered is given up."""
        self._forget()
        return super().clear()

    def take(self, capabilities: Capabilities) -> Outgoing[ClaimedEmail] | None:
        """Return the next message; None if there is none yet. Then ``on_ready`` is called when there is."""
        if not self.is_ready_for(capabilities):
            return None
        outgoing = super().take(capabilities)
        self._ask_ahead()
        return outgoing

    def is_ready_for(self, capabilities: Capabilities) -> bool:
        """Whether the next message was written. If not, it is asked for."""
        if capabilities is not self._made_for:
            self._unmake()
            self._made_for = capabilities
        if self._is_8bit and not capabilities.eight_bit:
            # From now on all messages are written in 7bit, which each connection takes. If they were written again
            # for each, two machines of one name that offer different things would never get one.
            self._is_8bit = False
            self._forget()
        if self._made or self._is_next_written():
            return True
        self._ask_ahead()
        return False

    def _is_next_written(self) -> bool:
        return bool(self._claimed) and self._claimed[0].id in self._written

    def _make_some(self, capabilities: Capabilities) -> bool:
        """Overridden to take one message that was written, and the faults before it."""
        while self._is_next_written():
            claimed = self._claimed.popleft()
            outgoing = self._make(claimed, capabilities)
            self._written.pop(claimed.id, None)
            if outgoing is not None:
                self._made.append(outgoing)
                return True
        return False

    def _write(self, claimed: ClaimedEmail, *, allow_8bit: bool) -> Message:
        written = self._written[claimed.id]
        if isinstance(written, TemplateFault):
            # A new one: what is raised holds its frame, which would hold it. So messages would stay in memory.
            raise TemplateFault(str(written), group=written.group)
        return written

    def _ask_ahead(self) -> None:
        if self._is_asking or self._renderer.obstacle:
            return
        asked_max = self._asked_max
        if self._has_enough():
            if self._is_next_written():
                return
            asked_max = 1  # one was put back before those that are ready, and they wait for it
        missing = (claimed for claimed in self._claimed if claimed.id not in self._written)
        if emails := list(islice(missing, asked_max)):
            self._is_asking = True
            task = asyncio.ensure_future(self._ask(emails, round_number=self._round))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    def _has_enough(self) -> bool:
        """Whether enough messages are ready, or so big ones that more of them would fill the memory."""
        if len(self._written) >= self._enough:
            return True
        return sum(len(each.content) for each in self._written.values() if isinstance(each, Message)) > AHEAD_MAX_BYTES

    async def _ask(self, emails: Sequence[ClaimedEmail], *, round_number: int) -> None:
        written = await self._renderer.write(emails, allow_8bit=self._is_8bit)
        if round_number == self._round:
            self._is_asking = False
            self._written.update(written)
            self._on_ready()

    def _forget(self) -> None:
        self._round += 1
        self._written.clear()
        if self._is_asking:
            self._is_asking = False
            self._renderer.interrupt()
