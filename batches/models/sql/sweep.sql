-- The statements of the sweep: reap dead lanes, find the lanes that have work, and find the jobs that are over.

-- name: EXPIRE_LANE
-- End a lease for good, because the parent process of the holder saw it die.
-- `token` is the token in the work item. The lane's token rose when the work-horse acquired it, and after each lost
-- connection.
-- `worker` is compared because a second work item with the same token may have died beside the holder, without a lease.
UPDATE batches_lane SET lease_until = 'epoch'
WHERE id = %(lane)s AND token > %(token)s AND worker = %(worker)s AND lease_until IS NOT NULL

-- name: SUSPECT_LANES
-- Note which leases have run out. From then on their lanes are suspect.
-- PostgreSQL may have had a full disk for longer than a lease. This write shows that it accepts writes again, so from
-- now on a living lane can renew its lease.
UPDATE batches_lane l SET suspected_at = clock_timestamp()
FROM batches_emailjob j
WHERE j.id = l.job_id AND j.completed_at IS NULL AND l.lease_until < clock_timestamp()
  AND (l.suspected_at IS NULL OR l.suspected_at < l.lease_until)

-- name: EXPIRED_LANES
-- Lock and return the lanes whose holder is gone.
-- The holder is known to be dead (`epoch`), or the lane was suspect for so long that a living holder would have renewed
-- its lease. For the time of one lease after PostgreSQL's start no suspect lane is returned: while PostgreSQL was away,
-- no lane could renew its lease.
-- SKIP LOCKED: a lane that is locked is renewing its lease or being reaped.
SELECT l.id, l.job_id, j.batch_id
FROM batches_lane l JOIN batches_emailjob j ON j.id = l.job_id
WHERE j.completed_at IS NULL AND l.lease_until < clock_timestamp()
  AND (l.lease_until = 'epoch'
       OR (l.suspected_at > l.lease_until
           AND l.suspected_at < clock_timestamp() - %(suspect_seconds)s * interval '1 second'
           AND clock_timestamp() > pg_postmaster_start_time() + %(lease_seconds)s * interval '1 second'))
FOR UPDATE OF l SKIP LOCKED

-- name: LOCK_IN_FLIGHT
-- Lock the emails that a dead lane had in flight, until RECORD_DEATHS records a decision about each of them.
-- No deadlock with a cycle of the dead holder: that cycle has locked retries that are pending, which are not in flight,
-- and waits for the lane's row, which the sweep has locked first.
SELECT e.id, e.attempts_made FROM {in_flight_of_lane} e FOR UPDATE OF e

-- name: RECORD_DEATHS
-- Reap a dead lane: fence its holder, end its lease, and record the decisions about the emails that it had in flight,
-- each with an Attempt. An email that is pending again is pinned to its relay, which may have the message.
-- ON CONFLICT: no conflict is known to happen, and none may keep a dead lane from being reaped.
-- statement_timestamp() and not clock_timestamp(): the waits spread the emails, so all of them begin at one moment.
-- An email that was sent before a replay of all counts apart, as in the cycle (`counts_of_replay`).
WITH decided AS (
  SELECT * FROM unnest(%(ids)s::bigint[], %(statuses)s::text[], %(delays)s::float8[])
    AS d(email_id, status, delay_seconds)
), reaped AS (
  UPDATE batches_lane l
  SET token = l.token + 1, lease_until = NULL, rate_per_second = 0, claimed_rows = '{}',
      (failed_count, unknown_count, retried_count, resent_count) = (
        SELECT l.failed_count + count(*) FILTER (WHERE d.status = {failed} AND NOT {was_sent}),
               l.unknown_count + count(*) FILTER (WHERE d.status = {unknown} AND NOT {was_sent}),
               l.retried_count + count(*) FILTER (WHERE d.status = {pending}),
               l.resent_count + count(*) FILTER (WHERE d.status <> {pending} AND {was_sent})
        FROM decided d JOIN batches_email e ON e.id = d.email_id)
  WHERE l.id = %(lane)s
), recorded AS (
  UPDATE batches_email e
  SET status = d.status, reply = %(reason)s, code = NULL, lane_id = l.id,
      relay_id = CASE WHEN d.status = {pending} THEN {carrier} END,
      attempts = e.attempts + (e.status = {pending})::int,
      next_attempt_at = CASE WHEN d.status = {pending}
                        THEN statement_timestamp() + d.delay_seconds * interval '1 second' END,
      completed_at = CASE WHEN d.status <> {pending} THEN clock_timestamp() END
  FROM decided d CROSS JOIN batches_lane l
  WHERE e.id = d.email_id AND l.id = %(lane)s
  RETURNING e.id, e.attempts
)
INSERT INTO batches_attempt (email_id, lane_id, number, outcome, code, reply, relay, at)
SELECT id, %(lane)s, attempts, {interrupted_outcome}, NULL, %(reason)s, '', clock_timestamp() FROM recorded
ON CONFLICT DO NOTHING

-- name: LANES_TO_ENQUEUE
-- Find the free lanes of jobs that have work due now: lane 0 of every job before lane 1 of any job.
-- A retry is no work while the one relay that may carry it is paused. If that relay is disabled, a lane run says so on
-- the job, and waits. A row after the canary is no work before the canary is over.
SELECT l.id, l.job_id, l.token, j.priority
FROM batches_emailjob j JOIN batches_lane l ON l.job_id = j.id
WHERE j.completed_at IS NULL AND j.status IN ({queued_job}, {processing_job})
  AND coalesce(j.relay_retry_at <= clock_timestamp(), true) AND l.lease_until IS NULL
  AND coalesce(l.waits_until <= clock_timestamp(), true)
  AND (coalesce({first_carried_retry} <= now(), false) OR {first_in_range} IS NOT NULL
       OR {first_untried} <= coalesce(j.canary_to_row, 2147483647))
