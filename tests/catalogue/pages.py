"""The catalogue: each page in each state, with who looks at it, and what is pressed before one looks."""

from __future__ import annotations

from emailbatch.request_bodies.refusal import PAGE
from tests.catalogue.acts import (
    Shown,
    fill_and_press,
    lose_letter,
    lose_letter_and_sign_in,
    make_token,
    open_details,
    open_operation,
    press,
    sign_in,
    sign_out_and,
    type_and_come_back,
    upload,
    upload_for_ever,
    wait_for,
)

BATCH = "/batches/{%s}/"
RECIPIENTS = {"sent": "mixed", "failed": "mixed", "unknown": "mixed", "returned": "mixed", "pending": "running"}
"""The states of a recipient, each with the batch that has one."""

HOME = [
    Shown(name="sign-in", address="/accounts/login/", who="nobody"),
    Shown(
        name="sign-in-refused",
        address="/accounts/login/",
        who="nobody",
        act=fill_and_press({'[name="username"]': "ines", '[name="password"]': "wrong"}, "Sign in"),
    ),
    Shown(name="sign-in-forgotten", address="/accounts/login/", who="nobody", act=open_details("main details")),
    Shown(name="sign-in-code", address="/accounts/login/", is_alone=True, who="nobody", act=sign_in("phone")),
    Shown(name="signed-out", address="/templates/new/?kind=html", who="approver", is_alone=True, act=lose_letter),
    Shown(
        name="kept-form",
        address="/templates/new/?kind=html",
        who="approver",
        is_alone=True,
        act=lose_letter_and_sign_in,
    ),
    Shown(
        name="home-signed-out",
        address="/",
        is_alone=True,
        act=wait_for("#signed-out", sign_out_and(upload)),
    ),
    Shown(name="home", address="/"),
    Shown(name="home-menu", address="/", who="admin", act=open_details(".drawer")),
    Shown(name="home-paste", address="/", act=open_details("#paste")),
    Shown(name="home-uploading", address="/", act=wait_for("#upload-progress:not([hidden])", upload_for_ever)),
    Shown(name="home-group", address="/", who="admin", act=open_details(".besides details:nth-of-type(2)")),
    Shown(name="send-at-once", address="/batches/{draft}/send-at-once/"),
    Shown(name="help", address="/help/"),
    Shown(name="checklist", address="/checklist/", who="admin"),
    Shown(name="home-administrator", address="/", who="admin"),
    Shown(name="home-reader", address="/", who="newcomer"),
    Shown(name="home-refused", address="/", act=press("Upload")),
    Shown(name="batches", address="/batches/"),
    Shown(name="batches-administrator", address="/batches/", who="admin"),
    Shown(name="batches-none", address="/batches/", who="newcomer"),
    Shown(name="batches-filtered", address="/batches/?q=e&status=completed&since=2020-01-01", who="admin"),
    Shown(name="batches-no-hit", address="/batches/?q=no-such-batch"),
    Shown(name="batches-tests", address="/batches/?tests=only"),
]
"""The pages on which one begins."""

