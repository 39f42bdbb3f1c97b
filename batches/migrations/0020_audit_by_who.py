"""Index the audit by the names of actors, by doors, and by refusals, for the page of the auditors."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("batches", "0019_audit_retention")]

    operations = [
        migrations.AddIndex(
            model_name="auditentry", index=models.Index(fields=["actor_name", "-id"], name="audit_of_name")
        ),
        migrations.AddIndex(model_name="auditentry", index=models.Index(fields=["via", "-id"], name="audit_of_door")),
        migrations.AddIndex(
            model_name="auditentry",
            index=models.Index(condition=models.Q(("is_refused", True)), fields=["-id"], name="audit_refused"),
        ),
    ]
