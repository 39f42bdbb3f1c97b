"""Faults of relays whose replies say what they mean: a quota, a rate, a refusal of all; and one of two relays dies.

Each of them is the relay's or ours, so nobody fails, nobody is charged an attempt, and the batch goes on by itself, or
after a person has resumed it.
"""

from __future__ import annotations

from batches.models.choices import BatchStatus
from tests.chaos.faults.relay import (
    CONNECTIONS,
    FAULT_SECONDS,
    IN_DOUBT,
    mark_instant,
    relay_with,
)
from tests.chaos.judgement import Bounds
from tests.chaos.stack import run_command, wait_until
from tests.chaos.trial import Fault, Trial
from tests.smtpserver import Behaviour, Rule, read_record

QUOTA = 200
"""How many messages the first relay accepts before its quota is used up."""

QUOTA_REPLY = "554 5.2.0 STOREDRV.Submission.Exception:SubmissionQuotaExceededException; Failed to process message"
DENIED_REPLY = "554 5.7.1 <somebody@example.org>: Relay access denied"
TOO_MUCH_MAIL = "450 4.7.1 Error: too much mail from 127.0.0.1"
TOO_FAST = "421 4.7.0 Try again later, closing connection. You are sending too fast"

LIMIT, LIMIT_SECONDS = 600, 2.0
"""The rate that a relay allows: the run would be over in four seconds without it."""

RESUME = """
from batches.jobs.lifecycle import resume_batch
from batches.models import Batch
resume_batch(Batch.objects.get(pk={batch}))
"""

SAID_SECONDS = 20
PAUSE_SECONDS = 30
"""How long the breaker may take to pause the job."""

SHORT_WAITS = """
[[rule]]
pattern = 'too much mail|sending too fast'
meaning = "rate"
wait = "1s"
note = "A trial does not wait for the minute that Postfix counts."
"""


def check_nobody_charged(trial: Trial) -> None:
    """Check that each email was sent with its first attempt."""
    charged = trial.read_value("SELECT count(*) FROM batches_email WHERE batch_id = %(batch)s AND attempts > 1")
    others = trial.read_value(
        "SELECT count(*) FROM batches_attempt a JOIN batches_email e ON e.id = a.email_id"
        " WHERE e.batch_id = %(batch)s AND a.outcome <> 'sent'"
    )
    if charged or others:
        trial.note_broken(f"{charged} emails were charged an attempt, and {others} attempts did not succeed")


def check_quota(trial: Trial) -> None:
    """Check that the first relay said that its quota was used up, and that the second one sent the rest."""
    check_nobody_charged(trial)
    first, second = (server.stats()["accepted"] for server in (trial.stack.smtp, trial.second))
    trial.notes["by_second"] = second
    if first != QUOTA or second != len(trial.addresses) - QUOTA:
        trial.note_broken(f"the first relay accepted {first} messages, and the second one {second}")


def use_up_quota(trial: Trial) -> None:
    """Let the first relay's quota be used up while the second one is away, then start the second one."""
    trial.load()
    wait_until(
        lambda: trial.stack.smtp.stats()["strikes"] > 0, seconds=trial.options.limit_seconds, what="the quota's end"
    )
    # A lane waits a few seconds in place before it ends and says so.
    wait_until(trial.read_relay_error, seconds=SAID_SECONDS, what="the job to say what it waits for")
    trial.second.configure(refuse=False)
    trial.mark()


def break_first(trial: Trial) -> None:
    """Kill the first relay's connections and its socket in the middle. The second one has to carry on meanwhile."""
    trial.change(refuse=True)
    trial.stack.smtp.kick()
    before = trial.second.stats()["accepted"]
    trial.mark()
    trial.wait(FAULT_SECONDS)
    if trial.second.stats()["accepted"] <= before and not trial.has_ended():
        trial.note_broken("the second relay did not carry on while the first one was away")
    trial.change(refuse=False)


def check_failover(trial: Trial) -> None:
    """Check that no message in doubt was moved: a copy may come by the same relay only."""
    first, second = (
        {each.recipient for each in read_record(server.record_path)} for server in (trial.stack.smtp, trial.second)
    )
    trial.notes["by_second"] = len(second)
    if moved := first & second:
        trial.note_broken(f"{len(moved)} recipients got a copy by each of the two relays")
    if not first or not second:
        trial.note_missed("one of the relays carried nothing")


def deny_everybody(trial: Trial) -> None:
    """Refuse every recipient alike until the job is paused. Then let an operator correct the relay, and resume."""
    trial.change(rules=(Rule(stage="rcpt", action=DENIED_REPLY),))
    query = "SELECT status FROM batches_batch WHERE id = %(batch)s"
    wait_until(
        lambda: trial.read_value(query) == BatchStatus.PAUSED or trial.has_ended(),
        seconds=PAUSE_SECONDS,
        what="the breaker to pause the job",
    )
    if trial.has_ended():
        trial.note_missed("the batch ended before the relay refused enough recipients")
        trial.mark()
        return
    said = trial.read_relay_error()
    if "Relay access denied" not in said:
        trial.note_broken(f"the job does not say why it was paused: {said!r}")
    trial.change(rules=())
    run_command(["shell", "-c", RESUME.format(batch=trial.batch_id)], environment=trial.stack.environment)
    trial.mark()


def limit_rate(action: str) -> Behaviour:
    return relay_with(Rule(stage="mail", action=action, above=LIMIT, per_seconds=LIMIT_SECONDS))


def every_connection_of_one(trial: Trial) -> Bounds:
    """All connections to the first relay are lost at once, and what they had in flight is in doubt."""
    return Bounds(duplicates=IN_DOUBT * CONNECTIONS)


def rate_fault(name: str, title: str, action: str) -> Fault:
    return Fault(
        name=name,
        title=title,
        inject=mark_instant,
        behaviour=limit_rate(action),
        reply_rules=SHORT_WAITS,
        check=check_nobody_charged,
        workers=2,
    )


FAULTS = (
    Fault(
        name="relay-quota",
        title="quota used up, another relay comes up later",
        inject=use_up_quota,
        behaviour=relay_with(Rule(stage="dot", action=QUOTA_REPLY, after=QUOTA)),
        second=Behaviour(refuse=True),
        check=check_quota,
        must_recover=True,
        is_from_start=True,
    ),
    Fault(
        name="relay-failover",
        title="one of two relays dies",
        inject=break_first,
        second=Behaviour(rate=250),
        bounds=every_connection_of_one,
        check=check_failover,
        must_recover=True,
    ),
    rate_fault("relay-rate", "450 at MAIL above a rate", TOO_MUCH_MAIL),
    rate_fault("relay-rate-421", "421 at MAIL above a rate", TOO_FAST),
    Fault(
        name="relay-denied",
        title="554 to every recipient for a while",
        inject=deny_everybody,
        check=check_nobody_charged,
    ),
)
