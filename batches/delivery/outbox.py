"""The emails that a lane has claimed and no connection has taken, and the messages made of the next ones."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable
from time import perf_counter

import orjson

from batches.delivery.spec import LaneSpec, NewsSpec
from batches.delivery.terms import ClaimedEmail
from batches.mailboxes import parse_mailbox
from batches.outcomes import Outcome
from batches.rendering.message import Message, MessageLayout
from batches.rendering.plain import FaultyWriter, MessageWriter
from batches.rendering.plain_template import PlainTemplate, read_plain
from batches.rendering.template import MessageParts, TemplateFault
from batches.rendering.unsubscribing import NewsFields
from batches.return_paths import ReturnPathMaker
from batches.smtp.connection import Capabilities, Outgoing
from batches.smtp.verdicts import Verdict
from batches.suppressions import DigestMaker
from batches.unsubscribe_tokens import TokenWriter

AHEAD_MAX = 32
"""How many messages are made in one go. Each costs more if it is made alone, between two replies, because the
processor's caches hold other code by then."""

AHEAD_MAX_BYTES = 256 * 1024
"""How many bytes of messages are made ahead, so that big messages cost little memory."""

BIG_MESSAGE_BYTES = 256 * 1024
"""A bigger message is counted while it is on a connection."""

BIG_MAX_BYTES = 16 * 1024 * 1024
"""With more bytes of big messages on the connections, no further message is given out, so that a window of them does
not fill the memory."""

AHEAD_MAX_SECONDS = 0.01
"""How long messages are made in one go at most. The connections and the lease wait meanwhile."""


def read_lane_template(spec: LaneSpec) -> PlainTemplate | None:
    """Read the template of a lane, if it is plain. None: only a child may compile it.

    Raises:
        TemplateFault: It can't be read.
    """
    return read_plain(MessageParts.of(spec), spec.merge_fields, address_heading=spec.address_heading)


def make_layout(spec: LaneSpec) -> MessageLayout:
    """Make the message layout of a lane's job."""
    topic = spec.message_topic
    return MessageLayout(
        from_email=spec.from_email,
        reply_to=spec.reply_to,
        job_id=spec.job_id,
        key=spec.message_key,
        names_emails=spec.names_emails,
        news=_make_news_fields(topic) if topic is not None else None,
    )


def _make_news_fields(topic: NewsSpec) -> NewsFields:
    write = TokenWriter(topic_id=topic.topic_id, keys=topic.token_keys).write
    make_digest = DigestMaker(topic.list_key).make
    return NewsFields(
        topic_key=topic.key,
        public_url=topic.public_url,
        write_token=lambda address, digest: write(digest or make_digest(address)),
        bounce_address=topic.bounce_address,
    )


