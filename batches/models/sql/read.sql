-- The statements that only read: the counts of batches.

-- name: COUNT_BATCH
-- Count the emails of a batch by status, and those that one job's lanes sent and failed. These are the true counts.
-- Sent are the emails that any job has sent. The unfinished ones are still to be sent, also those that were sent before.
SELECT count(*) FILTER (WHERE e.status = {sent} OR {was_sent}),
       count(*) FILTER (WHERE e.status = {failed} AND NOT {was_sent}),
       count(*) FILTER (WHERE e.status = {unknown} AND NOT {was_sent}),
       count(*) FILTER (WHERE e.status = {suppressed} AND NOT {was_sent}),
       count(*) FILTER (WHERE e.status = {cancelled} AND NOT {was_sent}),
       count(*) FILTER (WHERE e.status IN ({pending}, {sending})),
       count(*) FILTER (WHERE e.status IN ({pending}, {sending}) AND {was_sent}),
       count(*) FILTER (WHERE e.status = {sent} AND e.lane_id = ANY(%(lanes)s)),
       count(*) FILTER (WHERE e.status = {failed} AND e.lane_id = ANY(%(lanes)s))
FROM batches_email e WHERE e.batch_id = %(batch)s

-- name: SNAPSHOTS
-- Read the snapshots of batches: the recorded counts of each, plus what the lanes of its live job have counted since.
-- The sequence is the database's clock in microseconds: a snapshot with a lower one is older.
-- The last column names the batch that has the workers while this one has not begun. It is empty if that is another
-- user's: who watches this batch may not see that one.
-- The column before the rate counts the emails that a replay of all is still to send and an earlier job has sent: at its
-- start all that are counted as sent, and then those that its lanes have not done yet.
SELECT b.id, b.status, b.total_count,
       b.sent_count + coalesce(sum(l.sent_count), 0), b.failed_count + coalesce(sum(l.failed_count), 0),
       b.unknown_count + coalesce(sum(l.unknown_count), 0), b.suppressed_count + coalesce(sum(l.suppressed_count), 0),
       b.cancelled_count,
       CASE WHEN j.kind = {all_kind} THEN b.sent_count - coalesce(sum(l.resent_count), 0) ELSE 0 END,
       coalesce(sum(l.rate_per_second) FILTER (WHERE l.lease_until > clock_timestamp()), 0),
       (extract(epoch FROM clock_timestamp()) * 1000000)::bigint, b.created_by_id,
       coalesce(j.last_error, ''), j.relay_retry_at, j.scheduled_at,
       EXISTS (SELECT FROM batches_approval a WHERE a.batch_id = b.id AND a.status = {waiting_approval}),
       b.returned_count, b.complained_count, j.canary_until,
       CASE WHEN b.status = {pending_batch} AND j.started_at IS NULL THEN (
         SELECT CASE WHEN other.created_by_id IS NOT DISTINCT FROM b.created_by_id
                THEN coalesce(nullif(other.name, ''), other.filename) ELSE '' END
         FROM batches_emailjob o JOIN batches_batch other ON other.id = o.batch_id
         WHERE o.completed_at IS NULL AND o.status = {processing_job} AND o.batch_id <> b.id
         ORDER BY o.started_at LIMIT 1) END
FROM batches_batch b
LEFT JOIN batches_emailjob j ON j.batch_id = b.id AND j.completed_at IS NULL
LEFT JOIN batches_lane l ON l.job_id = j.id
WHERE b.id = ANY(%(batches)s)
GROUP BY b.id, j.id

-- name: WAITING_JOBS
-- Read what each live job has still to send, and since when it may: for estimates of when a batch will be done.
-- What its lanes have reserved of quotas is a part of what it has still to send.
SELECT j.id, j.batch_id, j.status, j.priority, j.sender_id, j.scheduled_at, greatest(j.relay_retry_at, j.canary_until),
       greatest(0, j.total_count - coalesce(sum(
           l.sent_count + l.failed_count + l.unknown_count + l.suppressed_count + l.resent_count), 0))::bigint,
       coalesce(sum(l.rate_per_second) FILTER (WHERE l.lease_until > clock_timestamp()), 0),
       coalesce(sum((SELECT sum(v.count) FROM batches_reservation v WHERE v.lane_id = l.id)), 0)::bigint
FROM batches_emailjob j LEFT JOIN batches_lane l ON l.job_id = j.id
WHERE j.completed_at IS NULL
GROUP BY j.id

