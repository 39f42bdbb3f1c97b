-- The statements about relays that accept no mail now, and about jobs that wait or are paused because of it.

-- name: PAUSE_RELAY
-- Note that a relay accepts no mail now, from anybody or from one sender. Answers for how many seconds, and with the failures in a row.
-- No row: there is no such Relay. Or the relay only has too many connections, and another lane is sending: then the
-- relay accepts mail, and nothing is noted.
-- Each failure in a row doubles the wait, up to the cap, unless the relay said how long to wait. Lanes that fail while
-- another lane's pause still runs do not double it again. A pause that ended long ago is not in a row with this one.
-- No more than 20 doublings are computed: power() of more would overflow.
INSERT INTO batches_relaypause AS p (relay_id, sender_id, meaning, sentence, until, failure_count)
SELECT r.id, (SELECT id FROM batches_sender WHERE id = %(sender)s::bigint), %(meaning)s, %(sentence)s,
       clock_timestamp() + interval '1 second' * coalesce(%(wait_seconds)s::float8, %(base_seconds)s::float8), 1
FROM batches_relay r
WHERE r.id = %(relay)s
  AND NOT (%(has_too_many_connections)s AND EXISTS (
    SELECT FROM batches_lane l
    JOIN batches_emailjob j ON j.id = l.job_id
    WHERE j.completed_at IS NULL AND l.id <> %(lane)s AND l.lease_until > clock_timestamp() AND l.rate_per_second > 0))
ON CONFLICT ON CONSTRAINT pause_once DO UPDATE
SET meaning = excluded.meaning, sentence = excluded.sentence,
    failure_count = CASE
      WHEN p.until > clock_timestamp() THEN p.failure_count
      WHEN p.until < clock_timestamp() - interval '1 second' * %(forget_seconds)s::float8 THEN 1
      ELSE p.failure_count + 1 END,
    until = CASE
      WHEN p.until > clock_timestamp() THEN greatest(
        p.until, clock_timestamp() + interval '1 second' * coalesce(%(wait_seconds)s::float8, 0))
      WHEN p.until < clock_timestamp() - interval '1 second' * %(forget_seconds)s::float8 THEN excluded.until
      ELSE clock_timestamp() + interval '1 second' * coalesce(
        %(wait_seconds)s::float8,
        least(%(cap_seconds)s::float8, %(base_seconds)s::float8 * power(2, least(p.failure_count, 20)))) END
RETURNING greatest(0, extract(epoch FROM until - clock_timestamp()))::float8, failure_count

-- name: NOTE_SUCCESS
-- Note that the relays accepted messages: the job has no relay error any more, and pauses that are over are deleted.
-- A pause that still runs was noted by another lane after this success, or is about a later reply.
WITH ended AS (
  DELETE FROM batches_relaypause p
  WHERE p.relay_id = ANY(%(relays)s::bigint[]) AND p.until <= clock_timestamp()
    AND coalesce(p.sender_id = %(sender)s::bigint, p.sender_id IS NULL)
)
UPDATE batches_emailjob SET last_error = '', relay_failure_count = 0, relay_retry_at = NULL
WHERE id = %(job)s AND status = {processing_job} AND (relay_failure_count > 0 OR last_error <> '')

-- name: REPORT_WAIT
-- Note on a job why none of its mail is sent, and when its lanes start again. The earlier of two times counts.
UPDATE batches_emailjob
SET last_error = %(sentence)s,
    relay_failure_count = CASE WHEN relay_retry_at > clock_timestamp() THEN relay_failure_count
                               ELSE relay_failure_count + 1 END,
    relay_retry_at = least(
      CASE WHEN relay_retry_at > clock_timestamp() THEN relay_retry_at END,
      clock_timestamp() + interval '1 second' * %(seconds)s::float8)
WHERE id = %(job)s AND completed_at IS NULL AND status IN ({queued_job}, {processing_job})

-- name: PAUSE_JOB
-- Pause a job in which the relay refuses everybody alike, and keep the refusals. Nobody is charged.
-- The refusal is empty if the job is paused before a relay was asked.
-- Resuming accepts them: the next time they are the recipients' own. The locks are taken in the order job, batch.
WITH paused AS (
  UPDATE batches_emailjob
  SET status = {paused_job}, last_error = %(sentence)s, relay_retry_at = NULL, relay_failure_count = 0,
      accepted_refusal = concat_ws(E'\n', nullif(accepted_refusal, ''), nullif(%(refusal)s::text, ''))
  WHERE id = %(job)s AND completed_at IS NULL AND status IN ({queued_job}, {processing_job})
  RETURNING batch_id
)
UPDATE batches_batch b SET status = {paused_batch} FROM paused WHERE b.id = paused.batch_id

-- name: HAS_JOB_SENT
-- Whether a lane of the job has sent anything, in this run or in an earlier one.
SELECT EXISTS (SELECT FROM batches_lane WHERE job_id = %(job)s AND sent_count > 0)

-- name: COUNT_FAILED_ALIKE
-- How many emails of the job's batch failed with one reply, and how many are not pending. It reads them all: a lane asks
-- once, after a row has ended the child that renders messages.
SELECT count(*) FILTER (WHERE e.status = {failed} AND e.reply = %(reply)s) AS failed_count,
       count(*) FILTER (WHERE e.status <> {pending}) AS begun_count
FROM batches_email e WHERE e.batch_id = %(batch)s

-- name: NOTE_CLOSING
-- Note that a relay closes connections after refusals.
UPDATE batches_relay SET closes_after_refusals = true WHERE id = %(relay)s AND NOT closes_after_refusals
