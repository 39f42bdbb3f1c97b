"""What each person gets from each address: the table that ``test_routes`` walks.

A row is a method, an address and the status for each person, in the order of PEOPLE. An address has its query and a
note after ``#`` at its end. ``{draft}`` and the like are ids that the test fills in; all of these batches are the
sender's. A POST has the body of BODIES, or an empty form.

302 is for a stranger the way to the sign-in. 404 hides what one may not see, and 403 says what one may not do.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from django.urls import URLPattern, URLResolver

PEOPLE = ("stranger", "reader", "sender", "other", "approver", "editor", "auditor", "clerk", "boss")
"""Nobody; a user without permissions; the owner of the batches; another member of Senders; members of Approvers, of
Template editors and of Auditors; a user with ``is_staff`` and no permission; a superuser."""

PAGES = """
#                                             stranger reader sender other approver editor auditor clerk boss
GET  /                                             302    200    200   200      200    200     200   200  200
POST /                                             302    403    422   422      403    403     403   403  422
GET  /help/                                        302    200    200   200      200    200     200   200  200
GET  /checklist/                                   302    403    403   403      403    403     403   403  200
GET  /checklist/backup/                            302    403    403   403      403    403     403   403  302
POST /checklist/backup/                            302    403    403   403      403    403     403   403  302
GET  /language/                                    302    302    302   302      302    302     302   302  302
POST /language/                                    302    302    302   302      302    302     302   302  302
GET  /words/de-1.js                                200    200    200   200      200    200     200   200  200
GET  /batches/                                     302    200    200   200      200    200     200   200  200
GET  /batches/{live}/                              302    404    200   404      200    404     200   404  200
GET  /batches/{draft}/name/                        302    404    302   404      302    404     302   404  302
POST /batches/{draft}/name/                        302    404    302   404      403    404     403   404  302
GET  /batches/{live}/recipients/2/                 302    404    200   404      200    404     200   404  200
GET  /batches/{live}/recipients/2/message/         302    404    200   404      200    404     200   404  200
GET  /batches/{ended}/failures/{failure}/          302    404    200   404      200    404     200   404  200
GET  /batches/{ended}/failures/{failure}/send/     302    302    302   302      302    302     302   302  302
POST /batches/{ended}/failures/{failure}/send/     302    404    302   404      403    404     403   404  302
GET  /batches/{draft}/send-at-once/                302    404    200   404      403    404     403   404  200
GET  /batches/{draft}/review/                      302    404    200   404      200    404     200   404  200
GET  /batches/{draft}/review/message/              302    404    200   404      200    404     200   404  200
GET  /batches/{draft}/review/letters/              302    404    200   404      200    404     200   404  200
POST /batches/{draft}/review/letters/              302    404    302   404      403    404     403   404  302
POST /batches/{draft}/review/choose/               302    404    302   404      302    404     302   404  302
POST /batches/{draft}/review/test/                 302    404    422   404      403    404     403   404  422
POST /batches/{draft}/review/send/                 302    404    422   404      403    404     403   404  422
POST /batches/{draft}/review/fields/               302    404    302   404      403    404     403   404  302
POST /batches/{draft}/review/reread/               302    404    302   404      403    404     403   404  302
POST /batches/{draft}/review/add/                  302    404    400   404      403    404     403   404  400
POST /batches/{draft}/review/discard/              302    404    302   404      403    404     403   404  302
POST /batches/{live}/pause/                        302    404    302   404      403    404     403   404  302
POST /batches/{paused}/resume/                     302    404    302   404      403    404     403   404  302
POST /batches/{live}/cancel/                       302    404    302   404      403    404     403   404  302
POST /batches/{ended}/replay-failed/               302    404    302   404      403    404     403   404  302
POST /batches/{ended}/replay-unsent/               302    404    302   404      403    404     403   404  302
POST /batches/{ended}/replay-unknown/              302    404    302   404      403    404     403   404  302
GET  /batches/{ended}/copy/                        302    302    302   302      302    302     302   302  302
POST /batches/{ended}/copy/                        302    404    302   404      403    404     403   404  302
POST /batches/{scheduled}/time/                    302    404    302   404      403    404     403   404  302
POST /batches/{scheduled}/send-now/                302    404    302   404      403    404     403   404  302
POST /batches/{scheduled}/draft/                   302    404    302   404      403    404     403   404  302
GET  /approvals/                                   302    403    403   403      200    403     403   403  200
GET  /batches/{asked}/approval/                    302    404    200   404      200    404     200   404  200
GET  /batches/{asked}/approval/message/            302    404    200   404      200    404     200   404  200
POST /batches/{asked}/approval/approve/            302    404    403   404      302    404     403   404  302
POST /batches/{asked}/approval/refuse/             302    404    403   404      302    404     403   404  302
POST /batches/{asked}/approval/withdraw/           302    404    302   404      403    404     403   404  302
GET  /templates/                                   302    200    200   200      200    200     200   200  200
GET  /templates/new/                               302    200    200   200      200    200     200   200  200
POST /templates/new/                               302    422    422   422      422    422     422   422  422
GET  /templates/preview/?key=welcome_email         302    200    200   200      200    200     200   200  200
POST /templates/preview/                           302    200    200   200      200    200     200   200  200
POST /templates/notes/                             302    200    200   200      200    200     200   200  200
GET  /templates/frame/                             302    403    403   403      403    200     403   403  200
POST /templates/frame/                             302    403    403   403      403    302     403   403  302
GET  /templates/frame/preview/                     302    200    200   200      200    200     200   200  200
GET  /templates/picture/                           302    302    302   302      302    302     302   302  302
POST /templates/picture/                           302    201    201   201      201    201     201   201  201
GET  /pictures/{picture}.png                       200    200    200   200      200    200     200   200  200
GET  /templates/welcome_email/edit/                302    200    200   200      200    200     200   200  200
POST /templates/welcome_email/edit/                302    403    403   403      403    422     403   403  422
POST /templates/welcome_email/default/             302    403    403   403      403    302     403   403  302
POST /templates/welcome_email/delete/              302    403    403   403      403    302     403   403  302
GET  /templates/welcome_email/versions/            302    200    200   200      200    200     200   200  200
GET  /templates/welcome_email/versions/1/          302    200    200   200      200    200     200   200  200
POST /templates/welcome_email/versions/1/restore/  302    403    403   403      403    302     403   403  302
GET  /audit/                                       302    403    403   403      403    403     200   403  200
GET  /users/                                       302    403    403   403      403    403     403   403  200
POST /users/                                       302    403    403   403      403    403     403   403  422
GET  /users/{user}/                                302    403    403   403      403    403     403   403  200
GET  /users/{user}/invite/                         302    403    403   403      403    403     403   403  302
POST /users/{user}/invite/                         302    403    403   403      403    403     403   403  302
GET  /users/{user}/groups/                         302    403    403   403      403    403     403   403  302
POST /users/{user}/groups/                         302    403    403   403      403    403     403   403  302
GET  /users/{user}/lock/                           302    403    403   403      403    403     403   403  302
POST /users/{user}/lock/                           302    403    403   403      403    403     403   403  302
GET  /users/{user}/unlock/                         302    403    403   403      403    403     403   403  302
POST /users/{user}/unlock/                         302    403    403   403      403    403     403   403  302
GET  /users/{user}/factors/                        302    403    403   403      403    403     403   403  302
POST /users/{user}/factors/                        302    403    403   403      403    403     403   403  302
GET  /users/{user}/promote/                        302    403    403   403      403    403     403   403  302
POST /users/{user}/promote/                        302    403    403   403      403    403     403   403  302
GET  /users/{user}/demote/                         302    403    403   403      403    403     403   403  302
POST /users/{user}/demote/                         302    403    403   403      403    403     403   403  302
GET  /join/{invited}/{invitation}/                 302    302    302   302      302    302     302   302  302
POST /join/{invited}/{invitation}/                 302    302    302   302      302    302     302   302  302
GET  /join/{invited}/wrong-token/                  200    200    200   200      200    200     200   200  200
POST /join/{invited}/wrong-token/                  200    200    200   200      200    200     200   200  200
GET  /people/?q=person                             302    200    200   200      200    200     200   200  200
GET  /people/{person}/                             302    404    200   404      200    404     200   404  200
GET  /person/                                      302    403    403   403      403    403     200   403  200
POST /person/                                      302    403    403   403      403    403     422   403  422
POST /person/export/                               302    403    403   403      403    403     422   403  422
POST /person/erase/                                302    403    403   403      403    403     422   403  422
GET  /do-not-send/                                 302    403    403   403      403    403     200   403  200
POST /do-not-send/find/                            302    403    403   403      403    403     422   403  422
POST /do-not-send/add/                             302    403    403   403      403    403     422   403  422
POST /do-not-send/import/                          302    403    403   403      403    403     422   403  422
POST /do-not-send/1/lift/                          302    403    403   403      403    403     302   403  302
GET  /inbox/                                       302    200    200   200      200    200     200   200  200
GET  /inbox/1/                                     302    404    404   404      404    404     404   404  404
GET  /inbox/1/raw/                                 302    404    404   404      404    404     404   404  404
GET  /inbox/1/unread/                              302    302    302   302      302    302     302   302  302
POST /inbox/1/unread/                              302    302    302   302      302    302     302   302  302
GET  /inbox/read/                                  302    302    302   302      302    302     302   302  302
POST /inbox/read/                                  302    302    302   302      302    302     302   302  302
GET  /inbox/1/delete/                              302    302    302   302      302    302     302   302  302
POST /inbox/1/delete/                              302    302    302   302      302    302     302   302  302
GET  /inbox/delete/                                302    302    302   302      302    302     302   302  302
POST /inbox/delete/                                302    302    302   302      302    302     302   302  302
GET  /metrics                                      401    403    403   403      200    403     200   403  200
GET  /hooks/postmark/tracking/                     405    405    405   405      405    405     405   405  405
POST /hooks/postmark/tracking/                     404    404    404   404      404    404     404   404  404
GET  /u/{link}                                     200    200    200   200      200    200     200   200  200
POST /u/{link}                                     200    200    200   200      200    200     200   200  200
"""

API = """
#                                             stranger reader sender other approver editor auditor clerk boss
GET  /api/health                                   200    200    200   200      200    200     200   200  200
POST /api/upload                                   401    403    202   202      403    403     403   403  202
POST /api/upload#sent                              401    403    202   202      403    403     403   403  202
GET  /api/upload/progress?key=x                    401    200    200   200      200    200     200   200  200
POST /api/emails/send-bulk                         401    403    202   202      403    403     403   403  202
POST /api/emails/send-bulk#group                   401    403    403   403      403    403     403   403  202
GET  /api/batches                                  401    200    200   200      200    200     200   200  200
GET  /api/batches/{live}                           401    404    200   404      200    404     200   404  200
GET  /api/batches/{live}/emails                    401    404    200   404      200    404     200   404  200
GET  /api/batches/{draft}/review                   401    404    200   404      200    404     200   404  200
POST /api/batches/{draft}/send                     401    404    202   404      403    404     403   404  202
GET  /api/batches/{ended}/failures                 401    404    200   404      200    404     200   404  200
POST /api/batches/{ended}/replay                   401    404    202   404      403    404     403   404  202
POST /api/batches/{live}/pause                     401    404    200   404      403    404     403   404  200
POST /api/batches/{paused}/resume                  401    404    200   404      403    404     403   404  200
POST /api/batches/{live}/cancel                    401    404    200   404      403    404     403   404  200
POST /api/batches/{draft}/fields                   401    404    200   404      403    404     403   404  200
POST /api/batches/{draft}/reread                   401    404    200   404      403    404     403   404  200
POST /api/batches/{draft}/rows                     401    404    200   404      403    404     403   404  200
POST /api/batches/{draft}/discard                  401    404    204   404      403    404     403   404  204
GET  /api/batches/{draft}/letters                  401    404    404   404      404    404     404   404  404
POST /api/batches/{draft}/letters                  401    404    202   404      403    404     403   404  202
GET  /api/jobs/{job}                               401    404    200   404      200    404     200   404  200
GET  /api/people?q=person                          401    200    200   200      200    200     200   200  200
GET  /api/people/{person}/emails                   401    404    200   404      200    404     200   404  200
GET  /api/docs                                     302    200    200   200      200    200     200   200  200
GET  /api/openapi.json                             401    200    200   200      200    200     200   200  200
GET  /api/                                         404    404    404   404      404    404     404   404  404
GET  /api/senders                                  401    200    200   200      200    200     200   200  200
GET  /api/topics                                   401    200    200   200      200    200     200   200  200
GET  /api/templates                                401    200    200   200      200    200     200   200  200
GET  /api/approvals                                401    403    403   403      200    403     403   403  200
GET  /api/batches/{asked}/approval                 401    404    200   404      200    404     200   404  200
POST /api/batches/{asked}/approve                  401    404    403   404      202    404     403   404  202
POST /api/batches/{asked}/refuse                   401    404    403   404      200    404     403   404  200
POST /api/batches/{asked}/withdraw                 401    404    200   404      403    404     403   404  200
POST /api/templates                                401    201    201   201      201    201     201   201  201
GET  /api/templates/welcome_email                  401    200    200   200      200    200     200   200  200
PUT  /api/templates/welcome_email                  401    403    403   403      403    200     403   403  200
GET  /api/templates/welcome_email/versions         401    200    200   200      200    200     200   200  200
GET  /api/suppressions                             401    403    403   403      403    403     200   403  200
POST /api/suppressions                             401    403    403   403      403    403     200   403  200
POST /api/suppressions/import                      401    403    403   403      403    403     200   403  200
DELETE /api/suppressions                           401    403    403   403      403    403     200   403  200
GET  /api/audit                                    401    403    403   403      403    403     200   403  200
POST /api/templates/welcome_email/preview          401    200    200   200      200    200     200   200  200
POST /api/templates/welcome_email/preview#batch    401    404    200   404      200    404     200   404  200
"""

STREAMS = """
#                                             stranger reader sender other approver editor auditor clerk boss
GET  /api/batches/{live}/stream                    401    404    200   404      200    404     200   404  200
GET  /api/batches/{live}/results.csv               401    404    200   404      200    404     200   404  200
GET  /api/batches/{live}/rejected.csv              401    404    200   404      200    404     200   404  200
GET  /api/batches/{live}/results.xlsx              401    404    200   404      200    404     200   404  200
GET  /api/batches/{live}/rejected.xlsx             401    404    200   404      200    404     200   404  200
GET  /api/audit.csv                                401    403    403   403      403    403     200   403  200
GET  /api/suppressions.csv                         401    403    403   403      403    403     200   403  200
"""
SOCKETS = """
#                                             stranger reader sender other approver editor auditor clerk boss
ws   /ws/batches/                                 4401    200    200   200      200    200     200   200  200
ws   /ws/batches/{live}/                          4401   4404    200  4404      200   4404     200  4404  200
"""
"""200 is an open socket. The other numbers are the codes with which it is closed."""


ACCOUNTS = """
#                                             stranger  others
GET  /accounts/                                    302     302
GET  /accounts/login/                              200     302
GET  /accounts/logout/                             405     405
GET  /accounts/password/                           302     200
GET  /accounts/reauthenticate/                     302     403
GET  /accounts/inactive/                           403     403
GET  /accounts/language/                           302     200
GET  /accounts/tokens/                             302     200
POST /accounts/tokens/1/revoke/                    302     302
GET  /accounts/session/                            401     200
GET  /accounts/sessions/                           302     200
GET  /accounts/connections/                        302     200
GET  /accounts/two-factor/                         302     200
GET  /accounts/two-factor/authenticate/            302     302
GET  /accounts/two-factor/reauthenticate/          302     403
GET  /accounts/two-factor/totp/activate/           302     200
GET  /accounts/two-factor/totp/deactivate/         302     404
GET  /accounts/two-factor/recovery-codes/          302     404
GET  /accounts/two-factor/recovery-codes/generate/ 302     200
GET  /accounts/two-factor/recovery-codes/download/ 302     404
GET  /accounts/two-factor/webauthn/                302     200
GET  /accounts/two-factor/webauthn/add/            302     200
GET  /accounts/two-factor/webauthn/reauthenticate/ 302     403
GET  /accounts/two-factor/webauthn/keys/1/remove/  302     404
GET  /accounts/two-factor/webauthn/keys/1/edit/    302     404
GET  /accounts/two-factor/webauthn/login/          302     302
GET  /accounts/openid/login/                       404     404
GET  /accounts/openid/callback/                    404     404
GET  /accounts/openid/again/                       404     404
GET  /accounts/openid/cancelled/                   302     302
"""
"""The pages of one's own account, which are the same for everybody who is signed in. The people of the table have no
password and no factor, so the pages that ask for one again answer 403."""

ADMIN = """
#                                                     boss
/admin/auth/user/                                      200
/admin/auth/user/add/                                  200
/admin/auth/user/{user}/change/                        200
/admin/auth/user/{user}/delete/                        200
/admin/auth/user/{user}/history/                       200
/admin/auth/user/{user}/password/                      200
/admin/auth/group/                                     200
/admin/auth/group/add/                                 200
/admin/auth/group/{group}/change/                      200
/admin/auth/group/{group}/delete/                      200
/admin/auth/group/{group}/history/                     200
/admin/batches/batch/                                  200
/admin/batches/batch/add/                              403
/admin/batches/batch/{ended}/change/                   200
/admin/batches/batch/{ended}/delete/                   200
/admin/batches/batch/{live}/delete/                    403
/admin/batches/batch/{ended}/history/                  200
/admin/batches/email/                                  200
/admin/batches/email/add/                              403
/admin/batches/email/{email}/change/                   200
/admin/batches/email/{email}/delete/                   403
/admin/batches/emailjob/                               200
/admin/batches/emailjob/add/                           403
/admin/batches/emailjob/{job}/change/                  200
/admin/batches/emailjob/{job}/delete/                  403
/admin/batches/emailjob/{job}/attempts/                200
/admin/batches/emailtemplate/                          200
/admin/batches/emailtemplate/add/                      200
/admin/batches/emailtemplate/{template}/change/        200
/admin/batches/relay/                                  200
/admin/batches/relay/add/                              403
/admin/batches/sender/                                 200
/admin/batches/sender/add/                             200
/admin/batches/auditentry/                             200
/admin/batches/auditentry/add/                         403
/admin/batches/apitoken/                               200
/admin/batches/apitoken/add/                           200
/admin/batches/webhook/                                200
/admin/batches/webhook/add/                            200
/admin/batches/webhookdelivery/                        200
/admin/batches/webhookdelivery/add/                    403
/admin/batches/unknownreport/                          200
/admin/batches/unknownreport/add/                      403
/admin/reply-meaning/                                  200
"""
"""What a superuser gets with GET from the admin. ADMIN_RULE says what the others get, also from what is not listed."""

ADMIN_RULE = {"reader": 302, "clerk": 403}
"""The admin sends everybody to the sign-in who is not staff. Staff without permissions get 403, with GET and POST."""

ADMIN_EXCEPTIONS = {
    "admin/": "the index, which lists only what one may see",
    "admin/login/": "leads to the one sign-in, and answers 403 to those who are signed in and no staff",
    "admin/logout/": "the way out",
    "admin/password_change/": "one's own password",
    "admin/password_change/done/": "the same",
    "admin/jsi18n/": "texts of the admin itself",
    "admin/r/<path:content_type_id>/<path:object_id>/": "404: no model has a page of its own",
    r"admin/(?P<url>.*)$": "404: there is nothing",
    "admin/^(?P<app_label>": "404: the index of an application lists only what one may see",
    "admin/autocomplete/": "405 for POST",
    "admin/django_rq/": "403 for everybody but superusers, staff or not",
}
"""The routes of the admin, by their beginning, with an answer of their own, and why."""

ADMIN_REDIRECTS = "/<path:object_id>/"
"""How a route ends that only leads to ``change/``, which asks for the permission."""


class Row(NamedTuple):
    """One line of a table."""

    method: str
    address: str
    statuses: dict[str, int]
    """By person."""


def read_rows(*tables: str) -> list[Row]:
    """Read the rows of tables with a column for each person."""
    return [
        Row(method, address, dict(zip(PEOPLE, map(int, statuses), strict=True)))
        for method, address, *statuses in _split(*tables)
    ]


def read_account_rows(table: str) -> list[Row]:
    """Read the rows of a table with a column for a stranger and one for all others."""
    return [
        Row(method, address, {**dict.fromkeys(PEOPLE, int(others)), "stranger": int(stranger)})
        for method, address, stranger, others in _split(table)
    ]


def read_admin_rows(table: str) -> list[Row]:
    """Read the rows of the admin. Everybody who is not staff gets the sign-in, and the clerk 403."""
    usual = {**dict.fromkeys(PEOPLE, ADMIN_RULE["reader"]), "clerk": ADMIN_RULE["clerk"]}
    return [Row("GET", address, {**usual, "boss": int(boss)}) for address, boss in _split(table)]


def _split(*tables: str) -> list[list[str]]:
    return [line.split() for table in tables for line in table.splitlines() if line.strip() and line[0] != "#"]


def routes_of(patterns: list[URLPattern | URLResolver], prefix: str = "") -> Iterator[str]:
    """Yield the route of every view, as ``ResolverMatch.route`` has it."""
    for pattern in patterns:
        route = prefix + str(pattern.pattern)
        if isinstance(pattern, URLResolver):
            yield from routes_of(pattern.url_patterns, route)
        else:
            yield route