-- name: RELAYS_NOW
-- Read the limits of the relays, each with the senders it may carry, its pauses, and the used part of its quotas.
-- Times are in seconds from now. The reservations are only those that WAITING_JOBS does not count, of ended jobs.
SELECT r.name, r.is_enabled, r.weight, r."order", r.rate_per_second, r.rate_per_minute, r.opens_at, r.closes_at, r.weekdays,
       ARRAY(SELECT s.sender_id FROM batches_relay_senders s WHERE s.relay_id = r.id),
       ARRAY(SELECT s.sender_id FROM batches_sender_relays s WHERE s.relay_id = r.id),
       ARRAY(SELECT DISTINCT s.sender_id FROM batches_sender_relays s),
       (SELECT coalesce(json_agg(json_build_array(p.sender_id, p.meaning,
               extract(epoch FROM p.until - clock_timestamp()))), '[]')
        FROM batches_relaypause p WHERE p.relay_id = r.id AND p.until > clock_timestamp()),
       (SELECT coalesce(json_agg(json_build_array(q.amount, q.period_seconds, ARRAY(
               SELECT json_build_array(extract(epoch FROM u.at - clock_timestamp()), u.count)
               FROM batches_relayuse u
               WHERE u.quota_id = q.id AND u.at > clock_timestamp() - q.period_seconds * interval '1 second'
               ORDER BY u.at))), '[]')
        FROM batches_relayquota q WHERE q.relay_id = r.id),
       (SELECT coalesce(sum(v.count), 0)
        FROM batches_reservation v JOIN batches_lane l ON l.id = v.lane_id JOIN batches_emailjob j ON j.id = l.job_id
        WHERE v.relay_id = r.id AND j.completed_at IS NOT NULL)
FROM batches_relay r
ORDER BY r."order", r.name

-- name: RECENT_SPEED
-- Read the fastest mean speed of the last hundred jobs, of those long enough to tell. Waits and pauses make others slow.
SELECT max(sent_count / greatest(extract(epoch FROM completed_at - started_at), 0.001))::float8
FROM (SELECT sent_count, started_at, completed_at FROM batches_emailjob ORDER BY id DESC LIMIT 100) AS recent
WHERE completed_at IS NOT NULL AND started_at IS NOT NULL AND sent_count >= %(sent_min)s

-- name: ATTEMPTS
-- Read the attempts at some emails, each with its job: by email, and then the oldest first.
SELECT a.email_id, l.job_id, j.kind, a.at, a.outcome, a.code, a.reply, a.relay
FROM batches_attempt a JOIN batches_lane l ON l.id = a.lane_id JOIN batches_emailjob j ON j.id = l.job_id
WHERE a.email_id = ANY(%(emails)s) ORDER BY a.email_id, a.at, a.number

-- name: HISTORIES
-- Say the attempts at some emails in words, the oldest first, and find the last attempt and the last one that was sent.
-- In SQL, because an export tells of a million attempts. The labels of the kinds and outcomes are JSON objects.
SELECT a.email_id, string_agg(
         to_char(a.at AT TIME ZONE %(zone)s, %(time)s) || ' job ' || j.id
         || ' (' || (%(kinds)s::jsonb ->> j.kind) || '): ' || concat_ws(', ', %(outcomes)s::jsonb ->> a.outcome,
           nullif(concat_ws(' ', a.code, nullif(a.reply, '')), ''), 'through ' || nullif(a.relay, '')),
         %(separator)s ORDER BY a.at, a.number),
       (array_agg(j.id ORDER BY a.at DESC, a.number DESC))[1],
       (array_agg(j.id ORDER BY a.at DESC, a.number DESC) FILTER (WHERE a.outcome = {sent_outcome}))[1],
       (array_agg(a.code ORDER BY a.at DESC, a.number DESC) FILTER (WHERE a.outcome = {sent_outcome}))[1],
       (array_agg(a.reply ORDER BY a.at DESC, a.number DESC) FILTER (WHERE a.outcome = {sent_outcome}))[1]
FROM batches_attempt a JOIN batches_lane l ON l.id = a.lane_id JOIN batches_emailjob j ON j.id = l.job_id
WHERE a.email_id = ANY(%(emails)s) GROUP BY a.email_id

