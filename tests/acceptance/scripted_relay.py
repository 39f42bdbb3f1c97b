"""One batch through real workers to a relay whose replies follow a script, and what became of each recipient."""

from __future__ import annotations

import contextlib
import csv
import json
from collections import Counter
from collections.abc import Iterator, Mapping
from email import message_from_bytes, policy
from email.message import EmailMessage
from pathlib import Path
from typing import Any, NamedTuple

from tests.chaos.stack import TEMPLATE_KEY, Golden, Stack, run_command, wait_until
from tests.chaos.trial import write_recipients
from tests.smtpserver import Behaviour, Rule

ENDED = ("completed", "failed", "cancelled")

FAST = {"SEND_RETRY_SECONDS": "0.2", "SEND_LEASE_SECONDS": "3"}
"""Retries after 0.2 and 1 s instead of one and five minutes."""


class Row(NamedTuple):
    """What the table says of one recipient."""

    address: str
    status: str
    attempts: int
    code: int | None
    reply: str


def address_of(number: int) -> str:
    return f"p{number}@example.org"


class Script:
    """A stack, its relay, and one batch."""

    def __init__(self, stack: Stack) -> None:
        self.stack = stack
        self.batch_id = 0

    def load(self, count: int, *, template: str = TEMPLATE_KEY) -> None:
        """Send to recipients p0@example.org, p1@example.org and so on."""
        path = write_recipients(self.stack.folder / "list.csv", [address_of(number) for number in range(count)])
        self.load_file(path, template=template)

    def load_rows(self, rows: list[tuple[str, ...]], *, template: str) -> None:
        """Send to a list of rows. The first one holds the headings."""
        path = self.stack.folder / "list.csv"
        with path.open("w", encoding="utf-8", newline="") as file:
            csv.writer(file).writerows(rows)
        self.load_file(path, template=template)

    def load_file(self, path: Path, *, template: str) -> None:
        self.batch_id = self.stack.send_batch(path, template=template)

    # --- What the stack shows ----------------------------------------------------------------------------

    def query(self, statement: str) -> list[tuple[Any, ...]]:
        """Run a query that may name ``%(batch)s``."""
        with self.stack.services.connect() as connection:
            return connection.execute(statement, {"batch": self.batch_id}).fetchall()

    @property
    def status(self) -> str:
        return str(self.query("SELECT status FROM batches_batch WHERE id = %(batch)s")[0][0])

    @property
    def last_error(self) -> str:
        statement = "SELECT last_error FROM batches_emailjob WHERE batch_id = %(batch)s ORDER BY id DESC LIMIT 1"
        return str(self.query(statement)[0][0])

    def rows(self) -> list[Row]:
        statement = (
            "SELECT address, status, attempts, code, reply FROM batches_email WHERE batch_id = %(batch)s ORDER BY row"
        )
        return [Row(*row) for row in self.query(statement)]

    def statuses(self) -> Counter[str]:
        return Counter(row.status for row in self.rows())

    def states(self) -> dict[str, int]:
        """How many recipients have each state, as people see it."""
        answer = self.manage(
            "import json; from collections import Counter; from batches.models import Email; "
            f"emails = Email.objects.filter(batch={self.batch_id}).with_state(); "
            "print(json.dumps(Counter(email.state for email in emails)))"
        )
        states: dict[str, int] = json.loads(answer.splitlines()[-1])
        return states

    def copies(self) -> Counter[str]:
        """How many messages the relay accepted for each recipient."""
        return Counter(each.recipient for each in self.stack.smtp.accepted())

    def messages(self) -> dict[str, EmailMessage]:
        """The accepted messages by their recipient, parsed."""
        found = {}
        for each in self.stack.smtp.accepted():
            parsed = message_from_bytes(each.raw or b"", policy=policy.default)
            assert isinstance(parsed, EmailMessage)
            found[each.recipient] = parsed
        return found

    def raw_messages(self) -> list[bytes]:
        return [each.raw or b"" for each in self.stack.smtp.accepted()]

    def snapshot(self) -> dict[str, Any]:
        """The snapshot that a page would show."""
        answer = self.manage(
            "import json; from batches.jobs.forecasts import read_snapshot; "
            f"print(json.dumps(read_snapshot({self.batch_id})))"
        )
        snapshot: dict[str, Any] = json.loads(answer.splitlines()[-1])
        return snapshot

    # --- What a person does ------------------------------------------------------------------------------

    def manage(self, code: str) -> str:
        """Run a few lines in the project, as an operator in a shell."""
        return run_command(["shell", "-c", code], environment=self.stack.environment)

    def steer(self, step: str) -> None:
        """Pause, resume or cancel the batch."""
        self.manage(
            "from batches.jobs import lifecycle; from batches.models import Batch; "
            f"lifecycle.{step}_batch(Batch.objects.get(pk={self.batch_id}))"
        )

    # --- Waiting -----------------------------------------------------------------------------------------

    def wait_for(self, *statuses: str, seconds: float) -> None:
        """Wait until the batch has one of these statuses."""
        wait_until(
            lambda: self.status in statuses,
            seconds=seconds,
            what=lambda: (
                f"the batch to be {' or '.join(statuses)}; it is {self.status}: {self.last_error}; {self.statuses()}"
            ),
            every=0.1,
        )

    def wait_for_end(self, *, seconds: float = 60) -> None:
        """Wait until the batch has ended, and its last job too: a cancelled job finishes what it has in flight."""
        self.wait_for(*ENDED, seconds=seconds)
        live = "SELECT FROM batches_emailjob WHERE batch_id = %(batch)s AND completed_at IS NULL"
        wait_until(lambda: not self.query(live), seconds=seconds, what="the job to end", every=0.1)

    def wait_for_error(self, *words: str, seconds: float = 30) -> str:
        """Wait until the job says why it waits, in a sentence that has these words."""
        wait_until(
            lambda: self.last_error and all(word.lower() in self.last_error.lower() for word in words),
            seconds=seconds,
            what=lambda: f"the job to say {words}; it says {self.last_error!r}",
            every=0.1,
        )
        return self.last_error


@contextlib.contextmanager
def scripted(
    golden: Golden,
    *rules: Rule,
    workers: int = 1,
    environment: Mapping[str, str] | None = None,
    reply_rules: str = "",
    **behaviour: Any,
) -> Iterator[Script]:
    """Run a stack whose relay follows rules, with its workers.

    Args:
        reply_rules: A site's own reply rules, as TOML.
        behaviour: Other fields of the relay's behaviour.
    """
    chosen = Behaviour(rules=rules, address_faults=False, **behaviour)
    with Stack(
        golden, behaviour=chosen, environment=FAST | dict(environment or {}), keep_raw=True, fsync=False
    ) as stack:
        stack.set_reply_rules(reply_rules)
        stack.start_workers(workers)
        yield Script(stack)


def add_template(script: Script, key: str, text: str) -> None:
    """Add a template of text alone."""
    with script.stack.services.connect() as connection:
        connection.execute(
            "INSERT INTO batches_emailtemplate (key, name, subject, html, text, is_default, updated_at)"
            " VALUES (%(key)s, %(key)s, 'A letter', '', %(text)s, false, now())",
            {"key": key, "text": text},
        )
