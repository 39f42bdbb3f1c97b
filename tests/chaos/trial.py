"""One trial: a stack, a batch, one fault at a random instant, and the comparison after the end."""

from __future__ import annotations

import contextlib
import csv
import dataclasses
import random
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import psycopg

from batches.models.choices import BatchStatus
from tests.chaos.judgement import Bounds, Comparison, Counts, Row, compare, judge
from tests.chaos.stack import Golden, Stack, wait_until
from tests.chaos.workers import Worker
from tests.smtpserver import Accepted, Behaviour, RunningServer, read_record

WINDOW = 128
"""The default of SEND_WINDOW: the most emails that a killed lane may leave in doubt."""

RUN_SECONDS = 4.0
"""How long a run without a fault lasts. The pace of the relay follows from this and the number of recipients."""

ENDED = (BatchStatus.COMPLETED, BatchStatus.FAILED, BatchStatus.CANCELLED)


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Options:
    """The options of a whole run of the harness."""

    seed: int = 0
    recipients: int = 2000
    lease_seconds: float = 3.0
    limit_seconds: float = 90.0
    """A batch that has not ended within this time has broken a promise."""
    keep: bool = False
    """Whether to print the workers' logs of a trial that broke a promise."""


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Fault:
    """One fault: how it is injected, and what it may cost."""

    name: str
    title: str
    inject: Callable[[Trial], None]
    """Called at the random instant. It returns when the fault is over, and marks that moment with ``Trial.mark``."""
    bounds: Callable[[Trial], Bounds] = lambda trial: Bounds()
    prepare: Callable[[Trial], None] = lambda trial: None
    """Called before the workers start. It may put another relay in the place of the recording server."""
    behaviour: Behaviour = dataclasses.field(default_factory=Behaviour)
    environment: Mapping[str, str] = dataclasses.field(default_factory=dict)
    workers: int = 1
    has_proxy: bool = False
    has_small_disk: bool = False
    email_url: str = "smtp://127.0.0.1:{port}"
    second: Behaviour | None = None
    """The behaviour of another relay, that of EMAIL_URL_SECOND. None: there is only one relay."""
    reply_rules: str = ""
    """A site's own reply rules (SEND_REPLY_RULES), as TOML. So a trial need not wait for as long as a provider says."""
    address: Callable[[int], str] = lambda number: f"r{number:06d}@example.org"
    is_from_start: bool = False
    """Whether to inject the fault before the batch is loaded. The fault may call ``Trial.load`` itself."""
    must_recover: bool = False
    """Whether emails must be left to send after the fault. If none are, the trial has shown nothing and is repeated."""
    check: Callable[[Trial], None] = lambda trial: None
    """Called after the batch has ended. It checks what else must be true, such as that the fault did strike."""
    unavailable: Callable[[], str] = lambda: ""
    """Says why this machine cannot inject the fault; empty when it can."""


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Result:
    """The result of one trial."""

    fault: str
    title: str
    seed: str
    found: Comparison
    recover_seconds: float | None
    end_seconds: float
    """From the moment that the fault marked to the end of the batch."""
    broken: list[str]
    notes: dict[str, float] = dataclasses.field(default_factory=dict)
    skipped: str = ""
    missed: str = ""
    """Why the fault had no effect; empty when it had one."""

    def has_missed(self, fault: Fault) -> bool:
        """Return whether the batch ended before the fault could have an effect."""
        is_over = fault.must_recover and self.recover_seconds is None
        return not self.broken and (is_over or bool(self.missed))


