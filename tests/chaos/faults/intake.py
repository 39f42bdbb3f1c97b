"""Faults of an import: the process that imports a file is killed in the middle. Afterwards all of the file is there, or
nothing.

The place of the kill is certain: a lock on a table stops the import there until its process is dead.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass

import psycopg

from tests.chaos.stack import TEMPLATE_KEY, run_command, wait_until
from tests.chaos.trial import Fault, Trial

IMPORTED = ("batches_batch", "batches_uploadchunk", "batches_email", "batches_rejectedrow")
"""The tables of a batch, in the order in which an import writes to them."""

JOBS = "batches_emailjob"
"""This table is written after the batch is complete and committed."""

BAD_ROW = "this is no address,Bad,Nowhere,C0\n"
REACH_SECONDS = 30

WAITING = """
SELECT l.pid FROM pg_locks l
WHERE NOT l.granted AND l.relation = %s::regclass AND l.database = (SELECT oid FROM pg_database WHERE datname = %s)
"""


@dataclass
class Barrier:
    """A table that no other transaction can write to, and a second connection that looks on."""

    table: str
    holding: psycopg.Connection
    looking: psycopg.Connection

    def await_arrival(self) -> int:
        """Wait until a transaction waits for the table. Return the id of its server process."""
        found = wait_until(
            lambda: self.looking.execute(WAITING, [self.table, "emailbatch"]).fetchone(),
            seconds=REACH_SECONDS,
            what=f"the import to reach {self.table}",
        )
        return int(found[0]) if found else 0

    def open(self, *, until_gone: int) -> None:
        """Release the lock, and wait for the end of one server process, whose client is dead."""
        self.holding.rollback()
        wait_until(
            lambda: not self.looking.execute("SELECT FROM pg_stat_activity WHERE pid = %s", [until_gone]).rowcount,
            seconds=REACH_SECONDS,
            what="PostgreSQL to notice the end of its client",
        )


@contextlib.contextmanager
def barrier(trial: Trial, table: str) -> Iterator[Barrier]:
    with trial.stack.services.connect() as holding, trial.stack.services.connect() as looking:
        holding.autocommit = False
        # The weakest lock that stops a writer. A transaction that only reads, such as a sweep, goes on.
        holding.execute(f"LOCK TABLE {table} IN SHARE ROW EXCLUSIVE MODE")
        yield Barrier(table=table, holding=holding, looking=looking)


def count_rows(trial: Trial) -> dict[str, int]:
    """Count the rows of each table of a batch."""
    with trial.stack.services.connect() as connection:
        counted = [connection.execute(f"SELECT count(*) FROM {table}").fetchone() for table in IMPORTED]  # noqa: S608
    return {table: row[0] for table, row in zip(IMPORTED, counted, strict=True) if row}


def check_nothing_is_left(trial: Trial, table: str) -> None:
    """Check that an import that was killed at this table has left no row anywhere."""
    left = {name: count for name, count in count_rows(trial).items() if count}
    if left:
        trial.note_broken(f"killed at {table}, and these rows are left: {left}")
    trial.notes["kills"] = trial.notes.get("kills", 0) + 1


def add_bad_row(trial: Trial) -> None:
    """Add one line that the import rejects, so that it writes to each of its tables."""
    with trial.path.open("a", encoding="utf-8") as file:
        file.write(BAD_ROW)


def kill_command(trial: Trial) -> None:
    """Kill -9 ``sendbatch`` at each table in turn. Afterwards the harness loads the same file."""
    add_bad_row(trial)
    for table in IMPORTED:
        with barrier(trial, table) as held, trial.stack.sending_batch(trial.path) as process:
            server_process = held.await_arrival()
            process.kill()
            process.wait(timeout=10)
            held.open(until_gone=server_process)
        check_nothing_is_left(trial, table)
    trial.stack.start_worker()


def kill_web(trial: Trial) -> None:
    """Kill -9 the web server at each table in turn, and once after the import and before the job.

    The browser gets no answer, so each time it uploads the same file with the same key again. Batch and job are made in
    one transaction, so no kill may leave anything. At the end there must be one batch.
    """
    add_bad_row(trial)
    token = make_token(trial)
    for table in (*IMPORTED, JOBS):
        with barrier(trial, table) as held, trial.stack.web() as web:
            upload = web.begin_upload(trial.path, template=TEMPLATE_KEY, token=token, key="once")
            server_process = held.await_arrival()
            web.kill()
            upload.close()
            held.open(until_gone=server_process)
        check_nothing_is_left(trial, table)
    with trial.stack.web() as web:
        answer = web.upload(trial.path, template=TEMPLATE_KEY, token=token, key="once")
        again = web.upload(trial.path, template=TEMPLATE_KEY, token=token, key="once")
    trial.batch_id = answer["batchId"]
    after = count_rows(trial)
    is_whole = (after["batches_batch"], after["batches_email"]) == (1, len(trial.addresses))
    if answer != again or not answer["jobId"] or not is_whole:
        trial.note_broken(f"the same key was answered with {answer}, then with {again}, and the tables hold {after}")
    trial.stack.start_worker()


def make_token(trial: Trial) -> str:
    environment = trial.stack.environment | {"DJANGO_SUPERUSER_PASSWORD": "only-for-chaos"}
    account = ["--noinput", "--username", "ann", "--email", "ann@example.org"]
    run_command(["createsuperuser", *account], environment=environment)
    return run_command(["createapitoken", "ann"], environment=environment).strip()


# No worker runs before the kills are over: its sweep would wait for the locks too, and look like the import.
FAULTS = (
    Fault(
        name="kill-sendbatch",
        title="kill -9 sendbatch in its import",
        inject=kill_command,
        workers=0,
        is_from_start=True,
    ),
    Fault(name="kill-web", title="kill -9 the web server in an upload", inject=kill_web, workers=0, is_from_start=True),
)
