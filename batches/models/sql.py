"""The named SQL: every statement of the send path, and what each is for; what repairs it is in ``repair_sql``.

Hand-written because each is one round trip that must be exact under concurrency. They are for psycopg
(``%(name)s``); the states come from ``choices``.
"""

from __future__ import annotations

from batches.models.choices import BatchStatus, EmailStatus, JobStatus
from batches.outcomes import Outcome

_STATES = {
    "pending": f"'{EmailStatus.PENDING}'",
    "sending": f"'{EmailStatus.SENDING}'",
    "sent": f"'{EmailStatus.SENT}'",
    "failed": f"'{EmailStatus.FAILED}'",
    "unknown": f"'{EmailStatus.UNKNOWN}'",
    "cancelled": f"'{EmailStatus.CANCELLED}'",
    "suppressed": f"'{EmailStatus.SUPPRESSED}'",
    "interrupted": f"'{Outcome.INTERRUPTED}'",
    "queued_job": f"'{JobStatus.QUEUED}'",
    "processing_job": f"'{JobStatus.PROCESSING}'",
    "scheduled_job": f"'{JobStatus.SCHEDULED}'",
    "cancelled_job": f"'{JobStatus.CANCELLED}'",
    "processing_batch": f"'{BatchStatus.PROCESSING}'",
}


_PARTS = {
    # Subqueries with an order, and not EXISTS, which may read the table from its front: the statistics of a
    # batch that is being sent are always old.
    "first_untried": """(
    SELECT e.row FROM batches_email e
    WHERE e.batch_id = j.batch_id AND e.row > j.handed_out_to_row AND e.status = {pending} AND e.next_attempt_at IS NULL
    ORDER BY e.row LIMIT 1)""",
    "first_retry": """(
    SELECT e.next_attempt_at FROM batches_email e
    WHERE e.batch_id = j.batch_id AND e.next_attempt_at IS NOT NULL AND e.status = {pending}
    ORDER BY e.next_attempt_at LIMIT 1)""",
    # What it was handed of the list and has not claimed.
    "first_in_range": """(
    SELECT e.row FROM batches_email e
    WHERE e.batch_id = j.batch_id AND e.row > l.range_after_row AND e.row <= l.range_end_row
      AND e.status = {pending} AND e.next_attempt_at IS NULL
    ORDER BY e.row LIMIT 1)""",
    # Of its claims, what no outcome ended. A first try is claimed by the lane's row alone, a retry in its own row too.
    "in_doubt_of_lane": """(
  SELECT e.*, e.attempts + (e.status = {pending})::int AS attempts_made
  FROM batches_lane l JOIN batches_email e ON e.batch_id = %(batch)s AND e.row = ANY(l.claimed_rows)
  WHERE l.id = %(lane)s
    AND (e.status = {pending} AND e.next_attempt_at IS NULL OR e.status = {sending} AND e.lane_id = l.id))""",
}


def named(statement: str) -> str:
    """Put the states and the shared parts in the places that a statement names in braces."""
    for name, text in (_PARTS | _STATES).items():
        statement = statement.replace("{" + name + "}", text)
    return statement


# Job, batch, lane: the order in which a job's end locks them. `moved` is asked for, so that it comes before the lane.
ACQUIRE_LANE = named("""
WITH begun AS (
  UPDATE batches_emailjob j SET status = {processing_job}, started_at = clock_timestamp()
  FROM batches_lane l
  WHERE l.id = %(lane)s AND j.id = l.job_id AND l.lease_until IS NULL AND j.status = {queued_job}
    AND coalesce(j.relay_retry_at <= clock_timestamp(), true)
  RETURNING j.batch_id
), moved AS (
  UPDATE batches_batch b SET status = {processing_batch} FROM begun WHERE b.id = begun.batch_id RETURNING b.id
)
UPDATE batches_lane l
SET token = l.token + 1, worker = %(worker)s, heartbeat_at = clock_timestamp(), rate_per_second = 0,
    lease_until = clock_timestamp() + %(lease_seconds)s * interval '1 second'
FROM batches_emailjob j JOIN batches_batch b ON b.id = j.batch_id
WHERE l.id = %(lane)s AND j.id = l.job_id AND l.lease_until IS NULL AND (SELECT count(*) FROM moved) IS NOT NULL
  AND j.status IN ({queued_job}, {processing_job}) AND coalesce(j.relay_retry_at <= clock_timestamp(), true)
RETURNING l.id, l.token, l.range_after_row, l.range_end_row,
          l.sent_count, l.failed_count, l.unknown_count, l.retried_count,
          j.id, j.priority, j.subject, j.html, j.text, j.from_email, b.id, b.merge_fields
""")
"""Take a free lane of a job that may run, note that the job runs, and read all that sending needs. No row: another
worker holds it, the job is not live, or it waits for its relay. A lane that runs is not stopped by another's trouble
with the relay: it finds out by itself."""

