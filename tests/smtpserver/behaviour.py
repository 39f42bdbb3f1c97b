"""The behaviour of the server: which extensions it offers, how slow it is, and which faults it has.

A behaviour is data and travels as JSON, so a test can change it while the server runs.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Mapping
from typing import Any, Self

STAGES = ("connect", "ehlo", "starttls", "auth", "mail", "rcpt", "data", "middle", "dot", "reply")
"""The stages at which a rule can strike. ``middle`` is inside the message. ``dot`` is its end, before it is recorded.
``reply`` is after it is recorded and before its 250: the message is accepted, and the client may never know."""

ADDRESS_FAULT = re.compile(
    r"(?P<verb>fail|defer|drop|hang|lose|kill)-(?:(?P<code>[45]\d\d)-)?(?P<once>once-)?"
    r"(?:(?P<stage>rcpt|data|middle|dot|reply)-)?"
)
"""Recipients whose address asks for a fault: ``fail-550-ann@``, ``defer-450-once-dot-ann@``, ``lose-once-ann@``
(the message is recorded, then the connection drops before the reply), ``kill-ann@`` (the client is killed)."""


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Rule:
    """One fault: an action at a stage."""

    stage: str
    action: str
    """``drop`` the connection, ``hang`` (go on reading, never answer again), ``kill`` (kill -9 the client's process, as
    a message does that crashes its sender), or the text of the reply to give instead."""
    probability: float = 1.0
    recipient: str = ""
    """A regular expression that the recipient must match. It applies from ``rcpt`` on."""
    once: bool = False
    """Whether to strike only once for each recipient, or for each connection at the stages before ``rcpt``."""
    limit: int = 0
    """The number of strikes after which the rule is used up; 0 means no limit."""
    after: int = 0
    """How many messages the server accepts before the rule can strike."""
    above: int = 0
    """The rule spares so many uses of the stage in any ``per_seconds``, as a relay does that limits the rate."""
    per_seconds: float = 0.0
    then: str = ""
    """What happens after the reply: nothing, ``drop`` or ``hang``. A 421 always drops."""

    def __post_init__(self) -> None:
        if self.stage not in STAGES:
            raise ValueError(f"There is no stage {self.stage!r}. Use one of {', '.join(STAGES)}.")


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Behaviour:
    """The whole behaviour. The default is a correct relay with every extension except TLS and AUTH."""

    pipelining: bool = True
    chunking: bool = True
    eightbitmime: bool = True
    smtputf8: bool = True
    enhanced_status_codes: bool = True
    size: int = 50 * 1024 * 1024
    """The limit that EHLO announces; 0 leaves SIZE out."""
    starttls: bool = False
    injected: str = ""
    """Replies that a man in the middle adds in the clear after the 220 to STARTTLS, in the same segment."""
    tls: bool = False
    """TLS from the first byte, as on port 465."""
    credentials: str = ""
    """``user:password``. If it is set, AUTH is offered and required."""
    latency_ms: float = 0.0
    """One round trip: the server processes everything this much later, in order."""
    jitter_ms: float = 0.0
    """Each round trip takes up to this much longer."""
    reply_jitter_ms: float = 0.0
    """Up to this much time passes between recording a message and answering it. A crash in this time leaves doubt."""
    rate: float = 0.0
    """The number of messages per second that the server answers, over all connections; 0 means no limit. It records
    them at once. So a crash of the client leaves in doubt everything that it has in flight."""
    refuse: bool = False
    """Whether to refuse connections: no socket listens."""
    blackhole: bool = False
    """Whether to let bytes arrive without processing them. The server processes them when this is switched off."""
    max_connections: int = 0
    """Every connection above this number gets a 421; 0 means no limit."""
    greylist_seconds: float = 0.0
    """A recipient gets a 450 until this long after the server first saw it."""
    address_faults: bool = True
    """Whether an address that matches ADDRESS_FAULT gets the fault that it asks for."""
    seed: int = 0
    rules: tuple[Rule, ...] = ()

    @classmethod
    def load(cls, values: Mapping[str, Any]) -> Self:
        """Make a behaviour from JSON values.

        Raises:
            TypeError: a name is not a field.
        """
        rules = tuple(rule if isinstance(rule, Rule) else Rule(**rule) for rule in values.get("rules", ()))
        return cls(**{**values, "rules": rules})

    def dump(self) -> dict[str, Any]:
        return dataclasses.asdict(self)


def address_rule(address: str) -> Rule | None:
    """Return the fault that an address asks for, if it does."""
    found = ADDRESS_FAULT.match(address)
    if found is None:
        return None
    verb, code, stage = found["verb"], found["code"], found["stage"]
    once = bool(found["once"])
    if verb == "lose":
        return Rule(stage="reply", action="drop", once=once)
    if verb in ("drop", "hang", "kill"):
        return Rule(stage=stage or "dot", action=verb, once=once)
    code = code or ("550" if verb == "fail" else "450")
    return Rule(stage=stage or "rcpt", action=f"{code} {code[0]}.7.0 As the address asked", once=once)
