"""The catalogue's pages of the Django admin."""

from __future__ import annotations

from django.apps import apps
from django.contrib import admin

from tests.catalogue.acts import Shown, choose_action, save_nothing


def _admin_pages() -> list[Shown]:
    models = [model for model in apps.get_models() if admin.site.is_registered(model)]
    lists = {model._meta.label_lower.replace(".", "/"): model._meta.model_name for model in models}
    return [
        Shown(name="admin", address="/admin/", who="admin"),
        *(Shown(name=f"admin-list-{name}", address=f"/admin/{path}/", who="admin") for path, name in lists.items()),
        *(
            Shown(name=f"admin-one-{name}", address=f"/admin/batches/{name}/{{{key}}}/change/", who="admin")
            for name, key in ADMIN_RECORDS.items()
        ),
        Shown(name="admin-attempts", address="/admin/batches/emailjob/{job}/attempts/", who="admin"),
        Shown(name="admin-attempts-all", address="/admin/batches/emailjob/{job}/attempts/?all=1", who="admin"),
        Shown(name="admin-one-user", address="/admin/auth/user/{user}/change/", who="admin"),
        Shown(name="admin-add-user", address="/admin/auth/user/add/", who="admin"),
        Shown(name="admin-add-group", address="/admin/auth/group/add/", who="admin"),
        Shown(name="admin-emails-search", address="/admin/batches/email/?q=person1", who="admin"),
        Shown(name="admin-emails-search-none", address="/admin/batches/email/?q=no-such-person", who="admin"),
        Shown(name="admin-batches-search", address="/admin/batches/batch/?q=e", who="admin"),
        Shown(name="admin-history", address="/admin/batches/batch/{mixed}/history/", who="admin"),
        Shown(name="admin-user-password", address="/admin/auth/user/{user}/password/", who="admin"),
        Shown(name="admin-user-delete", address="/admin/auth/user/{locked}/delete/", who="admin"),
        *(
            Shown(name=f"admin-add-{name}", address=f"/admin/batches/{name}/add/", who="admin")
            for name in ("emailtemplate", "sender", "topic", "apitoken", "webhook")
        ),
        Shown(name="admin-refused", address="/admin/batches/sender/add/", who="admin", act=save_nothing),
        Shown(name="admin-replay", address="/admin/batches/batch/", who="admin", act=choose_action("replay_all")),
        Shown(name="admin-reply-meaning", address="/admin/reply-meaning/", who="admin"),
        Shown(name="admin-delete", address="/admin/batches/batch/", who="admin", act=choose_action("delete_selected")),
        Shown(name="admin-send-email", address="/admin/auth/user/", who="admin", act=choose_action("send_email")),
    ]


ADMIN_RECORDS = {
    "batch": "mixed",
    "email": "email",
    "emailjob": "job",
    "emailtemplate": "template_id",
    "sender": "sender",
    "topic": "topic",
    "relay": "relay",
    "webhook": "webhook",
}
"""The records of which the admin's page is shown, with the id in the world."""

ADMIN_PAGES = _admin_pages()
