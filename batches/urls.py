"""The addresses of the pages and of the API."""

from django.urls import URLPattern, URLResolver, include, path

from batches.api import api
from batches.api.health import metrics
from batches.web.hooks import take_in_hook

urlpatterns: list[URLPattern | URLResolver] = [
    path("api/", api.urls),
    path("metrics", metrics, name="metrics"),
    path("hooks/<slug:provider>/tracking/", take_in_hook, name="hook"),
    path("accounts/", include("batches.accounts.urls")),
    path("", include("batches.web.urls")),
]
