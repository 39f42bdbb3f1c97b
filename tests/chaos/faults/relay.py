"""Faults of the relay: it refuses, defers, drops connections, is silent or slow, or sends wrong replies."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable

from tests.chaos.judgement import Bounds
from tests.chaos.trial import WINDOW, Fault, Trial
from tests.smtpserver import Behaviour, Rule

FAULT_SECONDS = 3.0
ERROR_SECONDS = 5.0
"""How long after the beginning of a fault the job shows the relay error, at the latest."""

KICK_SECONDS = 0.03
"""Between two kicks. The connections that the first one ended are being replaced."""

PATIENT = {"SEND_MAX_ATTEMPTS": "10"}
"""For faults that strike at random: no email may use up its attempts by chance."""

HOLD = {"SEND_ON_CRASH": "hold"}
STRIKES = 20
"""How often a fault strikes that may cost one duplicate each time."""

CONNECTIONS = 10
FEW_CONNECTIONS = 4
IN_DOUBT = -(-WINDOW // CONNECTIONS)
"""The most that one lost connection may leave in doubt with CHUNKING: its part of the window, rounded up."""


def relay_with(*rules: Rule, **fields: object) -> Behaviour:
    return dataclasses.replace(Behaviour(rules=rules), **fields)  # type: ignore[arg-type]


def mark_instant(trial: Trial) -> None:
    """Mark the random instant, from which recovery is measured. The relay's rules apply from the start."""
    trial.mark()


def misbehave(*, kicks: int = 1, **fields: object) -> Callable[[Trial], None]:
    """Give the whole relay these fields of behaviour for some seconds, and close all open connections.

    With more than one kick, it also closes connections that are being opened.
    """

    def inject(trial: Trial) -> None:
        before = trial.stack.smtp.behaviour
        trial.change(**fields)
        trial.stack.smtp.kick()
        for _ in range(kicks - 1):
            trial.wait(KICK_SECONDS)
            trial.stack.smtp.kick()
        trial.wait(FAULT_SECONDS)
        check_job_shows_error(trial)
        trial.change(**{name: getattr(before, name) for name in fields})
        trial.mark()

    return inject


def check_job_shows_error(trial: Trial) -> None:
    """Check that the fault did strike, and that the job shows a relay error, soon at the latest.

    An opening that was under way when the last connection ended, or that begins then, waits for two seconds for its
    reply (SEND_REPLY_TIMEOUT_SECONDS of a trial). Then the job says why. The rest is for a worker that has only begun.
    """
    until = time.monotonic() + ERROR_SECONDS - FAULT_SECONDS
    while not (trial.read_relay_error() or trial.has_ended()):
        if time.monotonic() > until:
            trial.note_broken(f"the job does not show why no mail goes out, {ERROR_SECONDS} s after the fault began")
            return
        time.sleep(0.1)


def misbehave_at(stage: str, action: str) -> Callable[[Trial], None]:
    return misbehave(rules=(Rule(stage=stage, action=action),))


def swallow(trial: Trial) -> None:
    """Hold back every byte for longer than the client waits, and deliver all of them at the end."""
    trial.change(blackhole=True)
    before = trial.stack.smtp.stats()["accepted"]
    trial.wait(FAULT_SECONDS * 1.5)
    if trial.stack.smtp.stats()["accepted"] != before:
        trial.note_broken("mail came through the black hole")
    trial.change(blackhole=False)
    trial.mark()


def kick_often(trial: Trial) -> None:
    """Send an unexpected 421 on every connection, several times."""
    kicked = 0
    for _ in range(10):
        kicked += trial.stack.smtp.stats()["connections_open"]
        trial.stack.smtp.kick("421 4.3.2 Closing")
        trial.wait(trial.random.uniform(0.1, 0.4))
    trial.mark()
    trial.notes["kicked"] = kicked
    if not kicked:
        trial.note_missed("there was no connection to kick")


def refuse_password(trial: Trial) -> None:
    """Refuse the password until an operator corrects it."""
    trial.load()
    trial.wait(FAULT_SECONDS)
    check_job_shows_error(trial)
    stats = trial.stack.smtp.stats()
    trial.notes["logins"] = stats["logins"]
    if not stats["logins"] or stats["accepted"]:
        trial.note_broken(
            f"expected failed logins and no mail, saw {stats['logins']} logins and {stats['accepted']} mails"
        )
    trial.change(credentials="ann:typo")
    trial.mark()


def withhold_starttls(trial: Trial) -> None:
    """Offer no STARTTLS while the client requires it: nothing may be sent in the clear."""
    trial.load()
    trial.wait(FAULT_SECONDS)
    stats = trial.stack.smtp.stats()
    check_job_shows_error(trial)
    if not stats["connections"] or stats["accepted"] or stats["clear_logins"]:
        trial.note_broken(f"expected the client to send nothing in the clear, saw {stats}")
    trial.change(starttls=True)
    trial.mark()
    trial.expect_no_clear_logins = True