ONE_BATCH = [
    *(
        Shown(name=f"batch-{state}", address=BATCH % state)
        for state in ("draft", "asked", "refused", "scheduled", "queued", "running", "waiting", "paused")
    ),
    *(Shown(name=f"batch-{state}", address=BATCH % state) for state in ("cancelled", "failed", "completed", "mixed")),
    Shown(name="batch-test", address=BATCH % "test"),
    Shown(name="batch-purged", address=BATCH % "purged"),
    Shown(name="batch-administrator", address=BATCH % "mixed", who="admin"),
    Shown(name="batch-rename", address=BATCH % "mixed", act=open_details("details.rename")),
    Shown(
        name="batch-send-again", address=BATCH % "mixed", act=open_details("#progress details.confirm:not([hidden])")
    ),
    Shown(name="batch-message-for", address=f"{BATCH % 'mixed'}?for=person2#message"),
    Shown(name="batch-message-for-nobody", address=f"{BATCH % 'mixed'}?for=no-such-person#message"),
    Shown(name="batch-search", address=f"{BATCH % 'mixed'}?q=person1"),
    Shown(name="batch-search-none", address=f"{BATCH % 'mixed'}?q=no-such-person"),
    Shown(name="batch-print", address=f"{BATCH % 'mixed'}?print=1"),
    Shown(name="batch-tab-failed", address=f"{BATCH % 'mixed'}?status=failed"),
    Shown(name="batch-tab-rejected", address=f"{BATCH % 'mixed'}?status=rejected"),
    Shown(name="batch-tab-returned", address=f"{BATCH % 'mixed'}?status=returned"),
    Shown(name="batch-tab-none", address=f"{BATCH % 'completed'}?status=failed"),
    Shown(name="failures", address=f"{BATCH % 'mixed'}failures/{{failure}}/"),
    Shown(name="failures-at", address=f"{BATCH % 'mixed'}failures/{{failure}}/?at=example.org"),
    *(
        Shown(name=f"recipient-{state}", address=f"{BATCH % batch}recipients/{{{state}_row}}/")
        for state, batch in RECIPIENTS.items()
    ),
    Shown(name="recipient-removed", address=f"{BATCH % 'purged'}recipients/2/"),
    Shown(
        name="batch-question", address=BATCH % "running", act=open_details("#progress details.confirm:not([hidden])")
    ),
    Shown(
        name="batch-change-time",
        address=BATCH % "scheduled",
        act=open_details("#progress details.confirm:not([hidden])"),
    ),
    Shown(name="review", address="/batches/{draft}/review/"),
    Shown(name="review-odd", address="/batches/{odd_draft}/review/"),
    Shown(name="review-discard", address="/batches/{draft}/review/", act=open_details("details.confirm:not(.rename)")),
    Shown(name="review-reading", address="/batches/{odd_draft}/review/", act=open_details("#reading")),
    Shown(name="review-add", address="/batches/{draft}/review/", act=open_details("details.more:has(#more-rows)")),
    Shown(
        name="review-refused",
        address="/batches/{draft}/review/",
        act=fill_and_press({"#id_scheduled_at": "2001-01-01T09:00"}, "Send to"),
    ),
    Shown(
        name="review-test-refused",
        address="/batches/{draft}/review/",
        act=fill_and_press({"#id_to": "nobody@nowhere@example.org"}, "Send a test"),
    ),
    Shown(name="review-nobody", address="/batches/{draft}/review/?line=no-such-person"),
    Shown(name="review-reader", address="/batches/{draft}/review/", who="admin"),
    Shown(name="approvals", address="/approvals/", who="approver"),
    Shown(name="approval", address="/batches/{asked}/approval/", who="approver"),
    Shown(name="approval-refused", address="/batches/{refused}/approval/", who="approver"),
]
"""The pages of one batch."""

LETTERS = [
    Shown(name="templates", address="/templates/"),
    Shown(name="template-new", address="/templates/new/"),
    Shown(name="template-refused", address="/templates/new/", act=press("Save")),
    Shown(name="template", address="/templates/{template}/edit/"),
    Shown(name="templates-administrator", address="/templates/", who="admin"),
    Shown(name="templates-question", address="/templates/", act=open_details("details.confirm")),
    Shown(name="template-new-html", address="/templates/new/?kind=html"),
    Shown(name="template-copy", address="/templates/new/?copy={template}"),
    Shown(name="template-letter", address="/templates/rehearsal/edit/"),
    Shown(
        name="template-fields",
        address="/templates/rehearsal/edit/",
        act=wait_for("#field-buttons button", lambda page: page.select_option("#id_list", index=1)),
    ),
    Shown(
        name="template-faults",
        address="/templates/new/",
        act=wait_for(
            "#notes-source .notice",
            lambda page: page.fill("#id_source", "Dear [Vorname] *|FNAME|*,\n\n{{ first name }} [a](relative) ![](x)"),
        ),
    ),
    Shown(name="template-draft", address="/templates/new/", is_alone=True, act=type_and_come_back),
    Shown(name="template-picture", address="/templates/new/", act=open_details("#pictures")),
    Shown(
        name="template-sender", address="/templates/new/", act=open_details("#template > details.more:has(#id_sender)")
    ),
    Shown(
        name="template-programs",
        address="/templates/rehearsal/edit/",
        act=open_details("#template > details.more:has(#id_key)"),
    ),
    Shown(name="template-test-refused", address="/templates/rehearsal/edit/", act=press("Send a test")),
    Shown(name="letter-frame", address="/templates/frame/", who="admin"),
    Shown(name="template-read-only", address="/templates/{template}/edit/", who="approver"),
    Shown(name="versions", address="/templates/{template}/versions/"),
    Shown(name="version", address="/templates/{template}/versions/2/"),
    Shown(name="version-first", address="/templates/{template}/versions/1/", act=open_details("details.confirm")),
    Shown(name="version-compared", address="/templates/{template}/versions/2/?since=1"),
    Shown(name="versions-none", address="/templates/rehearsal/versions/"),
]
"""The pages of templates."""

