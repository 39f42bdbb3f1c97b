"""The URLs of the pages."""

from django.urls import path

from batches.web import audit, batches, letters, list_forms, person, review, steering, templates, tokens, uploads

urlpatterns = [
    path("", uploads.home, name="home"),
    path("batches/", batches.show_batches, name="batches"),
    path("batches/<int:batch_id>/", batches.show_batch, name="batch"),
    path("batches/<int:batch_id>/review/", review.show_review, name="review"),
    path("batches/<int:batch_id>/review/choose/", review.choose, name="review-choose"),
    path("batches/<int:batch_id>/review/message/", review.show_message, name="review-message"),
    path("batches/<int:batch_id>/review/letters/", letters.letters, name="review-letters"),
    path("batches/<int:batch_id>/review/test/", review.send_test, name="review-test"),
    path("batches/<int:batch_id>/review/send/", review.send, name="review-send"),
    path("batches/<int:batch_id>/review/fields/", list_forms.rename_fields, name="review-fields"),
    path("batches/<int:batch_id>/review/reread/", list_forms.reread, name="review-reread"),
    path("batches/<int:batch_id>/review/add/", list_forms.add_rows, name="review-add"),
    path("batches/<int:batch_id>/review/discard/", list_forms.discard, name="review-discard"),
    path("batches/<int:batch_id>/<slug:action>/", steering.steer_batch, name="batch-steer"),
    path("person/", person.show_person, name="person"),
    path("person/export/", person.export, name="person-export"),
    path("person/erase/", person.erase, name="person-erase"),
    path("templates/", templates.show_templates, name="templates"),
    path("templates/new/", templates.create_template, name="template-new"),
    path("templates/preview/", templates.preview_template, name="template-preview"),
    path("templates/notes/", templates.show_notes, name="template-notes"),
    path("templates/<slug:key>/edit/", templates.edit_template, name="template"),
    path("templates/<slug:key>/default/", templates.choose_default, name="template-default"),
    path("templates/<slug:key>/delete/", templates.delete_template, name="template-delete"),
    path("audit/", audit.show_audit, name="audit"),
    path("accounts/tokens/", tokens.show_tokens, name="tokens"),
    path("accounts/tokens/<int:token_id>/revoke/", tokens.revoke_token, name="token-revoke"),
]
