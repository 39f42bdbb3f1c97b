"""Faults of the relay: refusing, deferring, dropping, silent, slow, or talking nonsense."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

from tests.chaos.trial import WINDOW, Fault, Trial
from tests.chaos.verdict import Bounds
from tests.smtpserver import Behaviour, Rule

TROUBLE_SECONDS = 3.0
PATIENT = {"SEND_MAX_ATTEMPTS": "10"}
"""For faults that strike at random: nobody's attempts may run out by bad luck."""

HOLD = {"SEND_ON_CRASH": "hold"}
STRIKES = 20
"""How often the faults strike that may cost a copy each."""

CONNECTIONS = 10
FEW_CONNECTIONS = 4
IN_DOUBT = -(-WINDOW // CONNECTIONS)
"""What one lost connection may leave in doubt with CHUNKING: its part of the window, rounded up."""


def struck(*rules: Rule, **fields: object) -> Behaviour:
    return dataclasses.replace(Behaviour(rules=rules), **fields)  # type: ignore[arg-type]


def wait_for_strikes(trial: Trial) -> None:
    """The fault is in the rules from the start; recovery is counted from the random instant."""
    trial.mark()


def trouble(**fields: object) -> Callable[[Trial], None]:
    """The whole relay behaves so for some seconds, connections that are open included."""

    def inject(trial: Trial) -> None:
        before = trial.stack.smtp.behaviour
        trial.change(**fields)
        trial.stack.smtp.kick()
        trial.last(TROUBLE_SECONDS)
        check_job_says_why(trial)
        trial.change(**{name: getattr(before, name) for name in fields})
        trial.mark()

    return inject


def check_job_says_why(trial: Trial) -> None:
    """The trouble did strike, and whoever looks at the job is told."""
    if not trial.read_trouble() and not trial.has_ended():
        trial.note_broken("the job does not say why no mail goes out")


def trouble_at(stage: str, action: str) -> Callable[[Trial], None]:
    return trouble(rules=(Rule(stage=stage, action=action),))


def swallow(trial: Trial) -> None:
    """Every byte disappears for longer than the client waits, and arrives all the same at the end."""
    trial.change(blackhole=True)
    before = trial.stack.smtp.stats()["accepted"]
    trial.last(TROUBLE_SECONDS * 1.5)
    if trial.stack.smtp.stats()["accepted"] != before:
        trial.note_broken("mail came through the black hole")
    trial.change(blackhole=False)
    trial.mark()


def kick_often(trial: Trial) -> None:
    """A 421 out of the blue on every connection, again and again."""
    kicked = 0
    for _ in range(10):
        kicked += trial.stack.smtp.stats()["connections_open"]
        trial.stack.smtp.kick("421 4.3.2 Closing")
        trial.last(trial.random.uniform(0.1, 0.4))
    trial.mark()
    trial.notes["kicked"] = kicked
    if not kicked:
        trial.note_missed("there was no connection to kick")


def refuse_password(trial: Trial) -> None:
    """The password is wrong until an operator mends it."""
    trial.load()
    trial.last(TROUBLE_SECONDS)
    check_job_says_why(trial)
    stats = trial.stack.smtp.stats()
    trial.notes["logins"] = stats["logins"]
    if not stats["logins"] or stats["accepted"]:
        trial.note_broken(f"expected failed logins and no mail, saw {stats['logins']} and {stats['accepted']}")
    trial.change(credentials="ann:typo")
    trial.mark()


def withhold_starttls(trial: Trial) -> None:
    """STARTTLS is required and not offered: nothing may leave in the clear."""
    trial.load()
    trial.last(TROUBLE_SECONDS)
    stats = trial.stack.smtp.stats()
    check_job_says_why(trial)
    if not stats["connections"] or stats["accepted"] or stats["clear_logins"]:
        trial.note_broken(f"expected a refusal to go on in the clear, saw {stats}")
    trial.change(starttls=True)
    trial.mark()
    trial.expect_no_clear_logins = True


INJECTED = (
    "250-recorder.test\r\n250-PIPELINING\r\n250-CHUNKING\r\n250 AUTH PLAIN LOGIN\r\n"
    "235 2.7.0 Welcome\r\n" + "250 2.0.0 Ok\r\n" * 40
)
"""The replies to EHLO and AUTH and enough of them to take ten messages, if anybody believed them."""


def inject_before_tls(trial: Trial) -> None:
    """A man in the middle answers in the clear, behind the 220 to STARTTLS, what is only asked inside TLS."""
    trial.load()
    trial.last(TROUBLE_SECONDS)
    stats = trial.stack.smtp.stats()
    trial.notes["injections"] = stats["injections"]
    if not stats["injections"]:
        trial.note_broken("nothing was injected")
    trial.change(injected="")
    trial.mark()
    trial.expect_no_clear_logins = True


def lift_limit(trial: Trial) -> None:
    trial.last(TROUBLE_SECONDS)
    trial.notes["connections_peak"] = peak = trial.stack.smtp.stats()["connections_peak"]
    if peak <= FEW_CONNECTIONS:
        trial.note_broken(f"only {peak} connections were tried, so none was refused")
    trial.change(max_connections=0)
    trial.mark()


def check_greylisted(trial: Trial) -> None:
    """Nobody was let in at the first try."""
    trial.notes["greylisted"] = deferred = trial.stack.smtp.stats()["greylisted"]
    if deferred < len(trial.addresses):
        trial.note_broken(f"only {deferred} were greylisted")


def every_connection(trial: Trial) -> Bounds:
    """All connections of a lane are lost at once."""
    return Bounds(duplicates=IN_DOUBT * CONNECTIONS)


def one_copy_a_strike(trial: Trial) -> Bounds:
    """Only the struck message was accepted; what was behind it on its connection was not."""
    return Bounds(duplicates=STRIKES)


def one_connection_a_strike(trial: Trial) -> Bounds:
    """The relay goes on with what is behind the struck message, but the client has left."""
    return Bounds(duplicates=STRIKES * IN_DOUBT)


def one_connection_a_strike_held(trial: Trial) -> Bounds:
    return Bounds(unknown=STRIKES * IN_DOUBT)


def tenth(stage: str) -> Callable[[int], str]:
    """Every tenth recipient is refused for good at a stage."""
    return lambda number: f"{f'fail-550-{stage}-' if number % 10 == 0 else ''}r{number:06d}@example.org"


def the_tenth_fails(trial: Trial) -> Bounds:
    return Bounds(failed=len(trial.addresses[::10]), failed_exactly=True)


def some_may_fail(trial: Trial) -> Bounds:
    """A 550 in the middle of a message may be taken for the refusal that it looks like."""
    return Bounds(failed=STRIKES)


def deferring(stage: str) -> Fault:
    rule = Rule(stage=stage, action="451 4.3.0 Later", probability=0.2, limit=200)
    return Fault(
        name=f"4xx-{stage}",
        title=f"451 at {stage.upper()}",
        inject=wait_for_strikes,
        behaviour=struck(rule),
        environment=PATIENT,
    )


def refusing(stage: str) -> Fault:
    return Fault(
        name=f"5xx-{stage}",
        title=f"550 at {stage.upper()} for a tenth",
        inject=wait_for_strikes,
        bounds=the_tenth_fails,
        address=tenth(stage),
    )


def odd(name: str, title: str, reply: str, *, bounds: Callable[[Trial], Bounds]) -> Fault:
    rule = Rule(stage="reply", action=reply, probability=0.05, limit=STRIKES)
    return Fault(
        name=name, title=title, inject=wait_for_strikes, bounds=bounds, behaviour=struck(rule), environment=PATIENT
    )


def no_bounds(trial: Trial) -> Bounds:
    return Bounds()


LOSES_REPLY = Rule(stage="reply", action="drop", probability=0.02, limit=STRIKES)
NEVER_ANSWERS = Rule(stage="reply", action="hang", probability=0.02, limit=STRIKES)

FAULTS = (
    Fault(name="relay-refused", title="relay refuses connections", inject=trouble(refuse=True), must_recover=True),
    Fault(
        name="greeting-421", title="421 as greeting", inject=trouble_at("connect", "421 4.3.2 Busy"), must_recover=True
    ),
    Fault(
        name="greeting-554", title="554 as greeting", inject=trouble_at("connect", "554 5.3.2 No"), must_recover=True
    ),
    Fault(name="greeting-silent", title="no greeting", inject=trouble_at("connect", "hang"), must_recover=True),
    Fault(name="5xx-ehlo", title="550 at EHLO", inject=trouble_at("ehlo", "550 5.7.1 No"), must_recover=True),
    Fault(
        name="5xx-mail", title="550 at MAIL", inject=trouble_at("mail", "550 5.7.1 Sender refused"), must_recover=True
    ),
    *(deferring(stage) for stage in ("mail", "rcpt", "data", "dot")),
    *(refusing(stage) for stage in ("rcpt", "data", "dot")),
    Fault(
        name="drop-in-data",
        title="dropped in the middle of DATA",
        inject=wait_for_strikes,
        behaviour=struck(Rule(stage="middle", action="drop", probability=0.05, limit=50), chunking=False),
        environment=PATIENT,
    ),
    Fault(
        name="drop-in-bdat",
        title="dropped at a BDAT chunk",
        inject=wait_for_strikes,
        behaviour=struck(Rule(stage="middle", action="drop", probability=0.02, limit=50)),
        environment=PATIENT,
    ),
    Fault(
        name="reply-lost",
        title="accepted, reply lost",
        inject=wait_for_strikes,
        bounds=one_copy_a_strike,
        behaviour=struck(LOSES_REPLY),
        environment=PATIENT,
    ),
    Fault(
        name="reply-lost-hold",
        title="accepted, reply lost, hold",
        inject=wait_for_strikes,
        bounds=one_connection_a_strike_held,
        behaviour=struck(LOSES_REPLY),
        environment=PATIENT | HOLD,
    ),
    Fault(
        name="no-answer",
        title="accepted, never answered",
        inject=wait_for_strikes,
        bounds=one_copy_a_strike,
        behaviour=struck(NEVER_ANSWERS),
        environment=PATIENT,
    ),
    Fault(
        name="no-answer-hold",
        title="accepted, never answered, hold",
        inject=wait_for_strikes,
        bounds=one_connection_a_strike_held,
        behaviour=struck(NEVER_ANSWERS),
        environment=PATIENT | HOLD,
    ),
    Fault(
        name="premature-550",
        title="550 in the middle of DATA",
        inject=wait_for_strikes,
        bounds=some_may_fail,
        behaviour=struck(
            Rule(stage="middle", action="550 5.7.1 Enough", then="hang", probability=0.05, limit=STRIKES),
            chunking=False,
        ),
        environment=PATIENT,
    ),
    Fault(
        name="slow",
        title="slow and unsteady",
        inject=wait_for_strikes,
        behaviour=Behaviour(latency_ms=50, jitter_ms=50),
    ),
    Fault(
        name="blackhole",
        title="black hole past the time-outs",
        inject=swallow,
        bounds=every_connection,
        environment=PATIENT,
        must_recover=True,
    ),
    Fault(
        name="greylist",
        title="greylisting",
        inject=wait_for_strikes,
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
        # It offers neither extension: who believes the man in the middle pipelines all the same.
        behaviour=Behaviour(
            credentials="ann:right", starttls=True, injected=INJECTED, pipelining=False, chunking=False, rate=500
        ),
        email_url="smtp+tls://ann:right@127.0.0.1:{port}",
        is_from_start=True,
    ),
    odd("reply-multiline", "multi-line replies", "250-2.0.0 one\r\n250 2.0.0 two", bounds=no_bounds),
    odd("reply-non-ascii", "non-ASCII replies", "250 2.0.0 très bien\udcff", bounds=no_bounds),
    odd("reply-long", "over-long replies", "250 2.0.0 " + "x" * 100_000, bounds=one_connection_a_strike),
    odd("reply-extra", "one reply too many", "250 2.0.0 one\r\n250 2.0.0 two", bounds=one_connection_a_strike),
)
