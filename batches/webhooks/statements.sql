-- The statements of webhooks. ``%(name)s`` is a placeholder of psycopg; the loader is batches/models/sql.

-- name: EMIT
-- Write down events of one kind for each Webhook that wants them. The payload is as Standard Webhooks recommends it.
INSERT INTO batches_webhookdelivery
  (webhook_id, event, message_id, payload, attempts, next_attempt_at, error)
SELECT w.id, %(event)s, {message_id},
       jsonb_build_object('type', %(event)s::text, 'timestamp', %(timestamp)s::text, 'data', d.data::jsonb),
       0, clock_timestamp(), ''
FROM unnest(%(data)s::text[]) AS d(data) CROSS JOIN batches_webhook w
WHERE w.is_enabled AND %(event)s = ANY(w.events)

-- name: message_id
-- A header webhook-id that is never used again.
'msg_' || replace(gen_random_uuid()::text, '-', '')
