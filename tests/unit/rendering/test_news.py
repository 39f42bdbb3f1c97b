"""News: the fields of its header, the link in its bodies, the footer, and the fast way beside the general one."""

from __future__ import annotations

import email
import email.policy
import time
from email.message import EmailMessage
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from batches.rendering.compiled import compile_parts
from batches.rendering.field_names import NOT_IN_ROWS, NOT_IN_SUBJECT, ONLY_NEWS
from batches.rendering.footers import add_to_html
from batches.rendering.message import MessageLayout
from batches.rendering.plain import MessageWriter, find_plain_layout
from batches.rendering.plain_template import read_plain
from batches.rendering.read_template import ReadTemplate
from batches.rendering.template import MessageParts, TemplateFault
from batches.rendering.unsubscribing import NewsFields
from batches.unsubscribe_tokens import TokenWriter, read_token

SITE = "https://mail.example.org"
KEYS = ["a key"]
WRITER = TokenWriter(topic_id=7, keys=KEYS)


def digest_of(address: str) -> bytes:
    return address.encode().rjust(16, b"\0")[:16]


def news_fields(**options: Any) -> NewsFields:
    values = {
        "topic_key": "events",
        "public_url": SITE,
        "write_token": lambda address, digest: WRITER.write(digest_of(address)),
    }
    return NewsFields(**{**values, **options})


def make_layout(**options: Any) -> MessageLayout:
    return MessageLayout(from_email="Post <post@example.org>", job_id=5, key=b"key", news=news_fields(**options))


def news(**parts: Any) -> MessageParts:
    return MessageParts(**{"subject": "Hi", "html": "", "text": "", "topic": "events", "is_news": True, **parts})


def plain(parts: MessageParts, columns: tuple[str, ...] = ("name",)) -> ReadTemplate:
    template = read_plain(parts, columns)
    assert template is not None
    return template


def write(template: ReadTemplate, *, address: str = "ann@example.org", allow_8bit: bool = True, **row: str) -> bytes:
    writer = MessageWriter(template, make_layout())
    context = {"name": "Ann", **row, "email": address}
    return writer.write(email_id=3, address=address, context=context, allow_8bit=allow_8bit).content


def parse(content: bytes) -> EmailMessage:
    message = email.message_from_bytes(content, policy=email.policy.default)
    assert isinstance(message, EmailMessage)
    return message


def bodies(message: EmailMessage) -> dict[str, str]:
    return {
        part.get_content_type(): part.get_content() for part in message.walk() if part.get_content_maintype() == "text"
    }


def link_of(address: str) -> str:
    return f"{SITE}/u/{WRITER.write(digest_of(address)).decode()}"


def test_header_names_the_ways_to_unsubscribe() -> None:
    message = parse(write(plain(news(text="Dear {{ name }}"))))
    link = link_of("ann@example.org")
    assert message["List-Unsubscribe"] == f"<{link}>"
    assert message["List-Unsubscribe-Post"] == "List-Unsubscribe=One-Click"
    assert message["List-Id"] == "<events.mail.example.org>"
    token = read_token(link.rpartition("/")[2], keys=KEYS)
    assert token is not None and (token.topic_id, token.digest) == (7, digest_of("ann@example.org"))


def test_header_offers_an_address_when_a_return_mailbox_exists() -> None:
    fields = news_fields(bounce_address="bounce@news.example.org")
    message = parse(fields.fields(b"T" * 44).removeprefix(b"\r\n") + b"\r\n\r\n")
    assert message["List-Unsubscribe"].split() == [
        f"<{SITE}/u/{'T' * 44}>,",
        f"<mailto:unsubscribe+{'T' * 44}@news.example.org>",
    ]


def test_no_line_of_the_header_is_too_long_when_the_site_has_a_long_name() -> None:
    host = ".".join(["a" * 60] * 4)
    fields = news_fields(public_url=f"https://{host}/{'p' * 200}", bounce_address=f"bounce@{host}", topic_key="k" * 50)
    lines = fields.fields(b"T" * 44).split(b"\r\n")
    assert max(map(len, lines)) <= 998
    assert all(line.startswith((b"List-", b" ")) for line in lines[1:])


