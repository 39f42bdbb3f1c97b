"""django-rq's dashboard, for superusers only: it can empty a queue, which staff need not do."""

from __future__ import annotations

from collections.abc import Callable
from functools import update_wrapper
from typing import Any

from django.contrib import admin
from django.contrib.auth.views import redirect_to_login
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest
from django.http.response import HttpResponseBase
from django.urls import URLPattern, reverse
from django_rq.admin import QueueAdmin
from django_rq.models import Dashboard

View = Callable[..., HttpResponseBase]

admin.site.unregister(Dashboard)


@admin.register(Dashboard)
class DashboardAdmin(QueueAdmin):
    def has_module_permission(self, request: HttpRequest) -> bool:
        return is_superuser(request)

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return is_superuser(request)

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return is_superuser(request)

    def get_urls(self) -> list[URLPattern]:
        """Check each view: django-rq's own views check only ``is_staff``."""
        patterns: list[URLPattern] = super().get_urls()  # type: ignore[no-untyped-call]  # django-rq's is
        for pattern in patterns:
            pattern.callback = superusers_only(pattern.callback)
        return patterns


def is_superuser(request: HttpRequest) -> bool:
    return request.user.is_active and request.user.is_superuser


def superusers_only(view: View) -> View:
    def checked(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        if not request.user.is_authenticated:
            return redirect_to_login(request.get_full_path(), reverse("admin:login"))
        if not is_superuser(request):
            raise PermissionDenied
        return view(request, *args, **kwargs)

    return update_wrapper(checked, view)