TAKE_ROW_RANGE = named("""
WITH job AS (
  SELECT j.id, j.batch_id, j.handed_out_to_row, (SELECT count(*) FROM batches_lane WHERE job_id = j.id) AS lane_count
  FROM batches_emailjob j
  WHERE j.id = %(job)s AND j.status = {processing_job}
  FOR NO KEY UPDATE SKIP LOCKED
), last AS (
  SELECT e.row FROM batches_email e WHERE e.batch_id = %(batch)s ORDER BY e.row DESC LIMIT 1
), row_range AS (
  SELECT first.row - 1 AS after_row,
         first.row - 1 + least(%(rows_max)s, greatest(%(window)s, (last.row - first.row) / job.lane_count)) AS end_row
  FROM job, last, (
    SELECT e.row FROM batches_email e
    WHERE e.batch_id = %(batch)s AND e.row > (SELECT handed_out_to_row FROM job)
      AND e.status = {pending} AND e.next_attempt_at IS NULL
    ORDER BY e.row LIMIT 1) first
), taken AS (
  UPDATE batches_lane l
  SET range_after_row = row_range.after_row, range_end_row = row_range.end_row
  FROM row_range
  WHERE l.id = %(lane)s AND l.token = %(token)s AND l.lease_until IS NOT NULL
  RETURNING l.range_after_row, l.range_end_row
), handed_out AS (
  UPDATE batches_emailjob j SET handed_out_to_row = coalesce(taken.range_end_row, last.row)
  FROM job CROSS JOIN last LEFT JOIN taken ON true
  WHERE j.id = job.id AND job.handed_out_to_row < coalesce(taken.range_end_row, last.row)
    AND (taken.range_end_row IS NOT NULL OR NOT EXISTS (SELECT FROM row_range))
)
SELECT taken.range_after_row, taken.range_end_row FROM job LEFT JOIN taken ON true
""")
"""Hand the list's next row range to a lane that has used up its own. Nulls: nothing is left that was never tried, or
the lane is fenced. No row: the job is not to be sent, or is locked: lanes never queue for it.

A row range is a lane's share of what is left, so that the last ones are short and all lanes end together. Where nothing
is left, `handed_out_to_row` moves to the list's end, so that nobody searches the rest again.
"""