def test_service_mail_has_nothing_of_it() -> None:
    layout = MessageLayout(from_email="post@example.org", job_id=5, key=b"key")
    template = plain(MessageParts(subject="Hi", html="<p>Hi</p>", text="Hi", topic="service"))
    context = {"email": "ann@example.org"}
    message = MessageWriter(template, layout).write(
        email_id=3, address="ann@example.org", context=context, allow_8bit=True
    )
    assert b"List-" not in message.content and b"nsubscribe" not in message.content


@pytest.mark.parametrize("read", [plain, lambda parts: compile_parts(parts, ["name"])])
@pytest.mark.parametrize("name", ["unsubscribe_url", "Unsubscribe URL", "unsubscribeUrl"])
def test_link_is_shown_where_the_template_has_it(read: Any, name: str) -> None:
    html, text = f'<a href="{{{{ {name} }}}}">Leave</a>', f"Leave: {{{{ {name} }}}}"
    shown = bodies(parse(write(read(news(html=html, text=text)))))
    link = link_of("ann@example.org")
    assert shown["text/html"].strip() == f'<a href="{link}">Leave</a>'
    assert shown["text/plain"].strip() == f"Leave: {link}"


@pytest.mark.parametrize("read", [plain, lambda parts: compile_parts(parts, ["name"])])
def test_each_body_without_the_link_gets_the_footer(read: Any) -> None:
    parts = news(html="<html><body><p>Hi {{ name }}</p></body></html>", text="Leave: {{ unsubscribe_url }}")
    shown = bodies(parse(write(read(parts))))
    link = link_of("ann@example.org")
    assert shown["text/plain"].count(link) == 1 and "-- " not in shown["text/plain"]
    before, _, after = shown["text/html"].partition(f'<a href="{link}">Unsubscribe</a></p>')
    assert before.startswith("<html><body><p>Hi Ann</p><p ") and after.strip() == "</body></html>"


@pytest.mark.parametrize(
    ("footer", "text", "html"),
    [
        ("", "-- \nUnsubscribe: {}\n", 'smaller"><a href="{}">Unsubscribe</a></p>'),
        ("School <A>", "School <A>\n{}", 'School &lt;A&gt;<br><a href="{}">Unsubscribe</a></p>'),
        ("No: {{ unsubscribe_url }} !", "No: {} !", 'No: <a href="{}">{}</a> !</p>'),
        ("a\nb {{unsubscribe_url}}", "a\nb {}", 'a<br>\nb <a href="{}">{}</a></p>'),
    ],
)
def test_footer_is_that_of_the_topic(footer: str, text: str, html: str) -> None:
    shown = bodies(parse(write(plain(news(html="<p>H", text="T", footer=footer)))))
    link = link_of("ann@example.org")
    assert text.replace("{}", link) in shown["text/plain"].replace("\r\n", "\n")
    assert html.replace("{}", link) in shown["text/html"].replace("\r\n", "\n")


@pytest.mark.parametrize(
    "html",
    [
        "<p>A<!-- {{ unsubscribe_url }} -->",
        "<p>A<!-- </body> {{ unsubscribe_url }}",
        "<p>A</BODY ><!-- </body> -->",
        "<p>A</html>",
        "<title>{{ unsubscribe_url }}</title><p>A",
        "<head><STYLE type='text/css'>a { background: url({{ unsubscribe_url }}) }</style ></head><p>A</body>",
        '<head><link rel="unsubscribe" href="{{ unsubscribe_url }}"></head><p>A',
        '<p>A<script>go("{{ unsubscribe_url }}")</script>',
        "<p>A<style>b { } /* </body> {{ unsubscribe_url }}",
        "<p>A</body><style>/* </body> */</style>",
    ],
)
def test_footer_can_be_seen_when_the_link_of_the_html_can_not(html: str) -> None:
    shown = bodies(parse(write(plain(news(html=html)))))["text/html"]
    link = link_of("ann@example.org")
    place = shown.index(f'<a href="{link}">')
    for begin, end in (("<!--", "-->"), ("<style", "</style"), ("<script", "</script")):
        assert shown.lower().count(begin, 0, place) == shown.lower().count(end, 0, place)
    assert "</body" not in shown[:place].lower() and "</html" not in shown[:place]


