"""Let old entries of the audit be deleted on purpose, and only those.

Two conditions of the trigger: the transaction said what it is about, and the entry is older than 30 days. Where the
roles of docs/operations.md are set up, the application's role lacks the privilege as well. See decision 32.
"""

from django.db import migrations

ALLOW_RETENTION = """
CREATE OR REPLACE FUNCTION batches_refuse_audit_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF TG_OP = 'DELETE' AND current_setting('batches.audit_retention', true) = 'on'
     AND OLD.at < statement_timestamp() - interval '30 days' THEN
    RETURN OLD;
  END IF;
  RAISE EXCEPTION 'The audit only grows: % is refused.', TG_OP USING ERRCODE = 'insufficient_privilege';
END $$;
"""
REFUSE_ALL = """
CREATE OR REPLACE FUNCTION batches_refuse_audit_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  RAISE EXCEPTION 'The audit only grows: % is refused.', TG_OP USING ERRCODE = 'insufficient_privilege';
END $$;
"""


class Migration(migrations.Migration):
    dependencies = [("batches", "0016_bind_tokens")]

    operations = [migrations.RunSQL(ALLOW_RETENTION, REFUSE_ALL)]