# One statement, so one round trip and one commit a cycle. Its parts see one snapshot: they touch
# different emails (`recorded` those this lane is sending, `due` those nobody is; `untried` only reads), so none needs
# to see what another wrote. All that writes hangs on `lease`: when the lane was taken away it is empty, and nothing
# is written or claimed (`due` has locked its rows in vain). If the sweep holds the lane's row, the UPDATE waits for it
# and then re-reads the token (READ COMMITTED), so a lane that was reaped meanwhile finds itself fenced.
#
# A first try is claimed by the lane's row alone: its row range is nobody else's, so `untried` needs no lock, and no
# email is written before its outcome (docs/decisions/0015). That UPDATE changes no indexed column, so PostgreSQL
# writes no index entry for it (docs/decisions/0014). Only a retry has a `next_attempt_at`, and an entry in
# `email_retry`; `due` starts behind a cursor, for a scan from the front would walk the entries of all that was
# claimed before, which a long transaction elsewhere keeps VACUUM and the index from forgetting.
#
# `due` is MATERIALIZED so that LIMIT and SKIP LOCKED are applied once, not once per joined row. It names a row by its
# place, which a locked row keeps, and so spares the index. One that another transaction changed between the snapshot
# and the lock stands elsewhere: it is not claimed now but at the next look from the front.
#
# `tried` has no ON CONFLICT, which would write each row to the WAL twice: an attempt's number is what `recorded` or the
# claim raised `attempts` to, and `recorded` ends each claim once.
#
# now() and not clock_timestamp(): an index is only searched for what does not change meanwhile. A LIMIT that is
# null would be none at all.
LEDGER_CYCLE = named("""
WITH asked AS (
  SELECT j.status, CASE WHEN j.status = {processing_job} THEN %(limit)s ELSE 0 END AS places
  FROM batches_emailjob j WHERE j.id = %(job)s
), due AS MATERIALIZED (
  SELECT e.ctid, e.row
  FROM batches_email e
  WHERE e.batch_id = %(batch)s AND e.next_attempt_at <= now() AND e.status = {pending}
    AND (e.next_attempt_at, e.id) > (%(after_at)s::timestamptz, %(after_id)s::bigint)
  ORDER BY e.next_attempt_at, e.id
  LIMIT coalesce((SELECT places FROM asked), 0)
  FOR UPDATE OF e SKIP LOCKED
), untried AS MATERIALIZED (
  SELECT e.id, e.row, e.address, e.fields::text AS fields, e.attempts + 1 AS attempts
  FROM batches_email e
  WHERE e.batch_id = %(batch)s AND e.row > %(after_row)s AND e.row <= %(end_row)s
    AND e.status = {pending} AND e.next_attempt_at IS NULL
  ORDER BY e.row
  LIMIT coalesce((SELECT places FROM asked), 0) - (SELECT count(*) FROM due)
), lease AS (
  UPDATE batches_lane l
  SET lease_until = clock_timestamp() + %(lease_seconds)s * interval '1 second',
      heartbeat_at = clock_timestamp(),
      sent_count = %(sent)s, failed_count = %(failed)s, unknown_count = %(unknown)s, retried_count = %(retried)s,
      rate_per_second = %(rate)s,
      range_after_row = CASE
        WHEN (SELECT count(*) FROM untried) < (SELECT places FROM asked) - (SELECT count(*) FROM due) THEN %(end_row)s
        ELSE coalesce((SELECT max(row) FROM untried), %(after_row)s) END,
      claimed_rows = %(in_flight_rows)s::int[] || ARRAY(SELECT row FROM due UNION ALL SELECT row FROM untried)
  WHERE l.id = %(lane)s AND l.token = %(token)s AND l.lease_until IS NOT NULL
  RETURNING l.id, l.range_after_row
), outcome AS (
  SELECT * FROM unnest(
    %(ids)s::bigint[], %(statuses)s::text[], %(outcomes)s::text[], %(codes)s::smallint[], %(replies)s::text[],
    %(delays)s::float8[]
  ) AS o(email_id, status, outcome, code, reply, delay)
), recorded AS (
  UPDATE batches_email e
  SET status = o.status, code = nullif(o.code, 0), reply = o.reply, lane_id = lease.id,
      attempts = e.attempts + (o.outcome <> '')::int - (e.status = {sending})::int,
      next_attempt_at = CASE WHEN o.status = {pending} THEN clock_timestamp() + o.delay * interval '1 second' END,
      completed_at = CASE WHEN o.status <> {pending} THEN clock_timestamp() END
  FROM outcome o CROSS JOIN lease
  WHERE e.id = o.email_id
    AND (e.status = {pending} AND e.next_attempt_at IS NULL OR e.status = {sending} AND e.lane_id = lease.id)
  RETURNING e.id, e.attempts, o.outcome, o.code, o.reply
), tried AS (
  INSERT INTO batches_attempt (email_id, lane_id, number, outcome, code, reply, relay, at)
  SELECT id, %(lane)s, attempts, outcome, nullif(code, 0), reply, %(relay)s, clock_timestamp()
  FROM recorded WHERE outcome <> ''
), again AS (
  UPDATE batches_email e
  SET status = {sending}, lane_id = lease.id, attempts = e.attempts + 1
  FROM due CROSS JOIN lease
  WHERE e.ctid = due.ctid
  RETURNING e.id, e.row, e.address, e.fields::text AS fields, e.attempts, e.next_attempt_at
)
SELECT asked.status, lease.range_after_row, c.next_attempt_at, c.id, c.row, c.address, c.fields, c.attempts
FROM lease CROSS JOIN asked LEFT JOIN (
  SELECT next_attempt_at, id, row, address, fields, attempts FROM again
  UNION ALL
  SELECT NULL, id, row, address, fields, attempts FROM untried
) c ON true
""")
"""Renew the lease, record outcomes with an Attempt each, claim more.

The counters are set, not added to: the holder knows them, and writing twice counts once. No row: the
lane is fenced. Otherwise one row for each email claimed, or one whose id is null; each begins with the job's
status and the row behind which the lane's next claim looks. An empty outcome gives an email back without
counting the attempt.
"""

