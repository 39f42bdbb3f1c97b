"""Measure how soon every page and list answers with many rows, idle and beside a running send.

The rows are generated: batches of a million and more, and a hundred thousand small ones. The times of each address
leave, with the goal that it has to meet.
"""

from __future__ import annotations

import http.client
import math
import statistics
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from tests.bench import messages, pages_data
from tests.bench.machine import cpu_seconds, wait_for_quiet
from tests.bench.page_addresses import FEW, Places, list_addresses
from tests.bench.sink import running_sink
from tests.bench.stack import BenchStack
from tests.chaos.web import Web

IDLE_MS = 200
SENDING_MS = 400
FEW_FAILED_MS = 50
ADDRESS_SECONDS = 4.0
"""How long one address is measured at most while nothing is sent."""
SEND_SECONDS = 180.0


@dataclass(frozen=True, kw_only=True, slots=True)
class Size:
    """How many rows are generated, and how often each address is asked."""

    million: int
    five_million: int
    small_batches: int
    templates: int
    users: int
    suppressions: int
    entries: int
    """Of the audit."""
    mails_of_one: int
    """How many mails one person got."""
    requests: int


FULL = Size(
    million=1_000_000,
    five_million=5_000_000,
    small_batches=100_000,
    templates=1_000,
    users=2_000,
    suppressions=200_000,
    entries=200_000,
    mails_of_one=10_000,
    requests=60,
)
SHORT = Size(
    million=50_000,
    five_million=100_000,
    small_batches=2_000,
    templates=200,
    users=100,
    suppressions=1_000,
    entries=1_000,
    mails_of_one=200,
    requests=5,
)
"""For a quick look: whether each address answers, and not how fast."""


@dataclass(kw_only=True, slots=True)
class Timed:
    """The times of one address in seconds, and the statuses of answers that were no success."""

    seconds: list[float] = field(default_factory=list)
    refused: list[int] = field(default_factory=list)
    web_cpu_seconds: float = 0.0
    """Processor time of the web server for all of them."""

    def describe(self, goal_ms: float) -> dict[str, Any]:
        times = sorted(self.seconds)
        p95 = times[math.ceil(0.95 * len(times)) - 1] * 1e3 if times else math.inf
        return {
            "count": len(times),
            "p50_ms": round(statistics.median(times) * 1e3, 1) if times else math.inf,
            "p95_ms": round(p95, 1),
            "max_ms": round(times[-1] * 1e3, 1) if times else math.inf,
            "web_cpu_ms": round(self.web_cpu_seconds / max(1, len(times)) * 1e3, 1),
            "refused": self.refused[:5],
            "goal_ms": goal_ms,
            "passed": p95 < goal_ms and not self.refused,
        }


class Reader:
    """A person with one connection to the web server."""

    def __init__(self, web: Web, cookie: str) -> None:
        self._web = web
        self._connection = http.client.HTTPConnection("127.0.0.1", web.port, timeout=60)
        self._headers = {"Cookie": cookie, "Accept": "text/html,application/json"}

    def ask(self, path: str, timed: Timed) -> None:
        cpu, started = cpu_seconds(self._web.process.pid), time.perf_counter()
        self._connection.request("GET", path, headers=self._headers)
        response = self._connection.getresponse()
        response.read()
        timed.seconds.append(time.perf_counter() - started)
        timed.web_cpu_seconds += cpu_seconds(self._web.process.pid) - cpu
        if response.status != 200:
            timed.refused.append(response.status)