INJECTED = (
    "250-recorder.test\r\n250-PIPELINING\r\n250-CHUNKING\r\n250 AUTH PLAIN LOGIN\r\n"
    "235 2.7.0 Welcome\r\n" + "250 2.0.0 Ok\r\n" * 40
)
"""The replies to EHLO and AUTH, and enough others for ten messages, if a client believed them."""


def inject_before_tls(trial: Trial) -> None:
    """A man in the middle adds replies in the clear after the 220 to STARTTLS, before the client asks inside TLS."""
    trial.load()
    trial.wait(FAULT_SECONDS)
    stats = trial.stack.smtp.stats()
    trial.notes["injections"] = stats["injections"]
    if not stats["injections"]:
        trial.note_broken("nothing was injected")
    trial.change(injected="")
    trial.mark()
    trial.expect_no_clear_logins = True


def lift_limit(trial: Trial) -> None:
    """Refuse connections above the limit for some seconds, then lift the limit."""
    trial.wait(FAULT_SECONDS)
    trial.notes["connections_peak"] = peak = trial.stack.smtp.stats()["connections_peak"]
    if peak <= FEW_CONNECTIONS:
        trial.note_broken(f"only {peak} connections were tried, so none was refused")
    trial.change(max_connections=0)
    trial.mark()


def check_greylisted(trial: Trial) -> None:
    """Check that the relay deferred every recipient at the first attempt."""
    trial.notes["greylisted"] = deferred = trial.stack.smtp.stats()["greylisted"]
    if deferred < len(trial.addresses):
        trial.note_broken(f"only {deferred} were greylisted")


def every_connection(trial: Trial) -> Bounds:
    """All connections of a lane are lost at once."""
    return Bounds(duplicates=IN_DOUBT * CONNECTIONS)


def one_copy_per_strike(trial: Trial) -> Bounds:
    """Each strike costs one duplicate: the relay did not accept the messages after the struck one on its connection."""
    return Bounds(duplicates=STRIKES)


def one_connection_per_strike(trial: Trial) -> Bounds:
    """Each strike costs what was in flight on a connection: the client has left, but the relay accepts all of it."""
    return Bounds(duplicates=STRIKES * IN_DOUBT)


def one_connection_per_strike_on_hold(trial: Trial) -> Bounds:
    return Bounds(unknown=STRIKES * IN_DOUBT)


def refuse_every_tenth(stage: str) -> Callable[[int], str]:
    """Return a function of addresses. The relay refuses every tenth one at this stage, permanently."""
    return lambda number: f"{f'fail-550-{stage}-' if number % 10 == 0 else ''}r{number:06d}@example.org"


def every_tenth_fails(trial: Trial) -> Bounds:
    return Bounds(failed=len(trial.addresses[::10]), failed_exactly=True)


def some_may_fail(trial: Trial) -> Bounds:
    """A client may take a 550 in the middle of a message for a refusal of that message."""
    return Bounds(failed=STRIKES)


def defer_at(stage: str) -> Fault:
    rule = Rule(stage=stage, action="451 4.3.0 Later", probability=0.2, limit=200)
    return Fault(
        name=f"4xx-{stage}",
        title=f"451 at {stage.upper()}",
        inject=mark_instant,
        behaviour=relay_with(rule),
        environment=PATIENT,
    )


def refuse_at(stage: str) -> Fault:
    return Fault(
        name=f"5xx-{stage}",
        title=f"550 at {stage.upper()} for a tenth",
        inject=mark_instant,
        bounds=every_tenth_fails,
        address=refuse_every_tenth(stage),
    )


def reply_oddly(name: str, title: str, reply: str, *, bounds: Callable[[Trial], Bounds]) -> Fault:
    rule = Rule(stage="reply", action=reply, probability=0.05, limit=STRIKES)
    return Fault(
        name=name, title=title, inject=mark_instant, bounds=bounds, behaviour=relay_with(rule), environment=PATIENT
    )


def no_bounds(trial: Trial) -> Bounds:
    return Bounds()


LOSES_REPLY = Rule(stage="reply", action="drop", probability=0.02, limit=STRIKES)
NEVER_ANSWERS = Rule(stage="reply", action="hang", probability=0.02, limit=STRIKES)

