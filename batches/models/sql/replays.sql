-- The statements of a replay of all: no email that was sent before loses its record (docs/decisions/0030).

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
