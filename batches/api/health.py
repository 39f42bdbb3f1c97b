"""Tell whether the site works: as JSON for load balancers, as text for Prometheus.

The answers of PostgreSQL and Redis enter. A status leaves, or gauges with the counts of the live jobs.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Iterable, Mapping

from django.http import HttpRequest, HttpResponse
from django.views.decorators.http import require_GET
from ninja import Router, Status

from batches import progress
from batches.api.schemas import HealthOut
from batches.api.shared_answer import SharedAnswer
from batches.credentials import Credentials
from batches.jobs.database_health import DatabaseProbe
from batches.jobs.queues import fleet_status
from batches.models import LIVE_JOB_STATUSES, EmailJob, EmailStatus, UnknownReport
from batches.permissions import REFUSALS, Permission, may
from batches.returns.doors.mailbox_reader import count_readers
from batches.wording import say_health

router = Router(tags=["health"])

_database = DatabaseProbe()
_is_database_up = SharedAnswer(_database.is_up, name="health-database")
_fleet = SharedAnswer(fleet_status, name="health-redis")

COUNTED = {
    EmailStatus.SENT: "sent",
    EmailStatus.FAILED: "failed",
    EmailStatus.UNKNOWN: "unknown",
    EmailStatus.SUPPRESSED: "suppressed",
    EmailStatus.PENDING: "pending",
}
"""Each email status, and the field of a snapshot that counts it. Emails in flight count as pending."""


@router.get("/health", auth=None, response={200: HealthOut, 503: HealthOut}, exclude_none=True)
async def get_health(request: HttpRequest) -> Status[HealthOut]:
    """200 if the database answers and Redis accepts writes, otherwise 503. Needs no login, and tells of no batch.

    The answer is at most a second old. It needs no thread and no connection that serve pages, so a site with many
    visitors is slow and not away.
    """
    fleet, database = await asyncio.gather(_fleet.get(), _is_database_up.get())
    healthy = database and fleet.redis
    health = HealthOut(
        status="ok" if healthy else "unavailable",
        database=database,
        redis=fleet.redis,
        workers=fleet.workers,
        queued=fleet.queued,
        detail=say_health(fleet, database=database) or None,
    )
    return Status(200 if healthy else 503, health)


def close_health() -> None:
    """Close the connection of the health check, and forget its answers. The next question opens it again."""
    _is_database_up.run(_database.close)
    _fleet.run(lambda: None)


@require_GET
def metrics(request: HttpRequest) -> HttpResponse:
    """Gauges in Prometheus's text format, with a session or `Authorization: Bearer TOKEN`.

    They are about the batches of everybody, so they need the permission to see those.
    """
    user = Credentials.of_request(request).find_user()
    if user is None:
        sentence = "Send the token of a user who may see the batches of everybody: 'Authorization: Bearer TOKEN'.\n"
        response = HttpResponse(sentence, "text/plain", 401)
        response["WWW-Authenticate"] = "Bearer"
        return response
    if not may(user, Permission.VIEW_ALL_BATCHES):
        return HttpResponse(f"{REFUSALS[Permission.VIEW_ALL_BATCHES]}\n", "text/plain", 403)
    return HttpResponse("".join(_lines()), "text/plain; version=0.0.4; charset=utf-8")


def _lines() -> list[str]:
    fleet = fleet_status()
    live = list(EmailJob.objects.live().values_list("batch_id", "status", "batch__is_test"))
    tests = {batch_id for batch_id, _, is_test in live if is_test}
    snapshots = progress.read_snapshots(batch_id for batch_id, _, _ in live).values()
    emails: Counter[tuple[str, bool]] = Counter()
    for snapshot in snapshots:
        for status, field in COUNTED.items():
            emails[status, snapshot["batchId"] in tests] += int(snapshot[field])  # type: ignore[literal-required]
    jobs = Counter((status, is_test) for _, status, is_test in live)
    rate = sum(snapshot["ratePerSecond"] for snapshot in snapshots)
    return [
        *_gauge("emails", "Emails of live jobs by status.", _label(emails, COUNTED)),
        *_gauge("jobs", "Live jobs by status.", _label(jobs, LIVE_JOB_STATUSES)),
        *_gauge("send_rate", "Emails sent per second, over all live jobs.", rate),
        *_gauge("queued_lanes", "Work items that wait in Redis for a worker.", fleet.queued),
        *_gauge("workers", "Workers that are alive.", fleet.workers),
        *_gauge("return_readers", "Processes that read the return mailbox.", count_readers()),
        *_gauge("unknown_reports", "Messages that came back and nothing understood.", UnknownReport.objects.count()),
        *_gauge("redis_up", "Whether Redis answers and accepts writes.", int(fleet.redis)),
        *_gauge("redis_memory_share", "The used part of Redis's maxmemory, 0 without one.", fleet.memory_share or 0.0),
    ]


def _label(counts: Mapping[tuple[str, bool], int], statuses: Iterable[str]) -> dict[str, int]:
    """Give each count its labels. Test messages have counts of their own, so that an alert can leave them out."""
    return {
        f'status="{status!s}",test="{str(is_test).lower()}"': counts.get((status, is_test), 0)
        for status in statuses
        for is_test in (False, True)
    }


def _gauge(name: str, text: str, value: float | Mapping[str, int]) -> list[str]:
    full = f"emailbatch_{name}"
    head = [f"# HELP {full} {text}\n", f"# TYPE {full} gauge\n"]
    if isinstance(value, Mapping):
        return head + [f"{full}{{{labels}}} {number}\n" for labels, number in value.items()]
    return [*head, f"{full} {value}\n"]
