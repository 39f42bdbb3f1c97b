-- The statements of what comes back.

-- name: FIND_NEWEST
-- Find the newest email that was sent to each of some addresses, in some batches.
-- No index has the digests, because each import would pay for it. So this reads those batches, once for many events.
SELECT DISTINCT ON (e.address_digest) e.address_digest, e.id
FROM batches_email e
WHERE e.batch_id = ANY(%(batches)s::bigint[])
  AND e.address_digest = ANY(%(digests)s::bytea[])
  AND (e.status IN ({sent}, {unknown}) OR e.sent_before_at IS NOT NULL)
ORDER BY e.address_digest, e.id DESC

-- name: COUNT_FULL_DAYS
-- Count the days of the last 30 on which the mailbox of each of some addresses was full.
-- A report may say when that was. It is believed as far as it can be: not in the future, and not before the 30 days.
SELECT r.address_digest, count(DISTINCT (
    CASE WHEN r.happened_at BETWEEN r.received_at - %(days)s * interval '1 day' AND r.received_at
         THEN r.happened_at ELSE r.received_at END AT TIME ZONE 'UTC')::date)
FROM batches_return r
WHERE r.address_digest = ANY(%(digests)s::bytea[]) AND r.return_class = %(full)s
  AND r.received_at > clock_timestamp() - %(days)s * interval '1 day'
GROUP BY r.address_digest

-- name: REFUSED_EMAILS
-- Read the emails that failed in a job by a refusal for good.
SELECT e.id, e.row, e.address, e.address_digest, e.code, e.reply, e.completed_at
FROM batches_email e JOIN batches_lane l ON l.id = e.lane_id
WHERE e.batch_id = %(batch)s AND l.job_id = %(job)s AND e.status = {failed} AND e.code BETWEEN 500 AND 599
  AND e.address <> ''
ORDER BY e.row LIMIT %(limit)s
