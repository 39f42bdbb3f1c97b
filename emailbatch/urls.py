"""Every address of the site."""

from django.conf import settings
from django.contrib import admin
from django.urls import include, path

from batches.admin.reply_meaning import show_reply_meaning
from batches.web.login import ThrottledLogin

local_pages = [path("inbox/", include("emailbatch.localstack.urls"))] if settings.IS_LOCAL_INBOX else []

urlpatterns = [
    *local_pages,
    path("admin/login/", ThrottledLogin.as_view()),  # before the admin's own page, which does not limit guesses
    path("admin/reply-meaning/", admin.site.admin_view(show_reply_meaning), name="reply_meaning"),
    path("admin/", admin.site.urls),
    path("", include("batches.urls")),
]
