"""``python -m tests.bench.peers``: the programs that people write without this project, to compare with it.

Both render with Django's templates and build messages with Django's EmailMultiAlternatives. Neither records anything.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import time
from collections.abc import Iterator

import aiosmtplib
import django
from django.conf import settings
from django.core.mail import EmailMultiAlternatives, get_connection, send_mail
from django.template import Context, Engine

from tests.bench import messages


class Renderer:
    """The message's parts as Django templates, compiled once."""

    def __init__(self) -> None:
        engine = Engine(autoescape=True)
        self.parts = {name: engine.from_string(messages.TEMPLATE[name]) for name in ("subject", "text", "html")}

    def render(self, recipient: tuple[str, str, str, str]) -> tuple[str, str, str]:
        """Return subject, text and HTML for one recipient."""
        context = dict(zip(messages.MERGE_FIELDS, recipient[1:], strict=True))
        plain = Context(context, autoescape=False)
        return (
            self.parts["subject"].render(plain),
            self.parts["text"].render(plain),
            self.parts["html"].render(Context(context)),
        )


def loop_send_mail(port: int, *, count: int) -> None:
    """Call Django's send_mail in a loop, over one connection that stays open."""
    connection = get_connection("django.core.mail.backends.smtp.EmailBackend", host="127.0.0.1", port=port)
    connection.open()
    renderer = Renderer()
    for recipient in messages.make_recipients(count):
        subject, text, html = renderer.render(recipient)
        send_mail(subject, text, messages.FROM, [recipient[0]], html_message=html, connection=connection)
    connection.close()


async def loop_aiosmtplib(port: int, *, count: int, connections: int) -> None:
    """Send with aiosmtplib, one message at a time on each of several connections that stay open."""
    recipients = messages.make_recipients(count)
    renderer = Renderer()
    await asyncio.gather(*(_deliver(port, recipients, renderer) for _ in range(connections)))


async def _deliver(port: int, recipients: Iterator[tuple[str, str, str, str]], renderer: Renderer) -> None:
    async with aiosmtplib.SMTP(hostname="127.0.0.1", port=port) as client:
        for recipient in recipients:
            subject, text, html = renderer.render(recipient)
            email = EmailMultiAlternatives(subject, text, messages.FROM, [recipient[0]])
            email.attach_alternative(html, "text/html")
            # Django's message has its own as_bytes, with this argument; the stubs know only the standard library's.
            content = email.message().as_bytes(linesep="\r\n")  # type: ignore[call-arg]
            await client.sendmail("post@example.org", [recipient[0]], content)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.bench.peers", description=__doc__)
    parser.add_argument("peer", choices=("send_mail", "aiosmtplib"))
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--count", type=int, required=True)
    parser.add_argument("--connections", type=int, default=10)
    arguments = parser.parse_args()
    settings.configure(USE_TZ=True, EMAIL_TIMEOUT=60)
    django.setup()
    start, cpu = time.perf_counter(), time.process_time()
    if arguments.peer == "send_mail":
        loop_send_mail(arguments.port, count=arguments.count)
    else:
        asyncio.run(loop_aiosmtplib(arguments.port, count=arguments.count, connections=arguments.connections))
    seconds, cpu_seconds = time.perf_counter() - start, time.process_time() - cpu
    print(  # noqa: T201
        json.dumps({"per_second": arguments.count / seconds, "cpu_us": cpu_seconds / arguments.count * 1e6})
    )


if __name__ == "__main__":
    main()
