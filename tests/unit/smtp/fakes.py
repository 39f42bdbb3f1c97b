"""A fake lane, and fakes at the transport: a test reads what a session writes, and gives it the relay's replies."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from batches.outcomes import Outcome
from batches.smtp.connection import Capabilities, Connection, Loss, Outgoing, Timeouts
from batches.smtp.session import Session
from batches.smtp.verdicts import Verdict

CONTENT = b"Subject: x\r\n\r\nHello\r\n"
# The relay's replies to one message that is alone, up to the one that accepts it.
ENVELOPE = {
    "bdat": ("250 2.1.0 Ok", "250 2.1.5 Ok"),
    "pipelined": ("250 2.1.0 Ok", "250 2.1.5 Ok", "354 Go on"),
    "lockstep": ("250 2.1.0 Ok", "250 2.1.5 Ok", "354 Go on"),
}
WAYS = {
    "bdat": Capabilities.of({"pipelining": "", "chunking": ""}),
    "pipelined": Capabilities.of({"pipelining": ""}),
    "lockstep": Capabilities.of({}),
}


class FakeTransport(asyncio.Transport):
    """Keep what is written. The connection is lost only when the test says so."""

    def __init__(self) -> None:
        super().__init__()
        self.written = b""
        self.is_aborted = False

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self.written += bytes(data)

    def abort(self) -> None:
        self.is_aborted = True

    def close(self) -> None:
        self.is_aborted = True

    def read_written(self) -> bytes:
        """Return what was written since the last call."""
        written, self.written = self.written, b""
        return written


class FakeLane:
    """A lane with a list of recipients. It keeps the verdicts and the loss."""

    def __init__(self, *recipients: str, content: bytes = CONTENT) -> None:
        self.waiting = list(recipients)
        self.content = content
        self.is_leased = True
        self.on_take: Callable[[], None] = lambda: None
        self.verdicts: dict[str, Verdict] = {}
        self.loss: Loss | None = None
        self.is_over = asyncio.Event()

    def take(self, capabilities: Capabilities) -> Outgoing[str] | None:
        if not self.waiting:
            return None
        recipient = self.waiting.pop(0)
        self.on_take()
        content = self.content.replace(b"RECIPIENT", recipient.encode())
        return Outgoing(tag=recipient, sender=b"s@x.org", recipient=recipient, content=content, is_8bit=False)

    def may_send(self) -> bool:
        return self.is_leased

    def can_record(self) -> bool:
        return True

    def on_verdict(self, outgoing: Outgoing[str], verdict: Verdict) -> None:
        assert outgoing.tag not in self.verdicts, "a message got two verdicts"
        self.verdicts[outgoing.tag] = verdict

    def on_connection_lost(self, connection: Connection, loss: Loss) -> None:
        self.loss = loss
        self.is_over.set()


class Conversation:
    """A session between a lane and the test, which speaks for the relay."""

    def __init__(
        self, lane: FakeLane, capabilities: Capabilities, *, depth: int = 8, closes_after_refusals: bool = False
    ) -> None:
        self.lane = lane
        self.transport = FakeTransport()
        self.session = Session(
            lane,
            capabilities,
            timeouts=Timeouts(command_seconds=5, final_seconds=10),
            depth=depth,
            closes_after_refusals=closes_after_refusals,
        )
        self.session.connection_made(self.transport)
        self.session.pump()

    def reply(self, *lines: str) -> bytes:
        """Give replies in one segment, and return what the session writes because of them."""
        self.transport.read_written()
        self.session.data_received("".join(f"{line}\r\n" for line in lines).encode())
        if self.transport.is_aborted:
            self.lose()
        return self.transport.read_written()

    def lose(self) -> None:
        """End the connection, as the relay or the network does."""
        self.session.connection_lost(None)


def talk(conversation: Conversation, *lines: str) -> bytes:
    """Give replies one after another, and return all that the session wrote."""
    return b"".join(conversation.reply(line) for line in lines)


def outcomes(lane: FakeLane) -> dict[str, Outcome]:
    return {recipient: verdict.outcome for recipient, verdict in lane.verdicts.items()}
