"""A parsed message has the content that its template and merge fields have, even if the fields are hostile."""

import binascii
import re
from email import policy
from email.message import EmailMessage
from email.parser import BytesParser
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from batches.mailboxes import SenderFault
from batches.rendering.compiled import CompiledTemplate
from batches.rendering.headers import encode_subject
from batches.rendering.message import MessageLayout, derive_message_key, make_message_id
from batches.rendering.plain import MessageWriter, find_plain_layout
from batches.rendering.template import Rendered

KEY = b"k" * 32
TEMPLATE = CompiledTemplate(
    subject="Hello {{ name }}",
    html="<p>Dear {{ name }},</p>\n<p>{{ note }}</p>",
    text="Dear {{ name }},\n\n{{ note }}\n",
)
GENERAL_TEMPLATE = CompiledTemplate(
    subject="Hello {{ name }}{# not plain #}",
    html="<p>Dear {{ name }},</p>\n<p>{{ note }}</p>",
    text="Dear {{ name }},\n\n{{ note }}\n",
)
ONE_LINE_TEMPLATE = CompiledTemplate(subject="Hello {{ name }}", html="<p>Dear {{ name }}", text="Dear {{ name }}")
HEADERS = [
    "From",
    "To",
    "Subject",
    "Message-ID",
    "Date",
    "Auto-Submitted",
    "Precedence",
    "MIME-Version",
    "Content-Type",
]
hostile = st.one_of(
    st.text(max_size=300),
    st.text(alphabet="\r\n.- :=?<>bB\x00\x0b\x85\u2028é漢", max_size=300),
    st.text(alphabet="x ", min_size=900, max_size=1500),
)


def parse(content: bytes) -> EmailMessage:
    message = BytesParser(policy=policy.SMTP).parsebytes(content)
    assert isinstance(message, EmailMessage)
    return message


def normalized(text: str) -> str:
    """How a body should read: with line ends of one kind, and without other control characters."""
    text = text.replace("\r\n", "\n").replace("\r", "\n")
    return re.sub(r"[\x00-\x08\x0b-\x1f\x7f]", "", text)


def body_of(message: EmailMessage, subtype: str) -> str:
    part = message.get_body((subtype,))
    assert part is not None
    payload = part.get_payload(decode=True)
    assert isinstance(payload, bytes)
    return payload.decode().replace("\r\n", "\n")


@pytest.mark.parametrize("template", [TEMPLATE, GENERAL_TEMPLATE, ONE_LINE_TEMPLATE])
@given(name=hostile, note=hostile, allow_8bit=st.booleans())
@example(name="x\r\nBcc: evil@example.org", note="\r\n.\r\nMAIL FROM:<>", allow_8bit=True)
@example(name="=?utf-8?b?QQ==?=", note="a" * 5000, allow_8bit=True)
@example(name=" two  spaces ", note="trailing \t\n", allow_8bit=False)
@example(name="a" * 2000, note="漢" * 400, allow_8bit=True)
def test_message_keeps_its_content_when_merge_fields_are_hostile(
    template: CompiledTemplate, name: str, note: str, allow_8bit: bool
) -> None:
    layout = MessageLayout(from_email="Die Schule <post@example.org>", job_id=7, key=KEY)
    assert (find_plain_layout(template, layout) is not None) == (template is not GENERAL_TEMPLATE)
    context = {"name": name, "note": note}
    rendered = template.render(context)
    made = MessageWriter(template, layout).write(
        email_id=3, address="a@example.org", context=context, allow_8bit=allow_8bit
    )

    lines = made.content.split(b"\r\n")
    assert lines[-1] == b""
    assert not any(b"\r" in line or b"\n" in line for line in lines)
    assert max(map(len, lines)) <= 998
    assert made.is_8bit or made.content.isascii()

    message = parse(made.content)
    assert message.keys() == HEADERS
    assert not message.defects
    assert message["To"] == "a@example.org"
    assert message["Subject"] == rendered.subject.strip()
    assert [part.get_content_type() for part in message.iter_parts()] == ["text/plain", "text/html"]
    assert body_of(message, "plain") == normalized(rendered.text)
    assert body_of(message, "html") == normalized(rendered.html)


@given(subject=st.text(alphabet=st.characters(exclude_categories=["Cc", "Cs", "Zl", "Zp"]), max_size=400))
@example(subject="漢" * 300)
@example(subject="word " * 80)
@example(subject="x" * 1500)
def test_subject_survives_when_folded(subject: str) -> None:
    line = encode_subject(subject)
    assert all(len(part) <= 78 for part in line.split(b"\r\n"))
    assert all(part.strip() for part in line.split(b"\r\n"))
    assert str(parse(line + b"\r\n\r\n")["Subject"]).strip() == subject.strip()
    if b"=?utf-8?b?" in line:
        assert decode_each_word(line) == subject


