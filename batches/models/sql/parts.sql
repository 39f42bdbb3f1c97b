-- The parts that several statements share. A statement names a part in braces.
-- Their aliases: e is batches_email, l is batches_lane, j is batches_emailjob.

-- name: is_untried
-- No attempt at the email has ended in its job. It may be in flight: then its row is among its lane's claimed_rows.
e.status = {pending} AND e.next_attempt_at IS NULL

-- name: is_in_flight
-- The email is claimed, and no decision has been recorded since. Use it only for an email whose row is among the lane's
-- claimed_rows. The claim of a first attempt writes only the lane's row, so the email is still pending. The claim of a
-- retry also sets the email to sending.
({is_untried} OR e.status = {sending} AND e.lane_id = l.id)

-- name: was_sent
-- An earlier job sent the email, and a replay of all has begun since. It counts as sent, whatever its status says.
e.sent_before_at IS NOT NULL

-- name: in_flight_of_lane
-- The emails in flight in one lane. `attempts_made` counts the present attempt.
(
  SELECT e.*, e.attempts + (e.status = {pending})::int AS attempts_made
  FROM batches_lane l JOIN batches_email e ON e.batch_id = %(batch)s AND e.row = ANY(l.claimed_rows)
  WHERE l.id = %(lane)s AND {is_in_flight})

-- The next three are subqueries with an order, and not EXISTS: PostgreSQL may answer EXISTS by reading the table from
-- its start, because the statistics of a batch that is being sent are always old.

-- name: first_untried
-- The first untried row that was not handed out to a lane.
(
    SELECT e.row FROM batches_email e
    WHERE e.batch_id = j.batch_id AND e.row > j.handed_out_to_row AND {is_untried}
    ORDER BY e.row LIMIT 1)

-- name: first_retry
-- When the first retry of the batch is due.
(
    SELECT e.next_attempt_at FROM batches_email e
    WHERE e.batch_id = j.batch_id AND e.next_attempt_at IS NOT NULL AND e.status = {pending}
    ORDER BY e.next_attempt_at LIMIT 1)

-- name: first_in_range
-- The first row of the lane's row range that the lane has not claimed.
(
    SELECT e.row FROM batches_email e
    WHERE e.batch_id = j.batch_id AND e.row > l.range_after_row AND e.row <= l.range_end_row AND {is_untried}
    ORDER BY e.row LIMIT 1)
