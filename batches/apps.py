"""The application's configuration: registers the system checks, and watches sign-ins and accounts."""

from django.apps import AppConfig


class BatchesConfig(AppConfig):
    name = "batches"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        from batches import checks  # noqa: F401  (the import registers the checks; it needs the models)
        from batches.accounts import records, settings_check  # noqa: F401  (the same)
        from batches.jobs.inactive_users import watch_accounts

        records.connect()
        watch_accounts()