def decode_each_word(line: bytes) -> str:
    """Decode the encoded words one by one, as a strict reader does. Python's parser joins their octets first."""
    words = re.findall(rb"=\?utf-8\?b\?([^?]*)\?=", line)
    return "".join(binascii.a2b_base64(word, strict_mode=True).decode("utf-8") for word in words)


def test_message_has_one_part_when_the_template_has_one_body() -> None:
    layout = MessageLayout(from_email="post@example.org", job_id=7, key=KEY)
    template = CompiledTemplate(subject="s", html="", text="only text {{ name }}")
    made = layout.build(email_id=1, address="a@b.org", rendered=template.render({"name": "é"}), allow_8bit=True)
    message = parse(made.content)
    assert message.get_content_type() == "text/plain"
    assert body_of(message, "plain") == "only text é\n"
    assert made.is_8bit


@pytest.mark.parametrize("body", ["text", "html"])
def test_message_is_quoted_when_a_line_of_one_body_is_too_long(body: str) -> None:
    layout = MessageLayout(from_email="post@example.org", job_id=7, key=KEY)
    rendered = Rendered(subject="s", html="<p>", text="t")._replace(**{body: "x" * 999})
    made = layout.build(email_id=1, address="a@b.org", rendered=rendered, allow_8bit=True)
    assert not made.is_8bit
    lines = made.content.split(b"\r\n")
    assert max(map(len, lines)) <= 998
    assert not any(b"\n" in line for line in lines)
    assert body_of(parse(made.content), {"text": "plain"}.get(body, body)) == "x" * 999


def test_message_id_is_the_same_when_email_and_job_are() -> None:
    first = make_message_id(key=KEY, email_id=1, job_id=2, domain="example.org")
    assert first == make_message_id(key=KEY, email_id=1, job_id=2, domain="example.org")
    assert re.fullmatch(r"<[0-9a-f]{32}@example\.org>", first)


@pytest.mark.parametrize("change", [{"email_id": 12}, {"job_id": 3}, {"key": b"x" * 32}, {"email_id": 21, "job_id": 0}])
def test_message_id_differs_when_email_job_or_key_does(change: dict[str, Any]) -> None:
    arguments: dict[str, Any] = {"key": KEY, "email_id": 1, "job_id": 2, "domain": "example.org"}
    assert make_message_id(**arguments | change) != make_message_id(**arguments)


@pytest.mark.parametrize("template", [TEMPLATE, GENERAL_TEMPLATE])
def test_message_id_of_a_message_is_the_one_that_the_api_tells(template: CompiledTemplate) -> None:
    layout = MessageLayout(from_email="Die Schule <post@example.org>", job_id=7, key=KEY)
    context = {"name": "Ann", "note": "Hi"}
    made = MessageWriter(template, layout).write(email_id=3, address="a@b.org", context=context, allow_8bit=True)
    told = make_message_id(key=KEY, email_id=3, job_id=7, domain="example.org")
    assert parse(made.content)["Message-ID"] == told


def test_key_differs_when_the_secret_does() -> None:
    assert derive_message_key("one") != derive_message_key("two")


@pytest.mark.parametrize("sender", ["", "nobody", "Name <>", "a@b\r\nBcc: x@y"])
def test_sender_is_refused_when_it_has_no_usable_address(sender: str) -> None:
    with pytest.raises(SenderFault, match="Write it like"):
        MessageLayout(from_email=sender, job_id=1, key=KEY)


@pytest.mark.parametrize("template", [TEMPLATE, GENERAL_TEMPLATE])
def test_reply_to_is_in_every_message_when_the_job_has_one(template: CompiledTemplate) -> None:
    layout = MessageLayout(
        from_email='"100 %, Café" <post@example.org>', reply_to="Office, %s <office@example.org>", job_id=7, key=KEY
    )
    context = {"name": "Ann", "note": "Hi"}
    made = MessageWriter(template, layout).write(email_id=3, address="a@b.org", context=context, allow_8bit=True)
    message = parse(made.content)
    assert message.keys()[:3] == ["From", "Reply-To", "To"]
    assert message["From"].addresses[0].display_name == "100 %, Café"
    assert message["Reply-To"].addresses[0].display_name == "Office, %s"
    assert message["Reply-To"].addresses[0].addr_spec == "office@example.org"