ORDER BY l.number, j.id

-- name: END_RESERVATIONS
-- Turn the reservations of lanes that are not leased into uses, because their messages may have been accepted.
-- The lanes that this transaction has reaped leave them, and lanes that were deleted with their batch.
-- In one statement and in the order of the quotas, so that it cannot deadlock with a cycle.
-- FOR KEY SHARE: a quota that somebody deletes meanwhile is left out, and the insertion does not fail by its key.
WITH freed AS (
  DELETE FROM batches_reservation r
  WHERE NOT EXISTS (SELECT FROM batches_lane l WHERE l.id = r.lane_id AND l.lease_until IS NOT NULL)
  RETURNING relay_id, count
)
INSERT INTO batches_relayuse (quota_id, at, count)
SELECT q.id, {slice_end}, sum(freed.count)
FROM (SELECT * FROM batches_relayquota ORDER BY id FOR KEY SHARE) q JOIN freed ON freed.relay_id = q.relay_id
WHERE freed.count > 0
GROUP BY q.id, q.period_seconds ORDER BY q.id
ON CONFLICT (quota_id, at) DO UPDATE SET count = batches_relayuse.count + excluded.count

-- name: DELETE_OLD_USES
-- Delete the uses that count no longer in their quota.
DELETE FROM batches_relayuse u USING batches_relayquota q
WHERE q.id = u.quota_id AND u.at < now() - q.period_seconds * interval '1 second'

-- name: JOBS_TO_FINISH
-- Find the jobs none of whose emails is pending or in flight; with a job's id, only that job.
-- An email in flight belongs to a leased lane, so a job with a leased lane is not over. The emails that a cancelled job
-- has left are not sent, so it does not wait for them.
SELECT j.id FROM batches_emailjob j
WHERE j.completed_at IS NULL AND j.status <> {scheduled_job} AND coalesce(j.id = %(job)s::bigint, true)
  AND NOT EXISTS (SELECT FROM batches_lane l WHERE l.job_id = j.id AND l.lease_until IS NOT NULL)
  AND (j.status = {cancelled_job} OR (
    {first_retry} IS NULL AND {first_untried} IS NULL
    AND NOT EXISTS (SELECT FROM batches_lane l WHERE l.job_id = j.id AND {first_in_range} IS NOT NULL)))

-- name: EXPIRE_STRAY_LANES
-- Let the sweep reap the free lanes of a job that nevertheless have emails with the status `sending`.
UPDATE batches_lane l
SET claimed_rows = l.claimed_rows || stray.rows, lease_until = 'epoch'
FROM (
  SELECT lane_id, array_agg(row) AS rows FROM batches_email WHERE batch_id = %(batch)s AND status = {sending}
  GROUP BY lane_id
) stray
WHERE l.job_id = %(job)s AND l.lease_until IS NULL AND l.id = stray.lane_id

-- name: START_OVER
-- Hand the list out from its first row again. Only while no lane of the job is leased.
WITH emptied AS (
  UPDATE batches_lane SET range_end_row = range_after_row WHERE job_id = %(job)s
)
UPDATE batches_emailjob SET handed_out_to_row = 0 WHERE id = %(job)s

-- name: ADD_MARKS
-- Note how far each job is that is being sent, unless it has a mark that is young for the time that it has taken.
-- The index of the jobs without an end finds them, and the key of the marks finds the last one of each.
INSERT INTO batches_progressmark (job_id, at, sent_count, failed_count, unknown_count)
SELECT j.id, clock_timestamp(), sum(l.sent_count + l.resent_count), sum(l.failed_count), sum(l.unknown_count)
FROM batches_emailjob j JOIN batches_lane l ON l.job_id = j.id
WHERE j.completed_at IS NULL AND j.started_at IS NOT NULL AND j.status = {processing_job}
  AND NOT EXISTS (
    SELECT FROM batches_progressmark m WHERE m.job_id = j.id
      AND m.at > clock_timestamp() - greatest(interval '5 seconds', (clock_timestamp() - j.started_at) / 100))
GROUP BY j.id
ON CONFLICT DO NOTHING

-- name: ADD_LAST_MARK
-- Note how far a job was at its end. A job that was too short for any other mark needs none.
INSERT INTO batches_progressmark (job_id, at, sent_count, failed_count, unknown_count)
SELECT l.job_id, clock_timestamp(), sum(l.sent_count + l.resent_count), sum(l.failed_count), sum(l.unknown_count)
FROM batches_lane l
WHERE l.job_id = %(job)s AND EXISTS (SELECT FROM batches_progressmark m WHERE m.job_id = %(job)s)
GROUP BY l.job_id
ON CONFLICT DO NOTHING

-- name: BEGIN_RETENTION
-- Begin the purge of this day, unless one began less than a period ago. One row changed: it is the caller's.
INSERT INTO batches_retention AS r (id, began_at) VALUES (1, clock_timestamp())
ON CONFLICT (id) DO UPDATE SET began_at = excluded.began_at, ended_at = NULL
WHERE r.began_at <= clock_timestamp() - %(seconds)s * interval '1 second'
