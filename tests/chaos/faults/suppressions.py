"""Faults while recipients object: one in twenty is suppressed in the middle of a batch, and its lanes are killed.

Nobody whose address was suppressed before a claim gets mail by it, whatever dies. What was claimed before may go out.
"""

from __future__ import annotations

import time

from batches.models import SuppressionReason, sql
from batches.models.choices import EmailStatus
from batches.suppressions import make_digest
from tests.chaos.faults.processes import kill_group, kill_horse
from tests.chaos.judgement import Bounds
from tests.chaos.trial import WINDOW, Fault, Trial

ONE_IN = 20

BETWEEN_KILLS_SECONDS = 0.3

LOCK_LIST = "SELECT key, version FROM batches_suppressionlist WHERE id = 1 FOR UPDATE"
RAISE_VERSION = "UPDATE batches_suppressionlist SET version = %s WHERE id = 1"

STATUSES = "SELECT address, status FROM batches_email WHERE batch_id = %s AND address = ANY(%s)"


def object_and_kill(trial: Trial) -> None:
    """Suppress one in twenty, kill the work-horse at that moment, and worker and work-horse a little later."""
    chosen = trial.random.sample(trial.addresses, len(trial.addresses) // ONE_IN)
    suppress(trial, chosen)
    kill_horse(trial)
    trial.wait(BETWEEN_KILLS_SECONDS)
    kill_group(trial)


def suppress(trial: Trial, addresses: list[str]) -> None:
    """Do what ``suppressions.suppress_digests`` does, in the trial's own database."""
    with trial.stack.services.connect() as connection:
        with connection.transaction():
            row = connection.execute(LOCK_LIST).fetchone()
            assert row is not None  # the import has made it
            key, version = bytes(row[0]), row[1] + 1
            values = {"digests": [make_digest(key, address) for address in addresses], "topic": None, "source": ""}
            values |= {"reason": SuppressionReason.COMPLAINED.value, "ends_at": None, "version": version}
            connection.execute(sql.ADD_SUPPRESSIONS, values)
            connection.execute(RAISE_VERSION, [version])
        trial.unwilling, trial.unwilling_at = frozenset(addresses), time.time()


def check_nobody_got_mail(trial: Trial) -> None:
    """Check that no more unwilling recipients got mail than the claims from before have, and none a second copy."""
    accepted = [each for each in trial.read_accepted() if each.recipient in trial.unwilling]
    late = sorted(each.at - trial.unwilling_at for each in accepted if each.at > trial.unwilling_at)
    trial.notes["unwilling"] = len(trial.unwilling)
    trial.notes["claimed_before"] = len(late)
    trial.notes["last_after_seconds"] = round(late[-1], 2) if late else 0
    if len(late) > WINDOW:
        trial.note_broken(f"{len(late)} mails went to suppressed recipients, more than one window")
    with trial.stack.services.connect() as connection:
        statuses: dict[str, str] = dict(
            connection.execute(STATUSES, [trial.batch_id, sorted(trial.unwilling)]).fetchall()
        )
    got_mail = {each.recipient for each in accepted}
    suppressed = {address for address, status in statuses.items() if status == EmailStatus.SUPPRESSED}
    trial.notes["suppressed"] = len(suppressed)
    # With hold, what was in flight in a killed lane ends unknown: it was claimed before.
    in_doubt = {address for address, status in statuses.items() if status == EmailStatus.UNKNOWN}
    if wrong := trial.unwilling - suppressed - got_mail - in_doubt:
        trial.note_broken(f"{len(wrong)} suppressed recipients have no mail, and are not recorded as suppressed")
    if not suppressed:
        trial.note_missed("everybody had the mail already")


def two_lanes(trial: Trial) -> Bounds:
    """Two killed lanes: at most a window of each is sent twice."""
    return Bounds(duplicates=2 * WINDOW)


def two_lanes_on_hold(trial: Trial) -> Bounds:
    return Bounds(unknown=2 * WINDOW)


FAULTS = (
    Fault(
        name="suppress",
        title="one in twenty suppressed, kill -9 twice",
        inject=object_and_kill,
        bounds=two_lanes,
        check=check_nobody_got_mail,
    ),
    Fault(
        name="suppress-hold",
        title="one in twenty suppressed, kill -9 twice, hold",
        inject=object_and_kill,
        bounds=two_lanes_on_hold,
        check=check_nobody_got_mail,
        environment={"SEND_ON_CRASH": "hold"},
    ),
)