@pytest.mark.parametrize("html", ["<style>", "<!--", "<meta", "</body><!-- -->", "<style></style>"])
def test_footer_is_added_in_bounded_time(html: str) -> None:
    """Each took more than ten seconds when a part of it was searched again for each of them."""
    began_at = time.process_time()
    assert link_of("ann@example.org") in add_to_html(html * 50_000, url=link_of("ann@example.org"), footer="")
    assert time.process_time() - began_at < 2


def test_link_is_ours_when_the_list_has_a_column_of_that_name() -> None:
    template = plain(news(text="{{ unsubscribe_url }} {{ name }}"), ("name", "unsubscribe_url"))
    assert template.merge_fields == {"name"}
    shown = bodies(parse(write(template, unsubscribe_url="https://evil.example")))["text/plain"]
    assert shown.strip() == f"{link_of('ann@example.org')} Ann"


def test_body_that_is_blank_for_one_recipient_stays_so() -> None:
    template = plain(news(text="{{ name }}", html="<p>Hi"))
    assert list(bodies(parse(write(template, name="")))) == ["text/html"]
    assert list(bodies(parse(write(template, name="Ann")))) == ["text/plain", "text/html"]


@pytest.mark.parametrize("read", [read_plain, compile_parts])
@pytest.mark.parametrize(
    ("parts", "sentence"),
    [
        (MessageParts(subject="S", html="", text="{{ unsubscribe_url }}"), ONLY_NEWS),
        (MessageParts(subject="S", html="{{ Unsubscribe URL }}", text="", topic="service"), ONLY_NEWS),
        (news(subject="{{ unsubscribe_url }}", text="T"), NOT_IN_SUBJECT),
    ],
)
def test_template_is_refused_when_it_shows_the_link_where_there_is_none(
    read: Any, parts: MessageParts, sentence: str
) -> None:
    with pytest.raises(TemplateFault) as fault:
        read(parts, ["name", "unsubscribe_url"])
    assert str(fault.value) == sentence


@pytest.mark.parametrize(
    "parts",
    [
        news(subject="{{ rows[0].unsubscribe_url }}", text="T"),
        news(text="{% for row in rows %}{{ row.unsubscribe_url }}{% endfor %}"),
        news(text="{% for each in rows %}{{ each['Unsubscribe URL'] }}{% endfor %}"),
        news(text="{{ rows|map(attribute='unsubscribe_url')|join }}"),
    ],
)
def test_template_is_refused_when_a_row_shows_the_link(parts: MessageParts) -> None:
    with pytest.raises(TemplateFault) as fault:
        compile_parts(parts, ["name", "unsubscribe_url"])
    assert str(fault.value) == NOT_IN_ROWS


PIECES = st.sampled_from(
    [
        "{{ name }}",
        "{{ unsubscribe_url }}",
        "{{ city }}",
        "text ",
        "<p>",
        "\n",
        "%s",
        ".",
        "é",
        "</body>",
        "<!--",
        "-->",
        "<style>",
        "</style>",
        '<meta content="',
    ]
)


@settings(max_examples=200, deadline=None)
@given(
    html=st.lists(PIECES, max_size=6),
    text=st.lists(PIECES, max_size=6),
    name=st.text(max_size=20),
    city=st.sampled_from(["", "Berlin", "<b>&", ".x", "a" * 990]),
    end=st.sampled_from(["x", "x{{ city }}", "x\n{{ city }}", "x \n\n{{ name }}", "x\n\n"]),
)
@example(html=[], text=[], name="", city="", end="x \n{{ city }}")
def test_fast_way_writes_what_the_general_way_writes(
    html: list[str], text: list[str], name: str, city: str, end: str
) -> None:
    parts = news(html="".join(html) + end, text="".join(text) + end, subject="S {{ name }}")
    template, layout = plain(parts, ("name", "city")), make_layout()
    fast = find_plain_layout(template, layout)
    assert fast is not None
    context = {"name": name, "city": city, "email": "ann@example.org"}
    filled = fast.fill(3, "ann@example.org", context)
    if filled is None:
        return
    rendered = template.render(context, unsubscribe_url=layout.link("ann@example.org"))
    general = layout.build(email_id=3, address="ann@example.org", rendered=rendered, allow_8bit=True)
    assert filled.content == general.content
    assert link_of("ann@example.org").encode() in filled.content
    assert max(map(len, filled.content.split(b"\r\n"))) <= 998
