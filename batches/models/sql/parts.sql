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
-- The emails in flight in one lane. `attempts_made` counts the present attempt. `carrier_id` is the relay of it.
(
  SELECT e.*, e.attempts + (e.status = {pending})::int AS attempts_made,
         {carrier} AS carrier_id
  FROM batches_lane l JOIN batches_email e ON e.batch_id = %(batch)s AND e.row = ANY(l.claimed_rows)
  WHERE l.id = %(lane)s AND {is_in_flight})

-- name: digest_of_news
-- What the link to unsubscribe is made of. Reading it costs less than computing it. Null for service mail.
CASE WHEN %(is_news)s::boolean THEN e.address_digest END

-- name: renewed
-- What each cycle writes of the lease.
lease_until = clock_timestamp() + %(lease_seconds)s * interval '1 second',
      heartbeat_at = clock_timestamp(), rate_per_second = %(rate)s

-- name: counts
-- The lane's counters are set, because its holder knows them: writing them twice counts once.
sent_count = %(sent)s, failed_count = %(failed)s, unknown_count = %(unknown)s, retried_count = %(retried)s,
      suppressed_count = %(suppressed)s

-- name: counts_of_replay
-- In a replay of all, the lane's counters are added to. The holder does not know which of its emails were sent before,
-- and those have a counter of their own. A decision counts only while its email is in flight, so writing it twice
-- counts once here too.
(sent_count, failed_count, unknown_count, retried_count, suppressed_count, resent_count) = (
  SELECT l.sent_count + count(*) FILTER (WHERE d.status = {sent} AND NOT {was_sent}),
         l.failed_count + count(*) FILTER (WHERE d.status = {failed} AND NOT {was_sent}),
         l.unknown_count + count(*) FILTER (WHERE d.status = {unknown} AND NOT {was_sent}),
         l.retried_count + count(*) FILTER (WHERE d.status = {pending} AND d.outcome <> ''),
         l.suppressed_count + count(*) FILTER (WHERE d.status = {suppressed} AND NOT {was_sent}),
         l.resent_count + count(*) FILTER (WHERE d.status <> {pending} AND {was_sent})
  FROM decided d JOIN batches_email e ON e.id = d.email_id
  WHERE {is_in_flight})

-- name: decision
-- What a decision d writes of an email, except its pin.
status = d.status, code = nullif(d.code, 0), reply = d.reply, lane_id = l.id,
      attempts = e.attempts + (d.outcome <> '')::int - (e.status = {sending})::int,
      next_attempt_at = CASE WHEN d.status = {pending}
                        THEN clock_timestamp() + d.delay_seconds * interval '1 second' END,
      completed_at = CASE WHEN d.status <> {pending} THEN clock_timestamp() END

-- name: carrier
-- The relay that carries an email in flight in the lane.
coalesce(l.relay_id, l.claimed_relays[array_position(l.claimed_rows, e.row)], e.relay_id)

-- name: slice_end
-- The end of the present slice of the quota q. A use counts from there, so never from before the relay's reply.
to_timestamp(ceil(extract(epoch FROM clock_timestamp())::float8 / (q.period_seconds / 500.0::float8))
             * (q.period_seconds / 500.0::float8))

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

-- name: first_carried_retry
-- When the first retry of the batch is due that no relay pause keeps from being carried.
(
    SELECT e.next_attempt_at FROM batches_email e
    WHERE e.batch_id = j.batch_id AND e.next_attempt_at IS NOT NULL AND e.status = {pending}
      AND (e.relay_id IS NULL OR NOT EXISTS (
          SELECT FROM batches_relaypause p
          WHERE p.relay_id = e.relay_id AND p.until > clock_timestamp()
            AND coalesce(p.sender_id = j.sender_id, p.sender_id IS NULL)))
    ORDER BY e.next_attempt_at LIMIT 1)

-- name: first_in_range
-- The first row of the lane's row range that the lane has not claimed.
(
    SELECT e.row FROM batches_email e
    WHERE e.batch_id = j.batch_id AND e.row > l.range_after_row AND e.row <= l.range_end_row AND {is_untried}
    ORDER BY e.row LIMIT 1)

-- name: suppression_version
-- The version of the suppression list in the snapshot of the statement. Null: nobody was ever suppressed.
(SELECT version FROM batches_suppressionlist WHERE id = 1)
