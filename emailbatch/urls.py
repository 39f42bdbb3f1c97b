"""Every address of the site."""

from django.conf import settings
from django.contrib import admin
from django.urls import include, path

local_pages = [path("inbox/", include("emailbatch.localstack.urls"))] if settings.IS_LOCAL_INBOX else []

urlpatterns = [
    *local_pages,
    path("admin/", admin.site.urls),
    path("", include("batches.urls")),
]