OFFICE = [
    Shown(name="people", address="/people/"),
    Shown(name="people-found", address="/people/?q=person"),
    Shown(name="people-none", address="/people/?q=no-such-person"),
    Shown(name="people-administrator", address="/people/?q=person", who="admin"),
    Shown(name="person-mails", address="/people/{person}/"),
    Shown(name="person-mails-auditor", address="/people/{person}/", who="admin"),
    Shown(name="users", address="/users/", who="admin"),
    Shown(name="users-none", address="/users/?q=no-such-user", who="admin"),
    Shown(
        name="users-refused",
        address="/users/",
        who="admin",
        act=fill_and_press({"#id_email": "x"}, "Send the invitation"),
    ),
    Shown(name="user", address="/users/{user}/", who="admin"),
    Shown(name="user-question", address="/users/{user}/", who="admin", act=open_details("details.confirm")),
    Shown(name="user-self", address="/users/{admin}/", who="admin"),
    Shown(name="user-invited", address="/users/{invited}/", who="admin"),
    Shown(name="user-locked", address="/users/{locked}/", who="admin"),
    Shown(
        name="user-link",
        address="/users/{invited}/",
        who="admin",
        act=wait_for("#link, .notice.success", press("Send the invitation again")),
    ),
    Shown(name="join", address="{join}", who="nobody"),
    Shown(
        name="join-refused",
        address="{join}",
        who="nobody",
        act=fill_and_press({"#id_new_password1": "short", "#id_new_password2": "other"}, "Set the password"),
    ),
    Shown(name="join-ended", address="/join/MQ/wrong-token/", who="nobody"),
    Shown(name="audit", address="/audit/", who="auditor"),
    Shown(name="audit-none", address="/audit/?user=nobody-of-this-name", who="auditor"),
    Shown(name="person", address="/person/", who="auditor"),
    Shown(
        name="person-found",
        address="/person/",
        who="auditor",
        act=lambda page: fill_and_press({'[name="address"]': page.evaluate("window.sought")}, "Search")(page),
    ),
    Shown(name="do-not-send", address="/do-not-send/", who="auditor"),
    Shown(name="person-refused", address="/person/", who="auditor", act=fill_and_press({"#id_address": "x"}, "Search")),
    Shown(name="do-not-send-add", address="/do-not-send/", who="auditor", act=open_details("details.more")),
    Shown(
        name="do-not-send-import", address="/do-not-send/", who="auditor", act=open_details("details.more ~ details")
    ),
    Shown(name="do-not-send-none", address="/do-not-send/?since=2100-01-01", who="auditor"),
    *(
        Shown(
            name=f"do-not-send-{state}",
            address="/do-not-send/",
            who="auditor",
            act=fill_and_press({"#id_find_address": address}, "Look"),
        )
        for state, address in (("found", "gone0@example.org"), ("not-found", "nobody@example.org"), ("refused", "x"))
    ),
    Shown(name="inbox", address="/inbox/", who="admin"),
    Shown(name="inbox-own", address="/inbox/"),
    Shown(name="inbox-none", address="/inbox/?recipient=nobody", who="admin"),
    Shown(name="inbox-message", address="/inbox/1/", who="admin"),
    Shown(name="tokens", address="/accounts/tokens/"),
    Shown(
        name="token-made",
        address="/accounts/tokens/",
        who="approver",
        act=make_token,
    ),
    Shown(name="account", address="/accounts/"),
    Shown(name="account-language", address="/accounts/language/"),
    Shown(name="connections", address="/accounts/connections/"),
    Shown(name="reauthenticate", address="/accounts/reauthenticate/"),
    Shown(name="inactive", address="/accounts/inactive/"),
    Shown(
        name="password-refused",
        address="/accounts/password/",
        act=fill_and_press(
            {'[name="old_password"]': "wrong", '[name="new_password1"]': "x", '[name="new_password2"]': "y"},
            "Change the password",
        ),
    ),
    Shown(name="password", address="/accounts/password/"),
    Shown(name="sessions", address="/accounts/sessions/"),
    Shown(name="two-factor", address="/accounts/two-factor/"),
    Shown(name="two-factor-app", address="/accounts/two-factor/totp/activate/"),
    Shown(name="two-factor-on", address="/accounts/two-factor/", who="phone"),
    Shown(name="two-factor-code", address="/accounts/two-factor/reauthenticate/", who="phone"),
    Shown(name="two-factor-remove", address="/accounts/two-factor/totp/deactivate/", who="phone"),
    Shown(name="two-factor-codes", address="/accounts/two-factor/recovery-codes/", who="phone"),
    Shown(name="two-factor-codes-shown", address="/accounts/two-factor/recovery-codes/", who="phone"),
    Shown(name="two-factor-codes-new", address="/accounts/two-factor/recovery-codes/generate/", who="phone"),
    Shown(name="passkeys-none", address="/accounts/two-factor/webauthn/"),
    Shown(name="passkeys", address="/accounts/two-factor/webauthn/", who="passkey"),
    Shown(name="passkey-add", address="/accounts/two-factor/webauthn/add/"),
    Shown(name="passkey-rename", address="/accounts/two-factor/webauthn/keys/{passkey}/edit/", who="passkey"),
    Shown(name="passkey-remove", address="/accounts/two-factor/webauthn/keys/{passkey}/remove/", who="passkey"),
    Shown(name="unsubscribe", address="{unsubscribe}", who="nobody"),
    Shown(name="unsubscribed", address="{unsubscribe}", who="nobody", act=press("Unsubscribe")),
    Shown(name="unsubscribe-refused", address="/u/wrong", who="nobody"),
    Shown(
        name="api-docs",
        address="/api/docs",
        who="admin",
        act=lambda page: page.wait_for_selector(".swagger-ui .info .title"),
    ),
    Shown(name="api-docs-opened", address="/api/docs", who="admin", act=open_operation),
]
"""The pages of auditors and approvers, of one's account, and of recipients."""

