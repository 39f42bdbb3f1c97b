"""Write the messages of a lane whose template is not plain: a child renders them, and a thread lays them out.

Claimed emails enter, messages and faults leave. The lane's event loop goes on meanwhile: it renews the lease, records,
yields and drains, whatever a template does. The child never holds a connection, and ends with its work-horse.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import orjson

from batches.delivery.outbox import make_layout, read_lane_template
from batches.delivery.pauses import Pauses
from batches.delivery.spec import LaneSpec
from batches.delivery.terms import ClaimedEmail
from batches.rendering.analysis import ListNames
from batches.rendering.message import Message
from batches.rendering.row_renderer import ROW_TOO_EXPENSIVE, Row, RowRenderer
from batches.rendering.template import MessageParts, Rendered, TemplateFault

logger = logging.getLogger(__name__)

FAULT_OF_OURS = "The messages can't be made because of a fault of the program. The worker's log says why."

Written = dict[int, Message | TemplateFault]
"""The messages of some emails, or their faults, by the emails' ids."""


class LaneRenderer:
    """Writes the messages of one lane run. All its routes share it.

    ``obstacle`` is a sentence once nothing more can be written before somebody has done something about it.
    """

    def __init__(self, spec: LaneSpec) -> None:
        self._rows = RowRenderer(MessageParts.of(spec), ListNames.of(spec))
        self._layout = make_layout(spec)
        # One thread for the whole run: it owns the child.
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="render")
        self._lock = asyncio.Lock()
        self._is_closed = False
        self.obstacle = ""
        self._is_obstacle_noted = self._is_history_known = False

    async def write(self, emails: Sequence[ClaimedEmail], *, allow_8bit: bool) -> Written:
        """Write the messages of the first of the emails: of fewer if they take long or are big.

        None of them is written only if there is an obstacle, or after ``interrupt``.
        """
        async with self._lock:
            if self._is_closed or self.obstacle:
                return {}
            self._rows.allow()
            try:
                return await asyncio.get_running_loop().run_in_executor(self._thread, self._write, emails, allow_8bit)
            except Exception:
                logger.exception("Messages could not be made.")
                self.obstacle = FAULT_OF_OURS
                return {}
            finally:
                self.obstacle = self.obstacle or self._rows.obstacle

    def _write(self, emails: Sequence[ClaimedEmail], allow_8bit: bool) -> Written:
        rendered = self._rows.render([self._make_row(email) for email in emails])
        return {
            email.id: self._lay_out(email, answer, allow_8bit=allow_8bit)
            for email, answer in zip(emails, rendered, strict=False)
        }

    def _make_row(self, email: ClaimedEmail) -> Row:
        cells, link = orjson.Fragment(email.fields), self._layout.link(email.address, email.digest)
        return Row(email.id, cells, email.address, len(email.fields), link)

    def _lay_out(self, email: ClaimedEmail, answer: object, *, allow_8bit: bool) -> Message | TemplateFault:
        if isinstance(answer, TemplateFault):
            return answer
        assert isinstance(answer, Rendered)  # noqa: S101  (the rows are shown)
        return self._layout.build(
            email_id=email.id, address=email.address, rendered=answer, allow_8bit=allow_8bit, digest=email.digest
        )

    async def pause_job_if_stuck(self, pauses: Pauses) -> bool:
        """Pause the job if there is an obstacle that PostgreSQL does not know. Returns whether it was paused now.

        Raises the outages of ``ledger.OUTAGES``, and is safe to call again then.
        """
        if self._is_obstacle_noted:
            return False
        if self._rows.ended_count and not self._is_history_known:
            # The lane runs before this one may have met such rows too: a turn is too short for many of them.
            found = await pauses.count_failed_alike(ROW_TOO_EXPENSIVE)
            self._is_history_known = True
            self._rows.count_earlier(ended_count=found.failed_count, row_count=found.begun_count)
            self.obstacle = self.obstacle or self._rows.obstacle
        if not self.obstacle:
            return False
        await pauses.pause_job(self.obstacle, "")
        self._is_obstacle_noted = True
        return True

    def interrupt(self) -> None:
        """Let ``write`` return soon: what it works on is not wanted any more."""
        self._rows.interrupt()

    async def close(self) -> None:
        """End the child, and wait until it is gone."""
        self._is_closed = True
        self.interrupt()
        async with self._lock:
            await asyncio.get_running_loop().run_in_executor(self._thread, self._rows.close)
        self._thread.shutdown(wait=False)


def open_renderer(spec: LaneSpec) -> LaneRenderer | None:
    """Make the renderer of a lane run. None: its template is plain, or can't be read; then the outbox needs none."""
    try:
        return LaneRenderer(spec) if read_lane_template(spec) is None else None
    except TemplateFault:
        return None
