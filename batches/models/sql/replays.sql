-- The statements that keep a record when a job ends without a new one (docs/decisions/0029): an email that was sent
-- stays sent, and an email in doubt stays in doubt.

-- name: ADD_MISSING_ATTEMPTS
-- Give each sent email of a batch that has no Attempt of its sending one, before a replay overwrites its row.
-- Each sent email has one, unless somebody deleted it. The number 0 is free, because attempts are counted from 1.
INSERT INTO batches_attempt (email_id, lane_id, number, outcome, code, reply, relay, at)
SELECT e.id, coalesce(e.lane_id, first.id), 0, {sent_outcome}, e.code, e.reply, '', coalesce(e.completed_at, now())
FROM batches_email e CROSS JOIN (
  SELECT min(l.id) AS id FROM batches_lane l JOIN batches_emailjob j ON j.id = l.job_id WHERE j.batch_id = %(batch)s
) first
WHERE e.batch_id = %(batch)s AND e.status = {sent}
  AND NOT EXISTS (SELECT FROM batches_attempt a WHERE a.email_id = e.id AND a.outcome = {sent_outcome})
ON CONFLICT DO NOTHING

-- name: RESTORE_SENT
-- At the end of a replay of all, make the emails sent again that it did not send and an earlier job had sent.
-- Each gets the reply and the lane of its last Attempt that was sent, and the time at which it was sent.
UPDATE batches_email e
SET status = {sent}, code = a.code, reply = coalesce(a.reply, ''), lane_id = coalesce(a.lane_id, e.lane_id),
    attempts = coalesce(a.number, e.attempts), completed_at = e.sent_before_at, next_attempt_at = NULL, relay_id = NULL
FROM batches_email o LEFT JOIN LATERAL (
  SELECT * FROM batches_attempt WHERE email_id = o.id AND outcome = {sent_outcome} ORDER BY at DESC LIMIT 1
) a ON true
WHERE o.batch_id = %(batch)s AND o.sent_before_at IS NOT NULL AND o.status <> {sent}
  AND e.id = o.id

-- name: KEEP_DOUBT
-- End the cancelled emails as unknown of which nobody can know whether they were sent: an attempt was in doubt, in this
-- job or in an earlier one. Otherwise a replay of the unsent would send a second copy without asking.
-- In a first send only the emails that waited for a retry can have an Attempt.
UPDATE batches_email e
SET status = {unknown}, code = a.code, reply = a.reply, lane_id = a.lane_id, attempts = a.number, relay_id = NULL
FROM batches_email o CROSS JOIN LATERAL (
  SELECT * FROM batches_attempt WHERE email_id = o.id AND outcome IN ({unknown_outcome}, {interrupted_outcome})
  ORDER BY at DESC LIMIT 1
) a
WHERE o.batch_id = %(batch)s AND o.status = {cancelled} AND o.sent_before_at IS NULL
  AND (%(is_replay)s OR o.attempts > 0) AND e.id = o.id
