"""The addresses of the inbox pages, below /inbox/."""

from django.urls import path

from emailbatch.localstack import views

urlpatterns = [
    path("", views.list_messages, name="inbox"),
    path("<int:message_id>/", views.show_message, name="inbox-message"),
    path("delete/", views.delete_all, name="inbox-delete-all"),
    path("read/", views.mark_all_read, name="inbox-read-all"),
    path("<int:message_id>/unread/", views.mark_as_unread, name="inbox-unread"),
    path("<int:message_id>/delete/", views.delete_message, name="inbox-delete"),
    path("<int:message_id>/raw/", views.download_message, name="inbox-raw"),
]
