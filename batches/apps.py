"""The application's configuration: registers the system checks, and what is written down of sign-ins."""

from django.apps import AppConfig


class BatchesConfig(AppConfig):
    name = "batches"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        from batches import checks  # noqa: F401  (the import registers the checks; it needs the models)
        from batches.accounts import records, settings_check  # noqa: F401  (the same)

        records.connect()