FAULTS = (
    Fault(name="relay-refused", title="relay refuses connections", inject=misbehave(refuse=True), must_recover=True),
    Fault(
        name="greeting-421",
        title="421 as greeting",
        inject=misbehave_at("connect", "421 4.3.2 Busy"),
        must_recover=True,
    ),
    Fault(
        name="greeting-554", title="554 as greeting", inject=misbehave_at("connect", "554 5.3.2 No"), must_recover=True
    ),
    Fault(name="greeting-silent", title="no greeting", inject=misbehave_at("connect", "hang"), must_recover=True),
    Fault(
        name="kicked-silent",
        title="connections closed, then no greeting",
        inject=misbehave(kicks=3, rules=(Rule(stage="connect", action="hang"),)),
        must_recover=True,
    ),
    Fault(name="5xx-ehlo", title="550 at EHLO", inject=misbehave_at("ehlo", "550 5.7.1 No"), must_recover=True),
    Fault(
        name="5xx-mail", title="550 at MAIL", inject=misbehave_at("mail", "550 5.7.1 Sender refused"), must_recover=True
    ),
    *(defer_at(stage) for stage in ("mail", "rcpt", "data", "dot")),
    *(refuse_at(stage) for stage in ("rcpt", "data", "dot")),
    Fault(
        name="drop-in-data",
        title="connection dropped in the middle of DATA",
        inject=mark_instant,
        behaviour=relay_with(Rule(stage="middle", action="drop", probability=0.05, limit=50), chunking=False),
        environment=PATIENT,
    ),
    Fault(
        name="drop-in-bdat",
        title="connection dropped at a BDAT chunk",
        inject=mark_instant,
        behaviour=relay_with(Rule(stage="middle", action="drop", probability=0.02, limit=50)),
        environment=PATIENT,
    ),
    Fault(
        name="reply-lost",
        title="accepted, reply lost",
        inject=mark_instant,
        bounds=one_copy_per_strike,
        behaviour=relay_with(LOSES_REPLY),
        environment=PATIENT,
    ),
    Fault(
        name="reply-lost-hold",
        title="accepted, reply lost, hold",
        inject=mark_instant,
        bounds=one_connection_per_strike_on_hold,
        behaviour=relay_with(LOSES_REPLY),
        environment=PATIENT | HOLD,
    ),
    Fault(
        name="no-answer",
        title="accepted, never answered",
        inject=mark_instant,
        bounds=one_copy_per_strike,
        behaviour=relay_with(NEVER_ANSWERS),
        environment=PATIENT,
    ),
    Fault(
        name="no-answer-hold",
        title="accepted, never answered, hold",
        inject=mark_instant,
        bounds=one_connection_per_strike_on_hold,
        behaviour=relay_with(NEVER_ANSWERS),
        environment=PATIENT | HOLD,
    ),
    Fault(
        name="premature-550",
        title="550 in the middle of DATA",
        inject=mark_instant,
        bounds=some_may_fail,
        behaviour=relay_with(
            Rule(stage="middle", action="550 5.7.1 Enough", then="hang", probability=0.05, limit=STRIKES),
            chunking=False,
        ),
        environment=PATIENT,
    ),
    Fault(
        name="slow",
        title="slow, with changing delays",
        inject=mark_instant,
        behaviour=Behaviour(latency_ms=50, jitter_ms=50),
    ),
    Fault(
        name="blackhole",
        title="black hole longer than the timeouts",
        inject=swallow,
        bounds=every_connection,
        environment=PATIENT,
        must_recover=True,
    ),
    Fault(
        name="greylist",
        title="greylisting",
        inject=mark_instant,
        behaviour=Behaviour(greylist_seconds=2),
        check=check_greylisted,
        environment=PATIENT,
    ),
    Fault(name="kick", title="421 at any moment", inject=kick_often, environment=PATIENT),
    Fault(
        name="too-many",
        title="421 above four connections",
        inject=lift_limit,
        behaviour=Behaviour(max_connections=FEW_CONNECTIONS),
    ),
    Fault(
        name="password",
        title="wrong password",
        inject=refuse_password,
        behaviour=Behaviour(credentials="ann:right"),
        email_url="smtp://ann:typo@127.0.0.1:{port}",
        is_from_start=True,
    ),
    Fault(
        name="starttls",
        title="STARTTLS required and missing",
        inject=withhold_starttls,
        behaviour=Behaviour(credentials="ann:right"),
        email_url="smtp+tls://ann:right@127.0.0.1:{port}",
        is_from_start=True,
    ),
    Fault(
        name="starttls-injected",
        title="replies injected before TLS",
        inject=inject_before_tls,
        # The relay itself offers neither extension. A client that believes the man in the middle pipelines anyway.
        behaviour=Behaviour(
            credentials="ann:right", starttls=True, injected=INJECTED, pipelining=False, chunking=False, rate=500
        ),
        email_url="smtp+tls://ann:right@127.0.0.1:{port}",
        is_from_start=True,
    ),
    reply_oddly("reply-multiline", "multi-line replies", "250-2.0.0 one\r\n250 2.0.0 two", bounds=no_bounds),
    reply_oddly("reply-non-ascii", "non-ASCII replies", "250 2.0.0 très bien\udcff", bounds=no_bounds),
    reply_oddly("reply-long", "replies that never end", "250 2.0.0 " + "x" * 100_000, bounds=one_connection_per_strike),
    reply_oddly(
        "reply-extra", "one reply too many", "250 2.0.0 one\r\n250 2.0.0 two", bounds=one_connection_per_strike
    ),
)
