-- The statements that say what came back of a batch.

-- name: COUNT_RETURNS
-- Count the emails of a batch that came back, by the class and the domain of the newest report about each.
SELECT newest.return_class, newest.domain, count(*)
FROM (
  SELECT DISTINCT ON (r.email_id) r.return_class, r.domain
  FROM batches_return r WHERE r.batch_id = %(batch)s AND r.kind = %(kind)s
  ORDER BY r.email_id, r.id DESC
) newest
GROUP BY newest.return_class, newest.domain

-- name: COUNT_REFUSALS
-- Count what receivers refused of a sender's mail of the last days for the sender's sake or the content's, by domain.
SELECT r.return_class, r.domain, count(DISTINCT r.email_id)
FROM batches_return r
WHERE r.kind = %(kind)s AND r.return_class = ANY(%(classes)s)
  AND r.received_at > clock_timestamp() - %(days)s * interval '1 day'
  AND r.batch_id = ANY(ARRAY(
    SELECT j.batch_id FROM batches_emailjob j
    WHERE j.sender_id = %(sender)s AND j.created_at > clock_timestamp() - 2 * %(days)s * interval '1 day'))
GROUP BY r.return_class, r.domain