class Trial:
    """One run of one fault. A fault uses its methods while it is injected."""

    def __init__(self, fault: Fault, options: Options, *, number: int = 0, repetition: int = 0) -> None:
        self.fault = fault
        self.options = options
        self.number = number
        self.seed = f"{options.seed}/{fault.name}/{number}" + f"/{repetition}" * bool(repetition)
        self.random = random.Random(self.seed)
        self.notes: dict[str, float] = {}
        self.broken: list[str] = []
        self.missed = ""
        self.marked_at: float | None = None
        self.expect_no_clear_logins = False
        self.new_connections_only = False
        self.connections_at_mark = 0
        self.batch_id = 0
        self.witness: Callable[[], list[Accepted]] | None = None
        """Reads what another relay than the recording server accepted. ``Fault.prepare`` may set it."""
        self.relay_log: Callable[[], str] = str
        """Reads the log of that relay."""
        self.unwilling: frozenset[str] = frozenset()
        """The recipients who unsubscribed while the batch ran."""
        self.unwilling_at = 0.0
        """When that was committed."""
        self.frozen_ports: set[int] = set()
        self.thawed_at = 0.0

    # --- For faults ------------------------------------------------------------------------------------

    @property
    def worker(self) -> Worker:
        """Return the first worker."""
        return self.stack.workers[0]

    def mark(self, *, new_connections_only: bool = False) -> None:
        """Mark the moment from which recovery is measured: a kill, or the end of a fault that lasts.

        With ``new_connections_only``, the messages that a killed process had already sent do not count as recovery.
        """
        self.marked_at = time.time()
        self.new_connections_only = new_connections_only
        if new_connections_only:
            self.connections_at_mark = self.stack.smtp.stats()["connections"]

    def change(self, **fields: object) -> None:
        """Change some fields of the relay's behaviour."""
        self.stack.smtp.configure(**fields)

    def wait(self, seconds: float) -> None:
        """Wait while the fault lasts."""
        time.sleep(seconds)

    def note_broken(self, sentence: str) -> None:
        """Note a broken promise that only the fault itself could see, as a sentence."""
        self.broken.append(sentence)

    def note_missed(self, sentence: str) -> None:
        """Note why the fault had no effect, so that the trial is repeated at another instant."""
        self.missed = sentence

    def note_elapsed(self, name: str, *, since: float, limit: float) -> None:
        """Note how long something took. It breaks a promise if it took longer than ``limit`` seconds."""
        elapsed = time.time() - since
        self.notes[name] = round(elapsed, 2)
        if elapsed > limit:
            self.broken.append(f"{name.replace('_', ' ')}: {elapsed:.1f}, allowed {limit:g}")

    def load(self) -> None:
        """Load the batch and start its job."""
        self.batch_id = self.stack.send_batch(self.path)

    def read_relay_error(self) -> str:
        """Return the relay error that the job shows; empty when it shows none."""
        with self.stack.services.connect() as connection:
            row = connection.execute(
                "SELECT last_error FROM batches_emailjob WHERE batch_id = %s", [self.batch_id]
            ).fetchone()
        return row[0] if row else ""

    def has_ended(self) -> bool:
        """Return whether the batch has a terminal status; false while PostgreSQL is away."""
        with contextlib.suppress(psycopg.OperationalError), self.stack.services.connect() as connection:
            row = connection.execute("SELECT status FROM batches_batch WHERE id = %s", [self.batch_id]).fetchone()
            return bool(row and row[0] in ENDED)
        return False

    def read_accepted(self) -> list[Accepted]:
        """Return what the relays have accepted so far, oldest first."""
        if self.witness is not None:
            return self.witness()
        records = [server.record_path for server in (self.stack.smtp, self.stack.second) if server is not None]
        return sorted((each for path in records for each in read_record(path)), key=lambda each: each.at)

    def count_accepted(self) -> int:
        """Return how many messages the recording servers have accepted."""
        servers = [server for server in (self.stack.smtp, self.stack.second) if server is not None]
        return sum(server.stats()["accepted"] for server in servers)

    def read_value(self, query: str) -> Any:
        """Return the first column of the first row that a query about the batch answers. It may name ``%(batch)s``."""
        with self.stack.services.connect() as connection:
            row = connection.execute(query, {"batch": self.batch_id}).fetchone()
        return row[0] if row else None

    @property
    def second(self) -> RunningServer:
        """The other relay. It exists only for a fault with ``second``."""
        assert self.stack.second is not None
        return self.stack.second

    # --- The run ---------------------------------------------------------------------------------------

    def run(self, golden: Golden) -> Result:
        """Start a stack, send a batch, inject the fault, and compare the records."""
        fault, options = self.fault, self.options
        self.stack = Stack(
            golden,
            behaviour=self._behaviour(),
            environment=self._environment(),
            has_proxy=fault.has_proxy,
            has_small_disk=fault.has_small_disk,
            keep_raw=True,
            email_url=fault.email_url,
            second=fault.second,
        )
        with self.stack:
            self.stack.set_reply_rules(fault.reply_rules)
            fault.prepare(self)
            self.addresses = [fault.address(number) for number in range(options.recipients)]
            path = write_recipients(self.stack.folder / "recipients.csv", self.addresses)
            self._load_and_inject(path)
            ended_at = self._await_end()
            self.stack.stop_workers()
            return self._judge(ended_at)

    def _behaviour(self) -> Behaviour:
        chosen = dataclasses.replace(self.fault.behaviour, seed=self.random.getrandbits(31))
        if self.number:  # in half of the repetitions the relay offers no CHUNKING, so that less is in flight
            chosen = dataclasses.replace(chosen, chunking=self.random.random() < 0.5)
            self.notes["chunking"] = float(chosen.chunking)
        if chosen.rate:
            return chosen
        return dataclasses.replace(chosen, rate=self.options.recipients / RUN_SECONDS, reply_jitter_ms=20.0)

    def _environment(self) -> dict[str, str]:
        fast = {
            "SEND_LEASE_SECONDS": str(self.options.lease_seconds),
            "SEND_RETRY_SECONDS": "0.2",
            "SEND_REPLY_TIMEOUT_SECONDS": "2",
            "SEND_FINAL_REPLY_TIMEOUT_SECONDS": "2",
        }
        return fast | dict(self.fault.environment)

    def _load_and_inject(self, path: Path) -> None:
        self.path = path
        if self.fault.is_from_start:
            self.stack.start_workers(self.fault.workers)
            self.fault.inject(self)
            if not self.batch_id:
                self.load()
        else:
            # The workers start last. Otherwise they would send much of the batch before the loading command has ended.
            self.load()
            self.stack.start_workers(self.fault.workers)
            self._await_instant()
            self.fault.inject(self)

    def _await_instant(self) -> None:
        """Wait for a uniformly random instant of the run: before its first message, or after a share of them."""
        share = self.random.uniform(-0.05, 0.9)
        if share < 0:
            time.sleep(self.random.uniform(0, 0.5))
            return
        wanted = share * self.options.recipients
        self.notes["instant"] = round(share, 3)
        wait_until(
            lambda: self.count_accepted() >= wanted or self.has_ended(),
            seconds=self.options.limit_seconds,
            what=f"{wanted:.0f} messages",
        )
        time.sleep(self.random.uniform(0, 0.02))

    def _await_end(self) -> float:
        """Wait for the end of the batch. Start a worker that gave up again, as a supervisor does."""

        def has_ended() -> bool:
            for worker in [each for each in self.stack.workers if each.has_ended() and not each.is_expected_to_end]:
                worker.is_expected_to_end = True
                self.notes["workers_restarted"] = self.notes.get("workers_restarted", 0) + 1
                self.stack.start_worker(wait=False)
            return self.has_ended()

        try:
            wait_until(has_ended, seconds=self.options.limit_seconds, what="the batch to end", every=0.1)
        except TimeoutError as exc:
            self.broken.append(str(exc))
        return time.time()

    def _judge(self, ended_at: float) -> Result:
        stats = self.stack.smtp.stats()  # the answer also means that the record is complete
        self.fault.check(self)
        accepted = self.read_accepted()
        rows, counts = self._read_table()
        expected = self._expect_words()
        found = compare(expected=expected, rows=rows, accepted=accepted, counts=counts, unwilling=self.unwilling)
        recover = self._recover_seconds(accepted)
        broken = self.broken + judge(found, self.fault.bounds(self), recover_seconds=recover)
        if self.fault.behaviour.rules and not stats["strikes"]:
            broken.append("the relay's rules never struck")
        for name in ("bare_newlines", "early_commands", "early_contents", "undeclared_eightbit", "long_lines"):
            if stats[name]:
                broken.append(f"{name.replace('_', ' ')}: {stats[name]}")
        if self.expect_no_clear_logins and stats["clear_logins"]:
            broken.append(f"logins in the clear: {stats['clear_logins']}")
        if broken and self.options.keep:
            print(*self.stack.logs(), sep="\n")  # noqa: T201
        return Result(
            fault=self.fault.name,
            title=self.fault.title,
            seed=self.seed,
            found=found,
            recover_seconds=recover,
            end_seconds=ended_at - (self.marked_at or ended_at),
            broken=broken,
            missed=self.missed,
            notes=self.notes | {"strikes": stats["strikes"], "connections": stats["connections"]},
        )

    def _expect_words(self) -> dict[str, str]:
        return {address: own_word(number) for number, address in enumerate(self.addresses)}

    def _recover_seconds(self, accepted: list[Accepted]) -> float | None:
        """Return the time from the mark to the next acceptance; None when nothing was left to send."""
        if self.marked_at is None:
            return None
        limit = self.connections_at_mark if self.new_connections_only else 0
        later = [each.at for each in accepted if each.at > self.marked_at and each.connection > limit]
        return min(later) - self.marked_at if later else None

    def _read_table(self) -> tuple[list[Row], Counts]:
        with self.stack.services.connect() as connection:
            emails = connection.execute(
                "SELECT address, status FROM batches_email WHERE batch_id = %s", [self.batch_id]
            )
            rows = [Row(address=address, status=status) for address, status in emails]
            batch = connection.execute(
                "SELECT sent_count, failed_count, unknown_count, cancelled_count FROM batches_batch WHERE id = %s",
                [self.batch_id],
            ).fetchone()
            job = connection.execute(
                "SELECT sent_count, failed_count FROM batches_emailjob WHERE batch_id = %s", [self.batch_id]
            ).fetchone()
        assert batch is not None and job is not None
        named = dict(zip(("sent", "failed", "unknown", "cancelled"), batch, strict=True))
        return rows, Counts(batch=named, job_sent=job[0], job_failed=job[1])


def write_recipients(path: Path, addresses: list[str]) -> Path:
    """Write a file of recipients with three merge fields. A tenth of the names are not ASCII. Return its path."""
    names = ("Ann", "Bob O'Neil", "Chiara", "Dieter", "Eve", "Fatima", "Goran", "Hana", "Ines", "Jürgen 李")
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["email", "name", "city", "code"])
        for number, address in enumerate(addresses):
            writer.writerow([address, names[number % 10], f"City {number % 97}", own_word(number)])
    return path


def own_word(number: int) -> str:
    """Return the word that only the message of this recipient contains."""
    return f"C{number:07d}"
