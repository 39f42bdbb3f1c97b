-- The statements of jobs that stop because too much failed or came back, and of the canary.

-- name: STOP_JOB
-- Pause a job because too large a share of its batch failed or came back. If a person has accepted a share that was too
-- large already, only a multiple of that one is too large.
-- Its canary has done what it is for, so anyone who resumes the job sends to everybody. The locks are taken in the order
-- job, batch.
WITH stopped AS (
  UPDATE batches_emailjob
  SET status = {paused_job}, last_error = %(sentence)s, relay_retry_at = NULL, relay_failure_count = 0,
      canary_to_row = NULL, canary_until = NULL
  WHERE id = %(job)s AND completed_at IS NULL AND status IN ({queued_job}, {processing_job})
    AND (accepted_share <= %(stop_above)s::float8 OR %(factor)s::float8 * accepted_share < %(share)s::float8)
  RETURNING batch_id
)
UPDATE batches_batch b SET status = {paused_batch} FROM stopped WHERE b.id = stopped.batch_id

-- name: BEGIN_CANARY_WAITS
-- Let each job wait whose canary is handed out and not in flight any more. A retry that is left does not delay the wait.
-- An email without an attempt does: it was taken back, because no relay accepted mail. What was not sent can't come back.
UPDATE batches_emailjob j SET canary_until = clock_timestamp() + %(seconds)s::float8 * interval '1 second'
WHERE j.completed_at IS NULL AND j.status IN ({queued_job}, {processing_job})
  AND j.canary_to_row IS NOT NULL AND j.canary_until IS NULL
  AND {first_untried} > j.canary_to_row
  AND (SELECT e.row FROM batches_email e
       WHERE e.batch_id = j.batch_id AND e.row <= j.canary_to_row AND e.status = {pending} AND e.attempts = 0
       ORDER BY e.row LIMIT 1) IS NULL
  AND NOT EXISTS (SELECT FROM batches_lane l WHERE l.job_id = j.id
                  AND (l.lease_until IS NOT NULL OR {first_in_range} IS NOT NULL))
RETURNING j.batch_id

-- name: END_CANARIES
-- Let each job go on whose wait after the canary is over.
UPDATE batches_emailjob SET canary_to_row = NULL, canary_until = NULL
WHERE completed_at IS NULL AND status IN ({queued_job}, {processing_job}) AND canary_until <= clock_timestamp()
RETURNING batch_id
