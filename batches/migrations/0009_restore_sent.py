from typing import Any

from django.db import migrations

# Earlier releases set every email of a batch back to pending when a replay of all began. The Attempts kept that the
# email was sent. The last Attempt that was sent gives an ended row its record again. In a live replay of all, the row
# learns that it was sent before. Those releases also recorded an email in doubt as cancelled if its job was cancelled. It
# becomes unknown, or a replay of the unsent would send it a second time.

RESTORE_ENDED = """
WITH replayed AS (
  SELECT DISTINCT j.batch_id FROM batches_emailjob j
  WHERE j.kind = 'all'
    AND NOT EXISTS (
      SELECT FROM batches_emailjob o WHERE o.batch_id = j.batch_id AND o.kind = 'all' AND o.completed_at IS NULL)
), restored AS (
  UPDATE batches_email e
  SET status = 'sent', code = a.code, reply = a.reply, lane_id = a.lane_id, attempts = a.number, completed_at = a.at,
      next_attempt_at = NULL, sent_before_at = a.at
  FROM replayed r JOIN batches_email o ON o.batch_id = r.batch_id CROSS JOIN LATERAL (
    SELECT * FROM batches_attempt WHERE email_id = o.id AND outcome = 'sent' ORDER BY at DESC LIMIT 1
  ) a
  WHERE o.status IN ('failed', 'unknown', 'cancelled') AND e.id = o.id
    AND NOT EXISTS (
      SELECT FROM batches_lane l JOIN batches_emailjob j ON j.id = l.job_id
      WHERE l.id = o.lane_id AND j.completed_at IS NULL)
  RETURNING e.batch_id, o.status AS was
), gained AS (
  SELECT batch_id, count(*) AS sent, count(*) FILTER (WHERE was = 'failed') AS failed,
         count(*) FILTER (WHERE was = 'unknown') AS unknown, count(*) FILTER (WHERE was = 'cancelled') AS cancelled
  FROM restored GROUP BY batch_id
)
UPDATE batches_batch b
SET sent_count = b.sent_count + g.sent, failed_count = greatest(0, b.failed_count - g.failed),
    unknown_count = greatest(0, b.unknown_count - g.unknown),
    cancelled_count = greatest(0, b.cancelled_count - g.cancelled),
    status = CASE WHEN b.status = 'failed' THEN 'completed' ELSE b.status END
FROM gained g WHERE b.id = g.batch_id
"""

KEEP_DOUBT = """
WITH kept AS (
  UPDATE batches_email e
  SET status = 'unknown', code = a.code, reply = a.reply, lane_id = a.lane_id, attempts = a.number
  FROM batches_email o CROSS JOIN LATERAL (
    SELECT * FROM batches_attempt WHERE email_id = o.id AND outcome IN ('unknown', 'interrupted')
    ORDER BY at DESC LIMIT 1
  ) a
  WHERE o.status = 'cancelled' AND e.id = o.id
  RETURNING e.batch_id
), gained AS (
  SELECT batch_id, count(*) AS unknown FROM kept GROUP BY batch_id
)
UPDATE batches_batch b
SET unknown_count = b.unknown_count + g.unknown, cancelled_count = greatest(0, b.cancelled_count - g.unknown)
FROM gained g WHERE b.id = g.batch_id
"""

NOTE_LIVE = """
UPDATE batches_email e SET sent_before_at = a.at
FROM batches_emailjob j JOIN batches_email o ON o.batch_id = j.batch_id CROSS JOIN LATERAL (
  SELECT a.at FROM batches_attempt a JOIN batches_lane l ON l.id = a.lane_id
  WHERE a.email_id = o.id AND a.outcome = 'sent' AND l.job_id <> j.id ORDER BY a.at DESC LIMIT 1
) a
WHERE j.kind = 'all' AND j.completed_at IS NULL AND e.id = o.id
"""

COUNT_LIVE = """
UPDATE batches_batch b SET sent_count = (
  SELECT count(*) FROM batches_email e WHERE e.batch_id = b.id AND e.sent_before_at IS NOT NULL)
FROM batches_emailjob j WHERE j.batch_id = b.id AND j.kind = 'all' AND j.completed_at IS NULL
"""

COUNT_LIVE_LANES = """
UPDATE batches_lane l
SET (sent_count, failed_count, unknown_count, resent_count) = (
  SELECT count(*) FILTER (WHERE e.status = 'sent' AND e.sent_before_at IS NULL),
         count(*) FILTER (WHERE e.status = 'failed' AND e.sent_before_at IS NULL),
         count(*) FILTER (WHERE e.status = 'unknown' AND e.sent_before_at IS NULL),
         count(*) FILTER (WHERE e.status IN ('sent', 'failed', 'unknown') AND e.sent_before_at IS NOT NULL)
  FROM batches_email e WHERE e.batch_id = j.batch_id AND e.lane_id = l.id)
FROM batches_emailjob j WHERE j.id = l.job_id AND j.kind = 'all' AND j.completed_at IS NULL
"""


def restore_sent(apps: Any, schema_editor: Any) -> None:
    for statement in (RESTORE_ENDED, KEEP_DOUBT, NOTE_LIVE, COUNT_LIVE, COUNT_LIVE_LANES):
        schema_editor.execute(statement)


class Migration(migrations.Migration):

    dependencies = [
        ('batches', '0008_sent_before'),
    ]

    operations = [
        migrations.RunPython(restore_sent, migrations.RunPython.noop),
    ]