class Outbox:
    """The claimed emails of one lane in order, and the next messages, ready to be taken.

    ``record`` is called with the verdict on each email of which no message can be made. ``is_paced`` says that a rate
    limits how fast messages are taken. With ``return_paths``, each message has a return path of its own in MAIL FROM.
    """

    def __init__(
        self,
        spec: LaneSpec,
        *,
        record: Callable[[ClaimedEmail, Verdict], None],
        is_paced: bool = False,
        return_paths: ReturnPathMaker | None = None,
        clock: Callable[[], float] = perf_counter,
    ) -> None:
        self._record, self._clock = record, clock
        self._prepare(spec)
        self._sender = parse_mailbox(spec.from_email).address.encode()
        self._make_path = return_paths.write if return_paths is not None else None
        # Under a rate, a message made ahead would wait and leave with an old Date header.
        self._ahead_max = 1 if is_paced else AHEAD_MAX
        self._claimed: deque[ClaimedEmail] = deque()
        self._made: deque[Outgoing[ClaimedEmail]] = deque()
        self._made_for: Capabilities | None = None
        self._big_bytes = 0

    def _prepare(self, spec: LaneSpec) -> None:
        """Get ready to write messages in this process. The template is plain: ``LaneRenderer`` writes all others."""
        layout = make_layout(spec)
        self._writer: MessageWriter | FaultyWriter
        try:
            template = read_lane_template(spec)
        except TemplateFault as exc:  # an older release created the job, and accepted more
            self._writer = FaultyWriter(exc)
        else:
            assert template is not None  # noqa: S101  (the route makes another outbox for the others)
            self._writer = MessageWriter(template, layout, spec.merge_fields)

    def __len__(self) -> int:
        return len(self._claimed) + len(self._made)

    def __bool__(self) -> bool:
        return bool(self._made or self._claimed)

    def extend(self, claimed: Iterable[ClaimedEmail]) -> None:
        """Append newly claimed emails."""
        self._claimed.extend(claimed)

    @property
    def first(self) -> ClaimedEmail | None:
        """The email that is taken next."""
        if self._made:
            return self._made[0].tag
        return self._claimed[0] if self._claimed else None

    def put_back(self, claimed: ClaimedEmail) -> None:
        """Put an email whose message was taken but not sent at the front of those without a message."""
        self._claimed.appendleft(claimed)

    def put_last(self, claimed: ClaimedEmail) -> None:
        """Put an email whose message was taken but not sent after all others."""
        self._claimed.append(claimed)

    def clear(self) -> list[ClaimedEmail]:
        """Empty the outbox, and return its emails."""
        self._unmake()
        claimed = list(self._claimed)
        self._claimed.clear()
        return claimed

    def take(self, capabilities: Capabilities) -> Outgoing[ClaimedEmail] | None:
        """Return the next message, made for a relay with these capabilities; None if there is none now.

        ``release`` has to be called when a message that is bigger than BIG_MESSAGE_BYTES has left its connection.
        """
        if self._big_bytes > BIG_MAX_BYTES:
            return None
        if capabilities is not self._made_for:
            self._unmake()
            self._made_for = capabilities
        while self._claimed and not self._made and self._make_some(capabilities):
            pass
        if not self._made:
            return None
        outgoing = self._made.popleft()
        if len(outgoing.content) > BIG_MESSAGE_BYTES:
            self._big_bytes += len(outgoing.content)
        return outgoing

    def release(self, outgoing: Outgoing[ClaimedEmail]) -> None:
        """Hear that a big message has its verdict."""
        self._big_bytes -= len(outgoing.content)

    def is_ready_for(self, capabilities: Capabilities) -> bool:
        """Whether ``take`` would find an email whose message can be made at once."""
        return bool(self)

    def _unmake(self) -> None:
        self._claimed.extendleft(outgoing.tag for outgoing in reversed(self._made))
        self._made.clear()

    def _make_some(self, capabilities: Capabilities) -> bool:
        """Make the next messages. False: none can be made now."""
        clock = self._clock
        size_bytes, until = 0, clock() + AHEAD_MAX_SECONDS
        while self._claimed and len(self._made) < self._ahead_max:
            claimed = self._claimed.popleft()
            outgoing = self._make(claimed, capabilities)
            if outgoing is not None:
                self._made.append(outgoing)
                size_bytes += len(outgoing.content)
            if size_bytes > AHEAD_MAX_BYTES or clock() > until:
                break
        return True

    def _make(self, claimed: ClaimedEmail, capabilities: Capabilities) -> Outgoing[ClaimedEmail] | None:
        address = claimed.address
        if not address.isascii() and not capabilities.smtputf8:
            self._fail(claimed, "The relay takes no address with non-ASCII letters.")
            return None
        try:
            message = self._write(claimed, allow_8bit=capabilities.eight_bit)
        except TemplateFault as exc:
            self._fail(claimed, str(exc))
            return None
        content, is_8bit, has_dots = message
        if 0 < capabilities.size_max_bytes < len(content):
            limit = capabilities.size_max_bytes
            self._fail(claimed, f"The message has {len(content)} bytes; the relay takes {limit}.")
            return None
        return Outgoing(
            tag=claimed,
            sender=self._sender if self._make_path is None else self._make_path(claimed.id, address),
            recipient=address,
            content=content,
            is_8bit=is_8bit,
            has_dots=has_dots,
        )

    def _write(self, claimed: ClaimedEmail, *, allow_8bit: bool) -> Message:
        cells = orjson.loads(claimed.fields)
        return self._writer.write_row(claimed.id, claimed.address, cells, allow_8bit=allow_8bit, digest=claimed.digest)

    def _fail(self, claimed: ClaimedEmail, reason: str) -> None:
        self._record(claimed, Verdict(Outcome.FAILED, 0, reason))