SENTENCE = "The file is larger than 256 MB. Split it into two lists."
FAULTS = [
    Shown(name="fault-403", address="/audit/"),
    Shown(name="fault-404", address="/batches/999999/"),
    Shown(name="fault-404-nobody", address="/no-such-page/", who="nobody"),
    Shown(name="fault-400", address="/templates/new/?copy=%00"),
    *(
        Shown(name=f"fault-{name.partition('/')[2] or name}", address="/", template=f"{name}.html")
        for name in ("403_csrf", "429", "500", "account/too_many", "account/refused", "account/openid_again")
    ),
    Shown(name="fault-405", address="/accounts/logout/"),
    Shown(name="fault-413", address="/", body=PAGE.format(style="/static/css/pages.css", sentence=SENTENCE)),
    Shown(name="fault-frame", address="/", template="account/signed_out_frame.html"),
]
"""What is shown instead of a page."""

FIRST_DAY = [
    Shown(name="first-home", address="/", who="admin"),
    Shown(name="first-batches", address="/batches/", who="admin"),
    Shown(name="first-templates", address="/templates/", who="admin"),
    Shown(name="first-template", address="/templates/new/", who="admin"),
    Shown(name="first-people", address="/people/?q=ann", who="admin"),
    Shown(name="first-users", address="/users/", who="admin"),
    Shown(name="first-checklist", address="/checklist/", who="admin"),
    Shown(name="first-approvals", address="/approvals/", who="admin"),
    Shown(name="first-audit", address="/audit/", who="admin"),
    Shown(name="first-inbox", address="/inbox/", who="admin"),
    Shown(name="first-do-not-send", address="/do-not-send/", who="admin"),
    Shown(name="first-tokens", address="/accounts/tokens/", who="admin"),
]
"""The pages of a site on which there is nothing yet."""

SHOWPIECES = [
    Shown(name="showpiece-batch", address=BATCH % "large"),
    Shown(name="showpiece-batches", address="/batches/"),
]
"""The pages as the README shows them, with a list as long as lists are."""

PAGES = [*HOME, *ONE_BATCH, *LETTERS, *OFFICE, *FAULTS]
"""The pages that people see who send."""
