"""Every address of the site."""

from allauth.account.decorators import secure_admin_login
from django.conf import settings
from django.contrib import admin
from django.urls import include, path
from django.views.generic import RedirectView

from batches.admin.reply_meaning import show_reply_meaning

# The admin has no sign-in and no change of a password of its own: both are limited in one place.
admin.site.login = secure_admin_login(admin.site.login)  # type: ignore[method-assign]

local_pages = [path("inbox/", include("emailbatch.localstack.urls"))] if settings.IS_LOCAL_INBOX else []

urlpatterns = [
    *local_pages,
    path("admin/password_change/", admin.site.admin_view(RedirectView.as_view(pattern_name="password"))),
    path("admin/reply-meaning/", admin.site.admin_view(show_reply_meaning), name="reply_meaning"),
    path("admin/", admin.site.urls),
    path("", include("batches.urls")),
]
