"""The header of a round trip, as several kinds of servers write it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from django.conf import LazySettings

from batches.sender_checks.arrived import Expected, check_header, find_own, parse_header, read_signatures
from batches.sender_checks.items import CheckItem, Light

GREEN, AMBER, RED, GREY = Light.GREEN, Light.AMBER, Light.RED, Light.GREY
EXPECTED = Expected(
    domain="school.example", message_id="<1@school.example>", email_id=0x2A, is_news=True, keeps_return_path=True
)
POSTFIX = """\
Return-Path: <bounce+2a.0123456789ab@news.school.example>
Authentication-Results: mx.dest.example;
\tdkim=pass (2048-bit key; secure) header.d=school.example header.i=@school.example header.s=s1;
\tspf=pass (mx: the address; is fine) smtp.mailfrom=bounce+2a.0123456789ab@news.school.example;
\tdmarc=pass (p=none dis=none) header.from=school.example
Received: from relay.school.example (relay.school.example [93.184.215.14])
\t(using TLSv1.3 with cipher TLS_AES_256_GCM_SHA384 (256/256 bits))
\tby mx.dest.example (Postfix) with ESMTPS id B592
\tfor <bounce+check-a@news.school.example>; Fri, 27 Nov 2026 02:57:48 +0000 (UTC)
DKIM-Signature: v=1; a=rsa-sha256; c=relaxed/simple; d=school.example;
\ts=s1; t=1795748268; bh=j=;
\th=From:To:Subject:Date:List-Unsubscribe:
\t List-Unsubscribe-Post:List-Id:From;
\tb=J9piglc=
Received: from [127.0.0.1] (localhost [127.0.0.1])
\tby relay.school.example (Postfix) with ESMTP id 9ABC
Message-ID: <1@school.example>
From: School <news@school.example>
List-Unsubscribe: <https://school.example/u/abc>
List-Unsubscribe-Post: List-Unsubscribe=One-Click
"""
LOGIN = POSTFIX.replace("<bounce+2a.0123456789ab@news.school.example>", "<login@provider.example>", 1)
UNSIGNED_POST = POSTFIX.replace("\t List-Unsubscribe-Post:List-Id", "\t List-Id")


@pytest.fixture(autouse=True)
def bounce_address(settings: LazySettings) -> None:
    settings.BOUNCE_ADDRESS = "bounce@news.school.example"


def check(text: str, **changes: Any) -> dict[str, CheckItem]:
    return {item.title: item for item in check_header(text, replace(EXPECTED, **changes))}


def test_all_is_green_when_the_message_arrived_as_it_should() -> None:
    assert {item.light for item in check(POSTFIX).values()} == {GREEN}
    assert len(check(POSTFIX)) == 8


def test_unsubscribing_is_red_with_the_cure_when_the_signature_leaves_out_a_header() -> None:
    items = check(UNSIGNED_POST)
    item = items.pop("One-click unsubscribing")
    assert (item.light, {each.light for each in items.values()}) == (RED, {GREEN})
    assert "List-Unsubscribe-Post" in item.sentence
    assert "List-Unsubscribe and" not in item.sentence
    assert "SignHeaders *,+List-Unsubscribe-Post" in item.advice


def test_unsubscribing_is_red_when_a_server_removed_a_header() -> None:
    item = check(POSTFIX.replace("List-Unsubscribe-Post: List-Unsubscribe=One-Click\n", ""))["One-click unsubscribing"]
    assert (item.light, "did not arrive" in item.sentence) == (RED, True)


@pytest.mark.parametrize(
    ("value", "light"),
    [
        ("<http://school.example/u/abc>", RED),
        ("<mailto:unsubscribe+abc@news.school.example>", RED),
        ("<mailto:unsubscribe+abc@news.school.example>,\n <HTTPS://school.example/u/abc>", GREEN),
    ],
)
def test_unsubscribing_needs_a_link_by_https(value: str, light: Light) -> None:
    item = check(POSTFIX.replace("<https://school.example/u/abc>", value))["One-click unsubscribing"]
    assert (item.light, "PUBLIC_URL" in item.advice) == (light, light is RED)


def test_unsubscribing_is_not_known_when_it_was_no_news() -> None:
    item = check(POSTFIX, is_news=False)["One-click unsubscribing"]
    assert (item.light, "PUBLIC_URL" in item.advice) == (GREY, True)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (POSTFIX.replace("DKIM-Signature", "X-Signature"), "without a signature"),
        (POSTFIX.replace("d=school.example;\n\ts=", "d=provider.example;\n\ts="), "not by school.example"),
    ],
)
def test_signature_is_red_when_it_is_missing_or_another_domains(text: str, words: str) -> None:
    items = check(text)
    assert (items["DKIM signature"].light, words in items["DKIM signature"].sentence) == (RED, True)
    assert items["One-click unsubscribing"].light is RED


def test_own_signature_counts_when_a_provider_signs_too() -> None:
    provider = "DKIM-Signature: v=1; d=provider.example; s=p; h=From; b=x\n"
    signatures = read_signatures(parse_header(provider + POSTFIX))
    own = find_own(signatures, "school.example")
    assert own is not None and (own.selector, len(signatures)) == ("s1", 2)
    assert {item.light for item in check(provider + POSTFIX).values()} == {GREEN}


def test_unsubscribing_is_green_when_any_own_signature_covers_both_headers() -> None:
    first = "DKIM-Signature: v=1; d=school.example; s=s2; h=From:Subject; b=x\n"
    below = "DKIM-Signature: v=1; d=mail.school.example; s=s3; h=From:List-Unsubscribe; b=x\n"
    assert check(first + below + POSTFIX)["One-click unsubscribing"].light is GREEN
    item = check(first + below + UNSIGNED_POST)["One-click unsubscribing"]
    assert (item.light, "cover List-Unsubscribe-Post," in item.sentence) == (RED, True)


@pytest.mark.parametrize(
    ("results", "lights"),
    [
        ("mx.example; spf=fail smtp.mailfrom=a; dkim=pass; dmarc=pass", [RED, GREEN, GREEN]),
        ("mx.example; spf=softfail; dkim=permerror; dmarc=fail", [RED, RED, RED]),
        ("mx.example; spf=temperror; dkim=neutral; dmarc=none", [AMBER, AMBER, RED]),
        ("mx.example 1; none", [GREY, GREY, GREY]),
        ("mx.example; dkim=fail header.d=other; dkim=pass header.d=school.example", [GREY, GREEN, GREY]),
        ("mx.example; dkim = pass; SPF = PASS", [GREEN, GREEN, GREY]),
        ("mx.example; x-dkim=pass; dkim-atps=neutral", [GREY, GREY, GREY]),
        # What is about a provider's signature, or about the name in EHLO, is not about us.
        ("mx.example; dkim=pass header.d=provider.example; dkim=fail header.d=school.example", [GREY, RED, GREY]),
        ("mx.example; dkim=pass header.i=@provider.example header.b=a", [GREY, GREY, GREY]),
        ("mx.example; dkim=pass header.i=news@mail.school.example", [GREY, GREEN, GREY]),
        ('mx.example; dkim=fail header.d=provider.example; dkim=pass header.d="school.example"', [GREY, GREEN, GREY]),
        ("mx.example; spf=pass smtp.helo=mail.example; spf=softfail smtp.mailfrom=a@school.example", [RED, GREY, GREY]),
        ("mx.example; spf=pass smtp.mailfrom=a@school.example smtp.helo=mail.example", [GREEN, GREY, GREY]),
        ("mx.example;spf=pass (a (nested; dkim=fail) comment);dkim=pass", [GREEN, GREEN, GREY]),
    ],
)
def test_what_the_receiver_says_is_read_when_it_says_it(results: str, lights: list[Light]) -> None:
    items = check(f"Authentication-Results: {results}\nAuthentication-Results: other.example; spf=pass; dmarc=pass\n")
    assert [items[f"The receiver on {method}"].light for method in ("SPF", "DKIM", "DMARC")] == lights


def test_results_are_joined_when_each_check_of_a_server_writes_its_own_field() -> None:
    items = check(
        "Authentication-Results: mx.example; dmarc=pass\n"
        "Authentication-Results: MX.example; dkim=pass\n"
        "Authentication-Results: forged.example; spf=fail\n"
        "Received-SPF: Pass (mailfrom) identity=mailfrom; client-ip=93.184.215.14\n"
    )
    assert [items[f"The receiver on {method}"].light for method in ("SPF", "DKIM", "DMARC")] == [GREEN] * 3


FAR = "Received: from a.example (a.example [93.184.215.14]) by b.example (Postfix) with {protocol} id 1; now\n"
NEAR = "Received: from a.example (localhost [127.0.0.1]) by b.example (Postfix) with ESMTP id 2; now\n"


@pytest.mark.parametrize(
    ("text", "light"),
    [
        (FAR.format(protocol="ESMTPS"), GREEN),
        (FAR.format(protocol="ESMTPSA"), GREEN),
        (FAR.format(protocol="UTF8SMTPS"), GREEN),
        (FAR.format(protocol="ESMTP"), RED),
        (FAR.format(protocol="SMTP"), RED),
        (FAR.format(protocol="ESMTPS") + FAR.format(protocol="ESMTPA"), RED),
        (FAR.format(protocol="ESMTP (TLS1.3:AES)"), GREEN),
        (FAR.format(protocol="ESMTPS") + NEAR, GREEN),
        (NEAR, GREY),
        (NEAR.replace("127.0.0.1", "10.1.2.3"), GREY),
        (NEAR.replace("127.0.0.1", "IPv6:::1"), GREY),
        (NEAR.replace("ESMTP", "ESMTPS"), GREEN),
        ("Received: by 2002:a05:6214 with SMTP id x; now\n", GREY),
        ("", GREY),
    ],
)
def test_encryption_is_judged_by_every_hop_between_two_machines(text: str, light: Light) -> None:
    assert check(text)["Encryption on the way"].light is light


@pytest.mark.parametrize(("keeps_return_path", "light"), [(True, AMBER), (False, RED)])
def test_replaced_message_id_is_worse_when_there_is_no_return_path(keeps_return_path: bool, light: Light) -> None:
    text = LOGIN.replace("<1@school.example>", "<010f@email.amazonses.com>")
    item = check(text, keeps_return_path=keeps_return_path)["Message-ID"]
    assert item.light is light
    assert "<010f@email.amazonses.com>" in item.found


@pytest.mark.parametrize(
    ("path", "light"),
    [
        ("<BOUNCE+2a.0123456789ab@news.school.example>", GREEN),
        ("<srs0=x=y=bounce+2a.0123456789ab@news.school.example>", GREEN),
        ("<bounce+2b.0123456789ab@news.school.example>", RED),  # another email's
        ("<login@provider.example>", RED),
        ("<>", GREY),
    ],
)
def test_return_path_is_judged_by_the_email_that_it_names(path: str, light: Light) -> None:
    text = POSTFIX.replace("<bounce+2a.0123456789ab@news.school.example>", path, 1)
    assert check(text)["Return path"].light is light


def test_return_path_is_a_word_of_advice_when_the_relay_gets_none() -> None:
    assert check(LOGIN, keeps_return_path=False)["Return path"].light is AMBER


@pytest.mark.parametrize("keeps_return_path", [True, False, None])
def test_return_path_is_green_when_it_arrived_whatever_the_relay_says_now(keeps_return_path: bool | None) -> None:
    text = POSTFIX.replace("<1@school.example>", "<010f@email.amazonses.com>")
    items = check(text, keeps_return_path=keeps_return_path)
    assert (items["Return path"].light, items["Message-ID"].light) == (GREEN, AMBER)


def test_return_path_asks_to_look_at_the_relays_when_nobody_knows_which_took_the_message() -> None:
    item = check(LOGIN, keeps_return_path=None)["Return path"]
    assert (item.light, "send a round trip again" in item.advice) == (AMBER, True)


@pytest.mark.parametrize(
    "text", ["", "\n\n", "\xff\xfe", "DKIM-Signature: ;;;=;\nAuthentication-Results:\n", "x" * 100_000]
)
def test_nothing_breaks_when_the_header_is_odd(text: str) -> None:
    assert len(check(text)) == 8
