-- The statements of webhooks. ``%(name)s`` is a placeholder of psycopg; the loader is batches/models/sql.

-- name: EMIT
-- Write down events of one kind for each Webhook that wants them. The payload is as Standard Webhooks recommends it.
-- The lock waits for a Webhook that is being deleted: otherwise the act of the caller would fail at its commit.
INSERT INTO batches_webhookdelivery
  (webhook_id, event, message_id, payload, attempts, next_attempt_at, error)
SELECT w.id, %(event)s, {message_id},
       jsonb_build_object('type', %(event)s::text, 'timestamp', %(timestamp)s::text, 'data', d.data::jsonb),
       0, clock_timestamp(), ''
FROM unnest(%(data)s::text[]) AS d(data) CROSS JOIN batches_webhook w
WHERE w.is_enabled AND %(event)s = ANY(w.events)
FOR KEY SHARE OF w

-- name: EMIT_FAILED
-- Write down the emails of a batch that the lanes of one job have failed, for each Webhook that wants to know. An email
-- that an earlier job sent stays sent, so it is none of them.
INSERT INTO batches_webhookdelivery
  (webhook_id, event, message_id, payload, attempts, next_attempt_at, error)
SELECT w.id, %(event)s, {message_id},
       jsonb_build_object(
         'type', %(event)s::text, 'timestamp', %(timestamp)s::text,
         'data', jsonb_build_object(
           'batchId', e.batch_id, 'jobId', %(job)s::bigint, 'row', e.row, 'line', coalesce(e.line, e.row),
           'address', e.address, 'attempts', e.attempts, 'code', e.code, 'reply', left(e.reply, %(text_max)s),
           'failedAt', to_char(e.completed_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"'))),
       0, clock_timestamp(), ''
FROM batches_email e CROSS JOIN batches_webhook w
WHERE e.batch_id = %(batch)s AND e.status = {failed} AND e.lane_id = ANY(%(lanes)s::bigint[]) AND NOT {was_sent}
  AND w.is_enabled AND %(event)s = ANY(w.events)
ORDER BY e.row
FOR KEY SHARE OF w

-- name: message_id
-- A header webhook-id that is never used again.
'msg_' || replace(gen_random_uuid()::text, '-', '')