def measure_pages(bench: BenchStack, *, is_short: bool) -> dict[str, Any]:
    """Return the times of each address, idle and beside a send."""
    size = SHORT if is_short else FULL
    signed_in = bench.step("sign_in")
    places = _generate(bench, size, owner=signed_in["user"], keys=signed_in["keys"])
    listed = bench.step("list_people", places.million)
    addresses = list_addresses(places)
    with bench.stack.web() as web:
        reader = Reader(web, signed_in["cookie"])
        for path in addresses.values():  # the first request of a process compiles the templates
            reader.ask(path, Timed())
        wait_for_quiet()
        idle = {name: _ask_often(reader, path, size.requests) for name, path in addresses.items()}
        beside = _ask_beside_send(bench, reader, addresses, batch_id=places.draft)
    return {
        "people_listed_per_second": listed["per_second"],
        "idle": {
            name: timed.describe(FEW_FAILED_MS if name.startswith(FEW) else IDLE_MS) for name, timed in idle.items()
        },
        "beside a send": {name: timed.describe(SENDING_MS) for name, timed in beside.items()},
    }


def _generate(bench: BenchStack, size: Size, *, owner: int, keys: Mapping[str, str]) -> Places:
    filled = bench.step("fill_lists", owner, size.templates, size.users, size.suppressions, size.entries)
    made_by: dict[str, Any] = {"owner": owner, "keys": {name: bytes.fromhex(key) for name, key in keys.items()}}
    with bench.stack.services.connect() as connection:
        pages_data.make_small_batches(connection, owner=owner, count=size.small_batches)
        person = pages_data.make_person(connection, **made_by, mail_count=size.mails_of_one)
        million = pages_data.make_batch(connection, **made_by, count=size.million, failed_count=size.million // 5)
        pages_data.return_some(connection, batch_id=million)
        many = pages_data.make_batch(connection, **made_by, count=size.five_million, failed_count=3)
        pages_data.leave_some_out(connection, batch_id=many, count=size.five_million)
        draft = pages_data.make_batch(connection, **made_by, count=size.million, is_draft=True)
        pages_data.analyze(connection)
        row = connection.execute("SELECT max(id) FROM batches_emailjob WHERE batch_id = %s", [million]).fetchone()
        assert row is not None
    return Places(
        million=million,
        many=many,
        draft=draft,
        job=row[0],
        person=person,
        group=filled["group"],
        recipient_count=size.million,
        batch_count=size.small_batches,
    )


def _ask_often(reader: Reader, path: str, count: int) -> Timed:
    timed, deadline = Timed(), time.monotonic() + ADDRESS_SECONDS
    while len(timed.seconds) < count and time.monotonic() < deadline:
        reader.ask(path, timed)
    return timed


def _ask_beside_send(
    bench: BenchStack, reader: Reader, addresses: Mapping[str, str], *, batch_id: int
) -> dict[str, Timed]:
    """Ask each address in turn while the draft is sent, and the tabs of the batch that is being sent."""
    live = f"/batches/{batch_id}/"
    # The draft is being sent, so what shows a draft has nothing to show.
    asked = {name: path for name, path in addresses.items() if f"/batches/{batch_id}/" not in path}
    asked |= {f"live batch, {status or 'all'}": f"{live}?status={status}" for status in ("", "sent", "pending")}
    asked |= {
        "live batch, failed": f"{live}?status=failed",
        "API: live": f"/api/batches/{batch_id}/emails?status=sending",
    }
    times = {name: Timed() for name in asked}
    with running_sink() as (port, _), bench.workers(2, environment={"EMAIL_URL": f"smtp://127.0.0.1:{port}"}):
        bench.step("start", batch_id, messages.TEMPLATE_KEY, environment={"EMAIL_URL": f"smtp://127.0.0.1:{port}"})
        deadline = time.monotonic() + SEND_SECONDS
        for name in _in_turn(asked):
            reader.ask(asked[name], times[name])
            if name == "home" and (bench.has_ended(batch_id) or time.monotonic() > deadline):
                break
    return times


def _in_turn(names: Mapping[str, str]) -> Iterator[str]:
    while True:
        yield from names


def list_goals(found: Mapping[str, Any]) -> list[tuple[str, dict[str, Any]]]:
    """Return each line of the table: its name, and its figures."""
    return [
        (f"{name} ({when})", line)
        for when, lines in found.items()
        if isinstance(lines, Mapping)
        for name, line in lines.items()
    ]
