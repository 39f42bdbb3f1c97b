"""What Django's debug page hides of the settings: the addresses too, because they contain passwords."""

from __future__ import annotations

import re

from django.views.debug import SafeExceptionReporterFilter


class SettingsFilter(SafeExceptionReporterFilter):
    """Hides the addresses of services, besides keys, tokens and passwords, which Django hides by their names."""

    hidden_settings = re.compile(
        f"{SafeExceptionReporterFilter.hidden_settings.pattern}|URL|DATABASES|QUEUES|LAYERS", re.IGNORECASE
    )
