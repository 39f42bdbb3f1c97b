import pytest
from django.core.management import call_command

pytestmark = pytest.mark.django_db


def test_no_migration_is_missing_when_models_are_compared() -> None:
    call_command("makemigrations", "--check", "--dry-run", verbosity=0)
