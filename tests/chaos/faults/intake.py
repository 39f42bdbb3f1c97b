"""Faults of taking a file in: whoever imports it is killed in the middle. All of it is there, or nothing.

Where the import stands is no guess: a lock on a table holds it there until it is dead.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass

import psycopg

from tests.chaos.stack import TEMPLATE_KEY, run_command, wait_until
from tests.chaos.trial import Fault, Trial

IMPORTED = ("batches_batch", "batches_uploadchunk", "batches_email", "batches_rejectedrow")
"""The tables of a batch, in the order in which an import writes them."""

JOBS = "batches_emailjob"
"""Written when the batch is whole and committed."""

BAD_ROW = "this is no address,Bad,Nowhere,C0\n"
REACH_SECONDS = 30

WAITING = """
SELECT l.pid FROM pg_locks l
WHERE NOT l.granted AND l.relation = %s::regclass AND l.database = (SELECT oid FROM pg_database WHERE datname = %s)
"""


@dataclass
class Barrier:
    """A table that nobody else gets at, in a transaction of its own; and another connection to look on from."""

    table: str
    holding: psycopg.Connection
    looking: psycopg.Connection

    def await_arrival(self) -> int:
        """Wait until somebody waits at the table; the number of its server process."""
        found = wait_until(
            lambda: self.looking.execute(WAITING, [self.table, "emailbatch"]).fetchone(),
            seconds=REACH_SECONDS,
            what=f"the import to reach {self.table}",
        )
        return int(found[0]) if found else 0

    def open(self, *, until_gone: int) -> None:
        """Let everybody pass, and wait for the end of one server process, whose client is dead."""
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
        # The weakest lock that stops a writer: whoever only reads, such as a sweep, goes on.
        holding.execute(f"LOCK TABLE {table} IN SHARE ROW EXCLUSIVE MODE")
        yield Barrier(table=table, holding=holding, looking=looking)


def count_rows(trial: Trial) -> dict[str, int]:
    """How many rows each table of a batch has."""
    with trial.stack.services.connect() as connection:
        counted = [connection.execute(f"SELECT count(*) FROM {table}").fetchone() for table in IMPORTED]  # noqa: S608
    return {table: row[0] for table, row in zip(IMPORTED, counted, strict=True) if row}


def check_nothing_is_left(trial: Trial, table: str) -> None:
    left = {name: count for name, count in count_rows(trial).items() if count}
    if left:
        trial.note_broken(f"killed at {table}, and {left} stayed")
    trial.notes["kills"] = trial.notes.get("kills", 0) + 1


def add_bad_row(trial: Trial) -> None:
    """One line that is set aside, so that an import writes to each of its tables."""
    with trial.path.open("a", encoding="utf-8") as file:
        file.write(BAD_ROW)


def kill_command(trial: Trial) -> None:
    """Kill -9 ``sendbatch`` at each table in turn; afterwards the same file is loaded."""
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
    """Kill -9 the web server at each table in turn, and when all is in but the job; each time the browser, which
    heard no answer, uploads the same file with the same key again. At the end there is one batch."""
    add_bad_row(trial)
    token = make_token(trial)
    for table in (*IMPORTED, JOBS):
        with barrier(trial, table) as held, trial.stack.web() as web:
            upload = web.begin_upload(trial.path, template=TEMPLATE_KEY, token=token, key="once")
            server_process = held.await_arrival()
            web.kill()
            upload.close()
            held.open(until_gone=server_process)
        if table != JOBS:
            check_nothing_is_left(trial, table)
    before = count_rows(trial)
    if before["batches_batch"] != 1 or before["batches_email"] != len(trial.addresses):
        trial.note_broken(f"killed before the job was made, and of the batch there is {before}")
    with trial.stack.web() as web:
        answer = web.upload(trial.path, template=TEMPLATE_KEY, token=token, key="once")
        again = web.upload(trial.path, template=TEMPLATE_KEY, token=token, key="once")
    trial.batch_id = answer["batchId"]
    after = count_rows(trial)
    if answer != again or not answer["jobId"] or after["batches_batch"] != 1:
        trial.note_broken(f"one key gave {answer}, then {again}, and there is {after}")
    trial.stack.start_worker()


def make_token(trial: Trial) -> str:
    environment = trial.stack.environment | {"DJANGO_SUPERUSER_PASSWORD": "only-for-chaos"}
    person = ["--noinput", "--username", "ann", "--email", "ann@example.org"]
    run_command(["createsuperuser", *person], environment=environment)
    return run_command(["createapitoken", "ann"], environment=environment).strip()


# No worker until all is over: its sweep would wait at the locks too, and be taken for the import.
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
