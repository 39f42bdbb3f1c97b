"""Make the groups, let the users of today send as before, and write down the templates of today as first versions.

The audit refuses UPDATE and DELETE by a trigger, whatever role the application has. Roles are one more wall: see
docs/operations.md.
"""

from django.db import migrations

from batches.permissions import GROUPS, NAMES

REFUSE_CHANGES = """
CREATE FUNCTION batches_refuse_audit_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  RAISE EXCEPTION 'The audit only grows: % is refused.', TG_OP USING ERRCODE = 'insufficient_privilege';
END $$;
CREATE TRIGGER audit_only_grows BEFORE UPDATE OR DELETE ON batches_auditentry
  FOR EACH ROW EXECUTE FUNCTION batches_refuse_audit_change();
"""
ALLOW_CHANGES = """
DROP TRIGGER audit_only_grows ON batches_auditentry;
DROP FUNCTION batches_refuse_audit_change();
"""


def make_groups(apps, schema_editor):
    content_type, _ = apps.get_model("contenttypes", "ContentType").objects.get_or_create(
        app_label="batches", model="batch"
    )
    # Django makes the permissions after all migrations. Then it finds these.
    made = {
        permission: apps.get_model("auth", "Permission").objects.get_or_create(
            content_type=content_type, codename=permission.codename, defaults={"name": name}
        )[0]
        for permission, name in NAMES.items()
    }
    for name, permissions in GROUPS.items():
        group, _ = apps.get_model("auth", "Group").objects.get_or_create(name=name)
        group.permissions.add(*(made[permission] for permission in permissions))
    senders = apps.get_model("auth", "Group").objects.get(name="Senders")
    user_model = apps.get_model("auth", "User")
    senders.user_set.add(*user_model.objects.filter(is_active=True).values_list("pk", flat=True))


def write_first_versions(apps, schema_editor):
    template_model, version_model = apps.get_model("batches", "EmailTemplate"), apps.get_model("batches", "TemplateVersion")
    version_model.objects.bulk_create(
        version_model(
            template=template, number=1, name=template.name, subject=template.subject, html=template.html, text=template.text
        )
        for template in template_model.objects.all()
    )


class Migration(migrations.Migration):
    dependencies = [
        ("batches", "0012_people"),
        ("auth", "0012_alter_user_first_name_max_length"),
        ("contenttypes", "0002_remove_content_type_name"),
    ]

    operations = [
        migrations.RunPython(make_groups, migrations.RunPython.noop),
        migrations.RunPython(write_first_versions, migrations.RunPython.noop),
        migrations.RunSQL(REFUSE_CHANGES, ALLOW_CHANGES),
    ]
