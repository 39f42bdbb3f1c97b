"""Bind each token of an older release to its user's password, so that a change of the password ends it too."""

from django.db import migrations
from django.utils.crypto import salted_hmac

KEY_SALT = "django.contrib.auth.models.AbstractBaseUser.get_session_auth_hash"


def bind(apps, schema_editor):
    for token in apps.get_model("batches", "ApiToken").objects.filter(password_digest="").select_related("user"):
        # As AbstractBaseUser.get_session_auth_hash does, which a migration's model does not have.
        token.password_digest = salted_hmac(KEY_SALT, token.user.password, algorithm="sha256").hexdigest()
        token.save(update_fields=["password_digest"])


class Migration(migrations.Migration):
    dependencies = [("batches", "0014_resumed_by")]

    operations = [migrations.RunPython(bind, migrations.RunPython.noop)]
