"""Add the permission to manage the suppression list, and give it to the group Auditors."""

from __future__ import annotations

from django.apps.registry import Apps
from django.db import migrations, models
from django.db.backends.base.schema import BaseDatabaseSchemaEditor

from batches.models.audit import AuditAction
from batches.permissions import NAMES, Permission


def give_permission(apps: Apps, _: BaseDatabaseSchemaEditor) -> None:
    """Give it to the auditors, who erase persons, if the site still has that group."""
    content_type, _made = apps.get_model("contenttypes", "ContentType").objects.get_or_create(
        app_label="batches", model="batch"
    )
    permission, _made = apps.get_model("auth", "Permission").objects.get_or_create(
        content_type=content_type,
        codename=Permission.MANAGE_SUPPRESSIONS.codename,
        defaults={"name": NAMES[Permission.MANAGE_SUPPRESSIONS]},
    )
    for group in apps.get_model("auth", "Group").objects.filter(name="Auditors"):
        group.permissions.add(permission)


class Migration(migrations.Migration):
    dependencies = [
        ("batches", "0031_audit_of_objections"),
        ("auth", "0012_alter_user_first_name_max_length"),
        ("contenttypes", "0002_remove_content_type_name"),
    ]

    operations = [
        migrations.AlterModelOptions(
            name="batch",
            options={
                "permissions": [(permission.codename, name) for permission, name in NAMES.items()],
                "verbose_name_plural": "batches",
            },
        ),
        migrations.AlterField(
            model_name="auditentry",
            name="action",
            field=models.CharField(choices=AuditAction.choices, max_length=40),
        ),
        migrations.RunPython(give_permission, migrations.RunPython.noop),
    ]
