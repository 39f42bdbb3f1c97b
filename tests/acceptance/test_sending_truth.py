"""What is sent and recorded is true: the From header, numbers in conditions, a cancelled replay, a later time."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from email import message_from_bytes
from email.header import decode_header, make_header
from email.utils import getaddresses

from tests.acceptance.scripted_relay import add_template, scripted
from tests.chaos.stack import TEMPLATE_KEY, Golden, run_command, wait_until
from tests.chaos.trial import write_recipients

ENCODED_WORD = re.compile(rb"=\?[^?\s]+\?[bBqQ]\?[^?]*\?=")
ENCODED_WORD_MAX = 75
"""RFC 2047 section 2."""

LONG = "Association of Parents, Teachers and Friends of the Northtown Primary School"


NAMES = (LONG, f"{LONG} (South)", "名" * 60, 'Ann "Bo" O\\Neil, Dr.', "Ünï <Cödé>, " * 8, "🎓" * 40, "ليلى, المدرسة")


def test_from_header_holds_one_mailbox_whatever_the_name(golden: Golden) -> None:
    with scripted(golden) as script:
        for name in NAMES:
            quoted = name.strip().replace("\\", "\\\\").replace('"', '\\"')
            script.stack.environment["DEFAULT_FROM_EMAIL"] = f'"{quoted}" <news@example.org>'
            script.load(1)
            script.wait_for_end(seconds=30)
            check_from(script.raw_messages()[-1], name.strip())


def check_from(raw: bytes, name: str) -> None:
    """Check that the From header is one mailbox with this name, in lines and encoded words of the right length."""
    head = raw.split(b"\r\n\r\n")[0]
    assert all(len(word) <= ENCODED_WORD_MAX for word in ENCODED_WORD.findall(head))
    [header] = re.findall(rb"^From: .*(?:\r\n[ \t].*)*", head, re.MULTILINE)
    assert max(map(len, header.split(b"\r\n"))) <= 78
    # The newer parser of the standard library leaves spaces between the encoded words of a name.
    [(shown, address)] = getaddresses([message_from_bytes(raw)["From"].replace("\r\n", "")])
    assert (str(make_header(decode_header(shown))), address) == (name, "news@example.org")


def test_numbers_of_a_list_are_compared_as_numbers(golden: Golden) -> None:
    with scripted(golden) as script:
        text = "{% if points > 100 %}You are a gold member.{% else %}You have {{ points }} points.{% endif %}"
        add_template(script, "gold", text)
        script.load_rows([("email", "points"), ("ann@example.org", "3"), ("bob@example.org", "500")], template="gold")
        script.wait_for_end(seconds=30)
        bodies = {address: message.get_content().strip() for address, message in script.messages().items()}
        assert bodies == {"ann@example.org": "You have 3 points.", "bob@example.org": "You are a gold member."}


def test_cancelled_replay_forgets_nobody_who_has_the_mail(golden: Golden) -> None:
    with scripted(golden) as script:
        script.load(300)
        script.wait_for_end(seconds=30)
        assert len(script.copies()) == 300
        script.stack.smtp.configure(rate=20)
        run_command(["replaybatch", str(script.batch_id), "--all"], environment=script.stack.environment)
        wait_until(lambda: sum(script.copies().values()) > 310, seconds=30, what="the replay to begin")
        script.steer("cancel")
        script.stack.smtp.configure(rate=0)
        script.wait_for_end(seconds=30)
        assert sum(script.copies().values()) < 600, "the replay was cancelled before its end"
        assert script.states() == {"sent": 300}
        snapshot = script.snapshot()
        assert (snapshot["sent"], snapshot["cancelled"], snapshot["pending"]) == (300, 0, 0)


def test_upload_for_a_later_time_sends_nothing_now(golden: Golden) -> None:
    with scripted(golden) as script:
        path = write_recipients(script.stack.folder / "later.csv", ["ann@example.org", "bob@example.org"])
        environment = script.stack.environment
        script.manage("from django.contrib.auth.models import User; User.objects.create_superuser('ann')")
        token = run_command(["createapitoken", "ann"], environment=environment).strip()
        at = datetime.now(UTC) + timedelta(days=365)
        fields = {"templateId": TEMPLATE_KEY, "scheduledAt": at.isoformat()}
        with script.stack.web() as web:
            status, refused = web.post_form(path, token=token, fields=fields | {"shedule": "x"})
            assert status == 422 and "shedule" in str(refused)
            status, answer = web.post_form(path, token=token, fields=fields | {"priority": "high"})
        assert status == 202, answer
        script.batch_id = answer["batchId"]
        assert script.status == "scheduled"
        job = script.query("SELECT scheduled_at, priority FROM batches_emailjob WHERE batch_id = %(batch)s")
        assert job == [(at, "high")]
        assert script.snapshot()["waitingFor"].startswith("The emails go out on ")
        script.load(1)  # a batch that is sent now goes before, and shows that the worker works
        script.wait_for_end(seconds=30)
        assert sum(script.copies().values()) == 1