IN_DOUBT_OF_LANE = named("SELECT id, row, address, fields::text, attempts_made FROM {in_doubt_of_lane} e")
"""What is being sent in a lane's name: asked after a commit whose reply was lost, before the next cycle."""

RENEW_LANE = """
UPDATE batches_lane
SET lease_until = clock_timestamp() + %(lease_seconds)s * interval '1 second', heartbeat_at = clock_timestamp(),
    token = %(next_token)s
WHERE id = %(lane)s AND token IN (%(token)s, %(next_token)s) AND lease_until IS NOT NULL
RETURNING range_after_row, range_end_row
"""
"""Renew a lease under a new token, and nothing else: on a full disk so small a write may do where a cycle fails, as
SUSPECT_LANES may. It waits until no other statement holds the lane's row, which a cycle does while it writes, and
whatever the lost connection still delivers later finds itself fenced. No row: the lane is."""

COUNT_LEASED_LANES = """
SELECT count(*)
FROM batches_emailjob j JOIN batches_lane l ON l.job_id = j.id
WHERE j.completed_at IS NULL AND l.lease_until > clock_timestamp()
"""
"""How many lanes are at work."""

RELEASE_LANE = """
UPDATE batches_lane SET lease_until = NULL, rate_per_second = 0, token = token + 1
WHERE id = %(lane)s AND token = %(token)s
"""
"""Give a lane back, when nothing is in flight in its name. Its next holder goes on with its row range. The token rises
here too: should the reply be lost, RENEW_LANE must not take the next holder's lease for ours."""

REPORT_RELAY_ERROR = """
UPDATE batches_emailjob
SET last_error = %(error)s,
    relay_failure_count = CASE WHEN relay_retry_at > clock_timestamp() THEN relay_failure_count
                               ELSE relay_failure_count + 1 END,
    relay_retry_at = CASE WHEN relay_retry_at > clock_timestamp() THEN relay_retry_at
      ELSE clock_timestamp() + interval '1 second'
        * least(%(cap_seconds)s, %(base_seconds)s * power(2, least(relay_failure_count, 20))) END
WHERE id = %(job)s AND completed_at IS NULL
  AND NOT (%(has_too_many_connections)s AND EXISTS (
    SELECT FROM batches_lane l
    WHERE l.job_id = %(job)s AND l.id <> %(lane)s AND l.lease_until > clock_timestamp() AND l.rate_per_second > 0))
RETURNING relay_retry_at
"""
"""Note that the relay takes no mail now; each failure in a row doubles the wait up to the cap.

A relay that is crowded by the job's own other lanes takes its mail: these must not be stopped.

Lanes that fail while another's wait still runs do not double it again.
"""

CLEAR_RELAY_ERROR = """
UPDATE batches_emailjob SET last_error = '', relay_failure_count = 0, relay_retry_at = NULL
WHERE id = %(job)s AND (relay_failure_count > 0 OR last_error <> '')
"""
"""The relay took a message again."""

COUNT_BATCH = named("""
SELECT count(*) FILTER (WHERE status = {sent}), count(*) FILTER (WHERE status = {failed}),
       count(*) FILTER (WHERE status = {unknown}), count(*) FILTER (WHERE status = {suppressed}),
       count(*) FILTER (WHERE status = {cancelled}),
       count(*) FILTER (WHERE status IN ({pending}, {sending})),
       count(*) FILTER (WHERE status = {sent} AND lane_id = ANY(%(lanes)s)),
       count(*) FILTER (WHERE status = {failed} AND lane_id = ANY(%(lanes)s))
FROM batches_email WHERE batch_id = %(batch)s
""")
"""The true counts of a batch, and of what one job's lanes sent and failed."""

SNAPSHOTS = """
SELECT b.id, b.status, b.total_count,
       b.sent_count + coalesce(sum(l.sent_count), 0), b.failed_count + coalesce(sum(l.failed_count), 0),
       b.unknown_count + coalesce(sum(l.unknown_count), 0), b.suppressed_count, b.cancelled_count,
       coalesce(sum(l.rate_per_second) FILTER (WHERE l.lease_until > clock_timestamp()), 0),
       (extract(epoch FROM clock_timestamp()) * 1000000)::bigint, b.created_by_id
FROM batches_batch b
LEFT JOIN batches_emailjob j ON j.batch_id = b.id AND j.completed_at IS NULL
LEFT JOIN batches_lane l ON l.job_id = j.id
WHERE b.id = ANY(%(batches)s)
GROUP BY b.id
"""
"""What is settled of each batch plus what the lanes of its live job did since."""
