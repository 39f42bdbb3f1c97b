"""What relays really say: limits, refusals of everybody, a 421 for one recipient, connections closed after a refusal.

Real workers send to the recording server, which follows a script. A fault of ours or the relay's fails nobody and
charges nobody; a fault of one recipient ends for that one alone; and the job says in a sentence what it waits for.
"""

from __future__ import annotations

import re

import pytest

from tests.acceptance.scripted_relay import Script, address_of, scripted
from tests.chaos.stack import Golden
from tests.smtpserver import Rule

SHORT_WAITS = """
[[rule]]
pattern = 'too much mail|system storage|sending rate exceeded'
meaning = "rate"
wait = "1s"
note = "A test does not wait for the minute that Postfix counts."
"""

WAKE = (
    "from batches.models import RelayPause; from batches.relays import wake_jobs; "
    "RelayPause.objects.all().delete(); wake_jobs()"
)
"""What "try again now" does in the admin."""


def assert_all_sent_once(script: Script, count: int) -> None:
    """Check that everybody has one copy and that nobody was charged a second attempt."""
    assert script.statuses() == {"sent": count}
    assert set(script.copies().values()) == {1} and len(script.copies()) == count
    assert {row.attempts for row in script.rows()} == {1}


# --- Connections closed after a refusal ------------------------------------------------------------------------


CLOSES_AFTER_REFUSAL = Rule(stage="rcpt", action="550 5.1.1 No such user", recipient=r"p\d*3@", then="drop")


def test_every_good_recipient_is_sent_when_the_relay_closes_after_each_refusal(golden: Golden) -> None:
    with scripted(golden, CLOSES_AFTER_REFUSAL, workers=2) as script:
        script.load(1000)
        script.wait_for_end(seconds=120)
        good = {address_of(number) for number in range(1000) if number % 10 != 3}
        statuses = {row.address: row.status for row in script.rows()}
        assert {address for address, status in statuses.items() if status == "sent"} == good
        assert {status for address, status in statuses.items() if address not in good} == {"failed"}
        assert set(script.copies()) == good
        assert set(script.copies().values()) == {1}


def test_nothing_is_in_doubt_when_the_relay_closes_after_each_refusal(golden: Golden) -> None:
    with scripted(golden, CLOSES_AFTER_REFUSAL, environment={"SEND_ON_CRASH": "hold"}, workers=2) as script:
        script.load(1000)
        script.wait_for_end(seconds=120)
        assert set(script.copies().values()) == {1}
        assert script.statuses() == {"sent": 900, "failed": 100}


# --- Limits of the rate, and other refusals that name no recipient ---------------------------------------------


@pytest.mark.parametrize(
    "reply",
    [
        "450 4.7.1 Error: too much mail from 127.0.0.1",
        "454 Throttling failure: Maximum sending rate exceeded.",
        "421 4.7.0 Error: too much mail from 127.0.0.1",
    ],
)
def test_nobody_fails_when_the_relay_limits_the_rate_at_mail(golden: Golden, reply: str) -> None:
    limit = Rule(stage="mail", action=reply, above=100, per_seconds=1.0)
    with scripted(golden, limit, workers=2, reply_rules=SHORT_WAITS) as script:
        script.load(600)
        script.wait_for_end(seconds=90)
        assert_all_sent_once(script, 600)


@pytest.mark.parametrize("reply", ["452 4.3.1 Insufficient system storage", "451 4.3.0 Something unheard of"])
def test_nobody_is_charged_when_mail_is_refused_for_longer_than_all_retries_take(golden: Golden, reply: str) -> None:
    with scripted(golden, Rule(stage="mail", action=reply), reply_rules=SHORT_WAITS) as script:
        script.load(200)
        sentence = script.wait_for_error(reply.split(" ", 2)[2])
        strikes = script.stack.smtp.stats()["strikes"]
        script.stack.smtp.configure(rules=())
        script.wait_for_end(seconds=60)
        assert_all_sent_once(script, 200)
        assert strikes > 0 and sentence.endswith(".")


# --- A 421 for one recipient -------------------------------------------------------------------------------------


@pytest.mark.parametrize("stage", ["rcpt", "dot"])
def test_421_for_one_recipient_ends_as_its_own_deferral(golden: Golden, stage: str) -> None:
    closing = Rule(stage=stage, action="421 4.7.0 Come again later, said the policy service", recipient="p77@")
    with scripted(golden, closing) as script:
        script.load(200)
        script.wait_for_end(seconds=60)
        [refused] = [row for row in script.rows() if row.status != "sent"]
        assert (refused.address, refused.status, refused.code) == ("p77@example.org", "failed", 421)
        assert refused.attempts == 3 and "policy service" in refused.reply
        assert set(script.copies().values()) == {1} and len(script.copies()) == 199


def test_421_for_some_recipients_delays_the_others_little(golden: Golden) -> None:
    closing = Rule(stage="rcpt", action="421 4.7.0 Come again later", recipient=r"p\d*7@")
    with scripted(golden, closing) as script:
        script.load(600)
        script.wait_for_end(seconds=90)
        assert script.statuses() == {"sent": 540, "failed": 60}
        assert set(script.copies().values()) == {1}