-- name: CLAIMED_ROWS
-- Read the batch and the row of each email that a lane of a live job has claimed: at most a window for each lane.
SELECT j.batch_id, claimed.row
FROM batches_emailjob j JOIN batches_lane l ON l.job_id = j.id CROSS JOIN unnest(l.claimed_rows) AS claimed(row)
WHERE j.completed_at IS NULL

-- name: ROWS_WITH_ATTEMPTS
-- Read how many attempts at the emails of a batch were not sent, up to a limit, and the rows of those of their emails
-- that have a status. Above the limit no email is looked at, and the rows are not to be used.
-- By attempt_not_sent. The arrays keep the planner from joining whole tables, whatever its statistics say.
WITH attempt AS MATERIALIZED (
  SELECT a.email_id
  FROM batches_emailjob j JOIN batches_lane l ON l.job_id = j.id CROSS JOIN LATERAL (
    SELECT email_id FROM batches_attempt
    WHERE lane_id = l.id AND outcome <> {sent_outcome} LIMIT %(limit)s + 1
  ) a
  WHERE j.batch_id = %(batch)s LIMIT %(limit)s + 1
), found AS (
  SELECT count(*) AS count FROM attempt
)
SELECT found.count, ARRAY(
  SELECT e.row FROM batches_email e
  WHERE e.id = ANY(ARRAY(SELECT email_id FROM attempt WHERE found.count <= %(limit)s))
    AND e.batch_id = %(batch)s AND e.status = %(status)s AND NOT {was_sent})
FROM found

-- name: SOME_FAILED
-- Read some failed emails of a batch, in the order of their ids: at most a limit of each lane's attempts that were not
-- sent is looked at, so the failures that are found may be fewer than there are.
-- By attempt_not_sent, with an array for the same reason as above.
SELECT e.id, e.address, e.code, e.reply FROM batches_email e
WHERE e.id = ANY(ARRAY(
    SELECT a.email_id
    FROM batches_emailjob j JOIN batches_lane l ON l.job_id = j.id CROSS JOIN LATERAL (
      SELECT email_id FROM batches_attempt
      WHERE lane_id = l.id AND outcome <> {sent_outcome} ORDER BY email_id LIMIT %(limit)s
    ) a
    WHERE j.batch_id = %(batch)s))
  AND e.batch_id = %(batch)s AND e.status = {failed} AND NOT {was_sent}
ORDER BY e.id LIMIT %(limit)s

-- name: OPEN_ROWS
-- Read where the emails of a batch are that a live job has not ended: no untried row is before the first, the second
-- are the claimed rows, and the third are the rows of those that wait for a retry, one more than a limit at most.
-- No row: the batch has no live job.
-- The retries come by email_retry.
SELECT least(j.handed_out_to_row + 1,
             (SELECT min(l.range_after_row) + 1 FROM batches_lane l
              WHERE l.job_id = j.id AND l.range_after_row < l.range_end_row),
             (SELECT min(row) FROM batches_lane l CROSS JOIN unnest(l.claimed_rows) AS row WHERE l.job_id = j.id)),
       ARRAY(SELECT unnest(l.claimed_rows) FROM batches_lane l WHERE l.job_id = j.id),
       ARRAY(SELECT e.row FROM batches_email e
             WHERE e.batch_id = j.batch_id AND e.next_attempt_at IS NOT NULL
             ORDER BY e.next_attempt_at, e.id LIMIT %(limit)s + 1)
FROM batches_emailjob j WHERE j.batch_id = %(batch)s AND j.completed_at IS NULL

-- name: WALK_INDEXES
-- Let the planner only walk indexes until the transaction ends, as a lane's session does. After an import, and while
-- a batch is sent, its statistics are old, and it would read and sort a million rows to show fifty.
SELECT set_config('enable_seqscan', 'off', true), set_config('enable_bitmapscan', 'off', true),
       set_config('enable_sort', 'off', true), set_config('enable_hashjoin', 'off', true),
       set_config('enable_mergejoin', 'off', true), set_config('jit', 'off', true)

-- name: WALK_NO_MORE
-- End WALK_INDEXES.
SET LOCAL enable_seqscan TO DEFAULT; SET LOCAL enable_bitmapscan TO DEFAULT; SET LOCAL enable_sort TO DEFAULT;
SET LOCAL enable_hashjoin TO DEFAULT; SET LOCAL enable_mergejoin TO DEFAULT; SET LOCAL jit TO DEFAULT
