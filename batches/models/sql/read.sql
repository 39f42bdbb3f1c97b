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
       count(*) FILTER (WHERE e.status = {sent} AND e.lane_id = ANY(%(lanes)s)),
       count(*) FILTER (WHERE e.status = {failed} AND e.lane_id = ANY(%(lanes)s))
FROM batches_email e WHERE e.batch_id = %(batch)s

-- name: SNAPSHOTS
-- Read the snapshots of batches: the recorded counts of each, plus what the lanes of its live job have counted since.
-- The last but one column is the database's clock in microseconds: a snapshot with a lower one is older.
-- The column before the rate counts the emails that a replay of all is still to send and an earlier job has sent: at its
-- start all that are counted as sent, and then those that its lanes have not done yet.
SELECT b.id, b.status, b.total_count,
       b.sent_count + coalesce(sum(l.sent_count), 0), b.failed_count + coalesce(sum(l.failed_count), 0),
       b.unknown_count + coalesce(sum(l.unknown_count), 0), b.suppressed_count, b.cancelled_count,
       CASE WHEN j.kind = {all_kind} THEN b.sent_count - coalesce(sum(l.resent_count), 0) ELSE 0 END,
       coalesce(sum(l.rate_per_second) FILTER (WHERE l.lease_until > clock_timestamp()), 0),
       (extract(epoch FROM clock_timestamp()) * 1000000)::bigint, b.created_by_id
FROM batches_batch b
LEFT JOIN batches_emailjob j ON j.batch_id = b.id AND j.completed_at IS NULL
LEFT JOIN batches_lane l ON l.job_id = j.id
WHERE b.id = ANY(%(batches)s)
GROUP BY b.id, j.kind

-- name: CLAIMED_ROWS
-- Read the batch and the row of each email that a lane of a live job has claimed: at most a window for each lane.
SELECT j.batch_id, claimed.row
FROM batches_emailjob j JOIN batches_lane l ON l.job_id = j.id CROSS JOIN unnest(l.claimed_rows) AS claimed(row)
WHERE j.completed_at IS NULL
