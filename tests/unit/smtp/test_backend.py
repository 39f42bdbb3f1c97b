"""A message that is converted to Django's kind says the same."""

from __future__ import annotations

from email import message_from_bytes, policy
from email.headerregistry import Address
from email.message import EmailMessage

from django.core.mail import EmailMultiAlternatives
from hypothesis import given
from hypothesis import strategies as st

from batches.rendering.message import MessageLayout
from batches.rendering.template import Rendered
from batches.sender_addresses import check_name
from batches.smtp.backend import to_django
from batches.smtp.connection import Outgoing

KEY = bytes(32)
TEXT = st.text(st.characters(exclude_categories=("Cc", "Cs")), min_size=1)


def convert(
    *, from_email: str = "from@example.org", subject: str = "Hello", html: str = "", text: str = ""
) -> tuple[EmailMultiAlternatives, EmailMessage]:
    """Return Django's message, and ours as the standard library parses it."""
    layout = MessageLayout(from_email=from_email, job_id=1, key=KEY)
    rendered = Rendered(subject=subject, html=html, text=text)
    built = layout.build(email_id=2, address="to@example.org", rendered=rendered, allow_8bit=True)
    outgoing = Outgoing(
        tag=None, sender=b"from@example.org", recipient="to@example.org", content=built.content, is_8bit=built.is_8bit
    )
    modern = message_from_bytes(built.content, policy=policy.default)
    return to_django(outgoing), modern


@given(subject=TEXT, text=TEXT, html=TEXT)
def test_subject_and_bodies_are_the_same_when_converted(subject: str, text: str, html: str) -> None:
    message, modern = convert(subject=subject, html=html, text=text)
    assert message.subject == modern["Subject"]
    assert message.body == text
    assert message.alternatives[0][0] == html


# With single spaces, as every sender's name is stored.
@given(name=st.text("Zoë ,;<>\"'()李@.", max_size=12).map(check_name).filter(bool))
def test_sender_is_the_same_when_its_name_is_odd(name: str) -> None:
    message, modern = convert(from_email=str(Address(display_name=name, addr_spec="from@example.org")), text="x")
    (expected,) = modern["From"].addresses
    written = message_from_bytes(message.message().as_bytes(), policy=policy.default)["From"].addresses
    assert [(each.display_name, each.addr_spec) for each in written] == [(expected.display_name, "from@example.org")]


def test_reply_to_is_the_same_when_converted() -> None:
    layout = MessageLayout(
        from_email="Zoë <from@example.org>", reply_to='"名, Office" <desk@example.org>', job_id=1, key=KEY
    )
    rendered = Rendered(subject="Hello", html="", text="x")
    built = layout.build(email_id=1, address="to@example.org", rendered=rendered, allow_8bit=True)
    outgoing = Outgoing(
        tag=None, sender=b"from@example.org", recipient="to@example.org", content=built.content, is_8bit=True
    )
    written = message_from_bytes(to_django(outgoing).message().as_bytes(), policy=policy.default)
    assert [(each.display_name, each.addr_spec) for each in written["Reply-To"].addresses] == [
        ("名, Office", "desk@example.org")
    ]
