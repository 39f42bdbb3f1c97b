-- The statements that only read: the counts of batches.

-- name: COUNT_BATCH
-- Count the emails of a batch by status, and those that one job's lanes sent and failed. These are the true counts.
SELECT count(*) FILTER (WHERE status = {sent}), count(*) FILTER (WHERE status = {failed}),
       count(*) FILTER (WHERE status = {unknown}), count(*) FILTER (WHERE status = {suppressed}),
       count(*) FILTER (WHERE status = {cancelled}),
       count(*) FILTER (WHERE status IN ({pending}, {sending})),
       count(*) FILTER (WHERE status = {sent} AND lane_id = ANY(%(lanes)s)),
       count(*) FILTER (WHERE status = {failed} AND lane_id = ANY(%(lanes)s))
FROM batches_email WHERE batch_id = %(batch)s

-- name: SNAPSHOTS
-- Read the snapshots of batches: the recorded counts of each, plus what the lanes of its live job have counted since.
-- The last but one column is the database's clock in microseconds: a snapshot with a lower one is older.
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

-- name: CLAIMED_ROWS
-- Read the batch and the row of each email that a lane of a live job has claimed: at most a window for each lane.
SELECT j.batch_id, claimed.row
FROM batches_emailjob j JOIN batches_lane l ON l.job_id = j.id CROSS JOIN unnest(l.claimed_rows) AS claimed(row)
WHERE j.completed_at IS NULL