# --- Everybody is refused alike ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("stage", "reply"),
    [
        ("rcpt", "554 5.7.1 <somebody@example.org>: Relay access denied"),
        ("rcpt", "553 5.7.1 <news@example.org>: Sender address rejected: not owned by user ann"),
        ("rcpt", "550 authentication required"),
        ("dot", "550 5.9.9 We do not like the look of you"),
    ],
)
def test_nobody_fails_when_everybody_is_refused_alike(golden: Golden, stage: str, reply: str) -> None:
    with scripted(golden, Rule(stage=stage, action=reply), workers=2) as script:
        script.load(2000)
        script.wait_for_error(reply.split(" ", 1)[1].split(": ")[-1], seconds=30)
        assert script.statuses()["failed"] == 0
        assert {row.attempts for row in script.rows() if row.status == "pending"} == {0}
        assert script.stack.smtp.stats()["strikes"] < 500
        script.stack.smtp.configure(rules=())
        if script.status == "paused":
            script.steer("resume")
        else:
            script.manage(WAKE)
        script.wait_for_end(seconds=60)
        assert_all_sent_once(script, 2000)


def test_resuming_charges_the_refusals_to_the_recipients_when_nothing_has_changed(golden: Golden) -> None:
    with scripted(golden, Rule(stage="rcpt", action="550 5.9.9 You, no")) as script:
        script.load(100)
        script.wait_for("paused", seconds=30)
        assert script.statuses() == {"pending": 100}
        script.steer("resume")
        script.wait_for_end(seconds=30)
        assert script.statuses() == {"failed": 100}
        assert {row.reply for row in script.rows()} == {"5.9.9 You, no"}


def test_three_unknown_recipients_fail_as_they_should(golden: Golden) -> None:
    unknown = Rule(stage="rcpt", action="550 5.1.1 <x@example.org>: User unknown in local recipient table")
    with scripted(golden, unknown) as script:
        script.load(3)
        script.wait_for_end(seconds=30)
        assert script.statuses() == {"failed": 3}


# --- Quotas -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "reply",
    [
        "554 5.2.0 STOREDRV.Submission.Exception:SubmissionQuotaExceededException; Failed to process message",
        "550 5.4.5 Daily user sending limit exceeded. For more information on sending limits go to the help page",
        "454 Throttling failure: Daily message quota exceeded.",
    ],
)
def test_quota_of_the_provider_is_waited_out(golden: Golden, reply: str) -> None:
    with scripted(golden, Rule(stage="dot", action=reply, after=200)) as script:
        script.load(300)
        script.wait_for_error(reply.split(" ", 2)[2][:20])
        assert script.statuses() == {"sent": 200, "pending": 100}
        assert {row.attempts for row in script.rows() if row.status == "pending"} == {0}
        snapshot = script.snapshot()
        assert re.search(
            r" (?:Next try at|Next try tomorrow at) \d\d:\d\d(?::\d\d)?\. 100 are waiting\.$", snapshot["waitingFor"]
        ), snapshot
        assert snapshot["doneAt"], "the end of the wait is known"
        script.stack.smtp.configure(rules=())
        script.manage(WAKE)
        script.wait_for_end(seconds=30)
        assert_all_sent_once(script, 300)


def test_quota_of_the_admin_is_kept_and_said(golden: Golden) -> None:
    with scripted(golden) as script:
        script.manage(
            "from batches.relays import sync; from batches.models import Relay; "
            "sync(); Relay.objects.get(name='default').quotas.create(amount=150, period_seconds=86400)"
        )
        script.load(200)
        script.wait_for_error("daily limit of relay default is used up (150 in 24 hours)")
        assert script.statuses() == {"sent": 150, "pending": 50}
        words = script.snapshot()["waitingFor"]
        assert re.fullmatch(
            r"The daily limit of relay default is used up \(150 in 24 hours\)\. "
            r"(?:Next try at|Next try tomorrow at) \d\d:\d\d\. 50 are waiting\.",
            words,
        ), words


# --- When will it be done? ----------------------------------------------------------------------------------------

SLOW_RELAY = """
from batches.models import Relay
from batches.relays import sync
sync()
Relay.objects.update(rate_per_second=40)
Relay.objects.get(name="default").quotas.create(amount=300, period_seconds=12)
"""

FORECAST = "from batches.jobs.forecasts import forecast_send; print(forecast_send(800).seconds)"


def test_batch_is_done_about_when_the_forecast_says(golden: Golden) -> None:
    with scripted(golden) as script:
        script.manage(SLOW_RELAY)
        predicted = float(script.manage(FORECAST).splitlines()[-1])
        assert 24 < predicted < 36, "two whole periods, and the rest at the rate"
        script.load(800)
        script.wait_for_end(seconds=90)
        times = [each.at for each in script.stack.smtp.accepted()]
        assert_all_sent_once(script, 800)
        assert max(times) - min(times) == pytest.approx(predicted, rel=0.2)
