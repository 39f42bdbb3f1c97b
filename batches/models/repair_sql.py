"""The named SQL of the sweep: find the lanes of the dead, end what they were sending, find what to ring and to finish.

Like ``sql``, and of its parts.
"""

from __future__ import annotations

from batches.models.sql import named

EXPIRE_LANE = """
UPDATE batches_lane SET lease_until = 'epoch'
WHERE id = %(lane)s AND token > %(token)s AND worker = %(worker)s AND lease_until IS NOT NULL
"""
"""End a lease for good, because the holder's parent saw it die; the token is that of its ring, which taking the lane
raised, and each lost connection. The worker is asked for: a second ring of the same token may have died in vain
beside the holder."""

SUSPECT_LANES = """
UPDATE batches_lane l SET suspected_at = clock_timestamp()
FROM batches_emailjob j
WHERE j.id = l.job_id AND j.completed_at IS NULL AND l.lease_until < clock_timestamp()
  AND (l.suspected_at IS NULL OR l.suspected_at < l.lease_until)
"""
"""Note which leases have run out. That it could be noted shows that PostgreSQL takes writes, so from now on the
living renew theirs: it may have had a full disk for longer than a lease."""

EXPIRED_LANES = """
SELECT l.id, l.job_id, j.batch_id
FROM batches_lane l JOIN batches_emailjob j ON j.id = l.job_id
WHERE j.completed_at IS NULL AND l.lease_until < clock_timestamp()
  AND (l.lease_until = 'epoch'
       OR (l.suspected_at > l.lease_until
           AND l.suspected_at < clock_timestamp() - %(doubt_seconds)s * interval '1 second'
           AND clock_timestamp() > pg_postmaster_start_time() + %(lease_seconds)s * interval '1 second'))
FOR UPDATE OF l SKIP LOCKED
"""
"""The lanes whose holder is gone, locked: known to be (`epoch`), or suspected for long enough that a living one
would have renewed its lease. None of the latter for one lease's time after PostgreSQL started: while it was
away no lane could renew."""

REAP_LANE = named("""
WITH doubted AS (
  SELECT e.id, e.attempts_made, e.attempts_made >= %(max_attempts)s AS is_spent,
         count(*) FILTER (WHERE e.attempts_made >= %(max_attempts)s) OVER () AS spent_count,
         count(*) FILTER (WHERE e.attempts_made >= %(max_attempts)s)
           OVER (ORDER BY e.attempts_made, random()) AS spent_rank,
         e.attempts_made >= %(max_attempts)s + %(deaths_max)s AS is_over
  FROM {in_doubt_of_lane} e
), decided AS (
  SELECT id, attempts_made,
         CASE WHEN %(hold)s THEN {unknown} WHEN is_spent AND (spent_count = 1 OR is_over) THEN {failed}
              ELSE {pending} END AS status,
         CASE WHEN is_spent THEN %(spread_seconds)s * spent_rank / spent_count ELSE 0 END AS wait_seconds
  FROM doubted
), reaped AS (
  UPDATE batches_lane SET token = token + 1, lease_until = NULL, rate_per_second = 0, claimed_rows = '{}'
  WHERE id = %(lane)s
), ended AS (
  UPDATE batches_email e
  SET status = d.status, reply = %(reason)s, code = NULL, attempts = d.attempts_made, lane_id = %(lane)s,
      next_attempt_at = CASE WHEN d.status = {pending}
                        THEN clock_timestamp() + d.wait_seconds * interval '1 second' END,
      completed_at = CASE WHEN d.status <> {pending} THEN clock_timestamp() END
  FROM decided d
  WHERE e.id = d.id
  RETURNING e.id, e.attempts, e.status
), tried AS (
  INSERT INTO batches_attempt (email_id, lane_id, number, outcome, code, reply, relay, at)
  SELECT id, %(lane)s, attempts, {interrupted}, NULL, %(reason)s, '', clock_timestamp() FROM ended
  ON CONFLICT DO NOTHING
)
SELECT count(*) FILTER (WHERE status = {pending}), count(*) FILTER (WHERE status = {failed}),
       count(*) FILTER (WHERE status = {unknown})
FROM ended
""")
"""Fence a dead lane and end what it was sending: back to pending, or unknown under `hold`. Answers how many of each.

An email whose attempts are used up may be what killed the lane, or only have been beside it: it fails if it is
the only such one, or has died `deaths_max` times too often. Otherwise they go again, spread over a span so that few
are in flight together, and those last that were there at the most deaths: the innocent get through before the culprit
comes, and the next death leaves fewer suspects.
"""

ADD_TO_LANE = """
UPDATE batches_lane SET failed_count = failed_count + %(failed)s, unknown_count = unknown_count + %(unknown)s,
  retried_count = retried_count + %(retried)s
WHERE id = %(lane)s
"""
"""Count what the reaping of a lane ended."""

LANES_TO_ENQUEUE = named("""
SELECT l.id, l.job_id, l.token, j.priority
FROM batches_emailjob j JOIN batches_lane l ON l.job_id = j.id
WHERE j.completed_at IS NULL AND j.status IN ({queued_job}, {processing_job})
  AND coalesce(j.relay_retry_at <= clock_timestamp(), true) AND l.lease_until IS NULL
  AND (coalesce({first_retry} <= now(), false) OR {first_in_range} IS NOT NULL OR {first_untried} IS NOT NULL)
ORDER BY l.number, j.id
""")
"""The free lanes of jobs that have work due now: lane 0 of every job before lane 1 of any."""

JOBS_TO_FINISH = named("""
SELECT j.id FROM batches_emailjob j
WHERE j.completed_at IS NULL AND j.status <> {scheduled_job} AND coalesce(j.id = %(job)s::bigint, true)
  AND NOT EXISTS (SELECT FROM batches_lane l WHERE l.job_id = j.id AND l.lease_until IS NOT NULL)
  AND (j.status = {cancelled_job} OR (
    {first_retry} IS NULL AND {first_untried} IS NULL
    AND NOT EXISTS (SELECT FROM batches_lane l WHERE l.job_id = j.id AND {first_in_range} IS NOT NULL)))
""")
"""The jobs, or the one asked for, none of whose emails is pending or sending: what is being sent belongs to a
lane that is held. What a cancelled one has left is not sent."""

EXPIRE_STRAY_LANES = named("""
UPDATE batches_lane l
SET claimed_rows = l.claimed_rows || stray.rows, lease_until = 'epoch'
FROM (
  SELECT lane_id, array_agg(row) AS rows FROM batches_email WHERE batch_id = %(batch)s AND status = {sending}
  GROUP BY lane_id
) stray
WHERE l.job_id = %(job)s AND l.lease_until IS NULL AND l.id = stray.lane_id
""")
"""Let the sweep reap the lanes of a job that nobody holds and in whose name emails are being sent all the same."""

START_OVER = named("""
WITH emptied AS (
  UPDATE batches_lane SET range_end_row = range_after_row WHERE job_id = %(job)s
)
UPDATE batches_emailjob SET handed_out_to_row = 0 WHERE id = %(job)s
""")
"""Hand the list out from its first row again. Only while no lane of the job is held."""
