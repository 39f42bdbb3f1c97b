"""A relay in memory, strict where real ones are: a refused MAIL or a refused BDAT leaves its envelope open.

It counts commands without mail as Exim 4.96 does, and closes the connection after ten of them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field

from batches.outcomes import Outcome
from batches.smtp.connection import Capabilities
from tests.unit.smtp.fakes import WAYS, Conversation, FakeLane

NONMAIL_MAX = 10
CONTENT = b"To: RECIPIENT\r\n\r\nHello\r\n"
QUEUED = "250 2.0.0 Ok: queued as 4bX"


@dataclass(kw_only=True)
class Relay:
    """What the relay does on all its connections, and what it has accepted.

    ``at_rcpt`` and ``at_end`` return the refusal of a recipient and of its content, or an empty text.
    ``closes`` says whether a refusal closes the connection. ``say_accepted`` makes the reply to each content.
    ``edit`` may change the list of replies to all commands so far: it gets the number of the reply and the reply.
    """

    at_rcpt: Callable[[str], str] = lambda recipient: ""
    at_end: Callable[[str], str] = lambda recipient: ""
    closes: bool = False
    knows_help: str = "214 2.0.0 See RFC 5321"
    say_accepted: Callable[[int], str] = lambda number: QUEUED
    edit: Callable[[int, str], Iterable[str]] = lambda number, reply: (reply,)
    accepted: list[tuple[tuple[str, ...], bytes]] = field(default_factory=list)
    resets: int = 0
    connections: int = 0
    endings: list[str] = field(default_factory=list)

    def count_copies(self, recipient: str) -> int:
        return sum(recipient in recipients for recipients, _ in self.accepted)


class RelayConnection:
    """The relay's side of one connection."""

    def __init__(self, relay: Relay) -> None:
        self.relay = relay
        relay.connections += 1
        self.buffer = b""
        self.has_mail = self.is_content = self.is_closed = False
        self.recipients: list[str] = []
        self.chunk_bytes = -1
        self.nonmail_count = self.reply_number = 0
        self.is_reset_free = True

    def read(self, octets: bytes) -> Iterator[str]:
        """Process what has arrived, and yield each reply."""
        self.buffer += octets
        while not self.is_closed:
            if self.is_content or self.chunk_bytes >= 0:
                reply = self.read_content()
            else:
                line, mark, rest = self.buffer.partition(b"\r\n")
                if not mark:
                    return
                self.buffer = rest
                reply = self.answer(line.decode())
            if reply is None:
                return
            if reply:
                self.reply_number += 1
                yield from self.relay.edit(self.reply_number, reply)

    def answer(self, line: str) -> str:
        verb = line[:4]
        if verb == "RSET":
            self.relay.resets += 1
            if not self.count_nonmail(is_free=self.is_reset_free):
                return "554 Too many nonmail commands"
            self.is_reset_free = False
            self.has_mail, self.recipients = False, []
            return "250 2.0.0 Reset"
        if verb == "HELP":
            return self.relay.knows_help if self.count_nonmail() else "554 Too many nonmail commands"
        if verb == "QUIT":
            self.close("QUIT")
            return "221 2.0.0 Bye"
        return {"MAIL": self.on_mail, "RCPT": self.on_rcpt, "DATA": self.on_data, "BDAT": self.on_bdat}[verb](line)

    def count_nonmail(self, *, is_free: bool = False) -> bool:
        self.nonmail_count += not is_free
        if self.nonmail_count > NONMAIL_MAX:
            self.close("too many nonmail commands")
        return not self.is_closed

    def close(self, reason: str) -> None:
        self.is_closed = True
        self.relay.endings.append(reason)

    def on_mail(self, line: str) -> str:
        if self.has_mail:
            return "503 5.5.1 Sender already given"
        self.has_mail = True
        return "250 2.1.0 Ok"

    def on_rcpt(self, line: str) -> str:
        recipient = line.partition("<")[2].partition(">")[0]
        refusal = self.relay.at_rcpt(recipient) if self.has_mail else "503 5.5.1 No MAIL"
        if refusal:
            return self.refuse(refusal)
        self.recipients.append(recipient)
        return "250 2.1.5 Ok"

    def refuse(self, refusal: str) -> str:
        if (self.relay.closes and self.has_mail) or refusal.startswith("421"):
            self.close("refusal")
        return refusal

    def on_data(self, line: str) -> str:
        if not self.recipients:
            return "503 5.5.1 No recipients"
        self.is_content = True
        return "354 Go on"

    def on_bdat(self, line: str) -> str:
        self.chunk_bytes = int(line.split()[1])
        return ""

    def read_content(self) -> str | None:
        if self.is_content:
            content, mark, rest = self.buffer.partition(b"\r\n.\r\n")
            if not mark:
                return None
            content += b"\r\n"
        else:
            if len(self.buffer) < self.chunk_bytes:
                return None
            content, rest = self.buffer[: self.chunk_bytes], self.buffer[self.chunk_bytes :]
        is_bdat, self.chunk_bytes, self.is_content, self.buffer = self.chunk_bytes >= 0, -1, False, rest
        if not self.recipients:
            return "503 5.5.1 No recipients"
        refusal = self.relay.at_end(self.recipients[-1])
        if refusal:
            if not is_bdat:  # after a refused BDAT, RFC 3030 leaves open what is left of the envelope
                self.has_mail, self.recipients = False, []
            return self.refuse(refusal)
        self.relay.accepted.append((tuple(self.recipients), content))
        self.has_mail, self.recipients, self.is_reset_free = False, [], True
        return self.relay.say_accepted(len(self.relay.accepted))


def converse(conversation: Conversation, connection: RelayConnection, *, one_by_one: bool = True) -> None:
    """Let both sides talk until neither has anything to say, or the connection is over."""
    while written := conversation.transport.read_written():
        replies = list(connection.read(written))
        for each in [[reply] for reply in replies] if one_by_one else [replies]:
            conversation.session.data_received("".join(f"{reply}\r\n" for reply in each).encode())
    if connection.is_closed or conversation.transport.is_aborted:
        conversation.lose()


def send_all(
    relay: Relay, recipients: list[str], way: str | Capabilities = "bdat", *, depth: int = 13, one_by_one: bool = True
) -> tuple[FakeLane, list[Conversation]]:
    """Send over one connection after another, as a pool does, and requeue what a verdict requeues, last.

    Messages in doubt stay so. A connection that closes after refusals makes the next ones careful.
    """
    lane = FakeLane(*recipients, content=CONTENT)
    conversations: list[Conversation] = []
    capabilities = WAYS[way] if isinstance(way, str) else way
    is_careful = False
    strikes: dict[str, int] = {}
    while lane.waiting:
        assert len(conversations) < 20 + 4 * len(recipients), "it never ends"
        lane.loss = None
        conversation = Conversation(lane, capabilities, depth=depth, closes_after_refusals=is_careful)
        conversations.append(conversation)
        converse(conversation, RelayConnection(relay), one_by_one=one_by_one)
        is_careful = is_careful or (lane.loss is not None and lane.loss.follows_refusal)
        for recipient, verdict in list(lane.verdicts.items()):
            if verdict.outcome is Outcome.REQUEUED:
                strikes[recipient] = strikes.get(recipient, 0) + verdict.is_strike
                if strikes[recipient] < 3:
                    del lane.verdicts[recipient]
                    lane.waiting.append(recipient)
        if lane.loss is None and lane.waiting:
            raise AssertionError("the session takes no more and does not end")
    return lane, conversations
