"""What the server is told to be: which extensions it offers, how slow it is, and which faults it commits.

A behaviour is data (it travels as JSON), so a test can change it while the server runs.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Mapping
from typing import Any, Self

STAGES = ("connect", "ehlo", "starttls", "auth", "mail", "rcpt", "data", "middle", "dot", "reply")
"""Where a rule can strike. ``middle`` is inside the message; ``dot`` is its end, before it is recorded;
``reply`` is after it is recorded, before its 250: accepted, and the client may never hear of it."""

ADDRESS_FAULT = re.compile(
    r"(?P<verb>fail|defer|drop|hang|lose|kill)-(?:(?P<code>[45]\d\d)-)?(?P<once>once-)?"
    r"(?:(?P<stage>rcpt|data|middle|dot|reply)-)?"
)
"""Recipients that ask for their own fault: ``fail-550-ann@``, ``defer-450-once-dot-ann@``, ``lose-once-ann@``
(recorded, then the connection drops before the reply), ``kill-ann@`` (the client itself is killed)."""


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Rule:
    """One fault: at a stage, do something."""

    stage: str
    action: str
    """``drop`` the connection, ``hang`` (read on, never answer again), ``kill`` (kill -9 the client's process, as a
    message would that crashes whoever sends it), or else the reply to give instead."""
    probability: float = 1.0
    recipient: str = ""
    """A regular expression that the recipient must match, from ``rcpt`` on."""
    once: bool = False
    """Only the first time for each recipient (or for each connection, before there is one)."""
    limit: int = 0
    """After so many strikes the rule is spent; 0 means never."""
    then: str = ""
    """What follows the reply: nothing, ``drop`` or ``hang``. A 421 always drops."""

    def __post_init__(self) -> None:
        if self.stage not in STAGES:
            raise ValueError(f"There is no stage {self.stage!r}. Use one of {', '.join(STAGES)}.")


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Behaviour:
    """The whole character of the server. The default is a polite relay with every extension but TLS and AUTH."""

    pipelining: bool = True
    chunking: bool = True
    eightbitmime: bool = True
    smtputf8: bool = True
    enhanced_status_codes: bool = True
    size: int = 50 * 1024 * 1024
    """The limit that EHLO announces; 0 leaves SIZE out."""
    starttls: bool = False
    injected: str = ""
    """What a man in the middle adds in the clear behind the 220 to STARTTLS, in the same segment."""
    tls: bool = False
    """TLS from the first byte, as on port 465."""
    credentials: str = ""
    """``user:password``; if set, AUTH is offered and required."""
    latency_ms: float = 0.0
    """One round trip: everything received is processed this much later, in order."""
    jitter_ms: float = 0.0
    """Up to this much more on each round trip."""
    reply_jitter_ms: float = 0.0
    """Up to this much between recording a message and answering it: where a crash leaves doubt."""
    rate: float = 0.0
    """Answer at most so many messages a second, over all connections; 0 means no limit. They are recorded at
    once, so a slow server leaves as many in doubt as the client dares to have in flight."""
    refuse: bool = False
    """Nothing listens: connection refused."""
    blackhole: bool = False
    """Bytes arrive and wait, nothing is answered, until it is switched off again."""
    max_connections: int = 0
    """A connection above this many gets 421; 0 means no limit."""
    greylist_seconds: float = 0.0
    """A recipient gets 450 until this long after it was first seen."""
    address_faults: bool = True
    """Whether recipients that look like ADDRESS_FAULT get what they ask for."""
    seed: int = 0
    rules: tuple[Rule, ...] = ()

    @classmethod
    def load(cls, values: Mapping[str, Any]) -> Self:
        """Make one from JSON values.

        Raises:
            TypeError: a name is not a field.
        """
        rules = tuple(rule if isinstance(rule, Rule) else Rule(**rule) for rule in values.get("rules", ()))
        return cls(**{**values, "rules": rules})

    def dump(self) -> dict[str, Any]:
        return dataclasses.asdict(self)


def address_rule(address: str) -> Rule | None:
    """The fault that an address asks for by its own name."""
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
