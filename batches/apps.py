"""The application's configuration: registers the system checks, and watches sign-ins, accounts and the admin."""

from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _


class BatchesConfig(AppConfig):
    name = "batches"
    verbose_name = _("Batches")
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        # Not at the top, because all need the models. The imports of checks register them.
        from batches import audit_signals, checks, deployment_checks  # noqa: F401
        from batches.accounts import records, settings_check  # noqa: F401
        from batches.jobs.inactive_users import watch_accounts

        audit_signals.connect()
        records.connect()
        watch_accounts()
