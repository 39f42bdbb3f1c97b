"""What is published for a sender, asked of a DNS server of the tests' own."""

from __future__ import annotations

from base64 import b64encode

import pytest

from batches.sender_checks import dns_reader
from batches.sender_checks.dns_reader import DnsReader
from batches.sender_checks.items import CheckItem, Light
from batches.sender_checks.organisations import find_organisation, is_aligned
from batches.sender_checks.published import check_dkim, check_dmarc, check_mx
from batches.sender_checks.spf import check_spf
from tests.dns_server import DnsServer

GREEN, AMBER, RED, GREY = Light.GREEN, Light.AMBER, Light.RED, Light.GREY
LONG_KEY = b64encode(b"\0" * 294).decode()


def quoted(text: str) -> str:
    """One TXT record, in strings of 255 characters at most."""
    return " ".join(f'"{text[start : start + 255]}"' for start in range(0, len(text), 255))


def ask(records: dict[str, list[str]], check: str, **options: str) -> CheckItem:
    zone = {key: list(map(quoted, texts)) if key.endswith(" TXT") else texts for key, texts in records.items()}
    with DnsServer(zone) as server:
        reader = DnsReader([server.address])
        checks = {
            "spf": lambda: check_spf(reader, "example.org", wanted="a:mail.example.org"),
            "dkim": lambda: check_dkim(reader, "example.org", selector="s1"),
            "dmarc": lambda: check_dmarc(
                reader, "news.example.org", **{"return_domain": "back.example.org", **options}
            ),
            "mx": lambda: check_mx(reader, "example.org", purpose="what comes back"),
        }
        return checks[check]()


@pytest.mark.parametrize(
    ("texts", "light", "words"),
    [
        ([], RED, "no SPF record"),
        (["v=spf10 -all", "unrelated"], RED, "no SPF record"),
        (["v=spf1 a:mail.example.org -all"], GREEN, "round trip"),
        (["v=spf1 ip4:192.0.2.0/24 ip6:2001:db8::/32 mx/24 ~all"], GREEN, ""),
        (["V=SPF1 A -ALL", "other"], GREEN, ""),
        (["v=spf1 -all", "v=spf1 a ~all"], RED, "2 SPF records"),
        (["v=spf1 +all"], RED, "every server"),
        (["v=spf1 a ALL"], RED, "every server"),
        (["v=spf1 a:mail.example.org"], AMBER, "says nothing"),
        (["v=spf1 a ?all"], AMBER, "says nothing"),
        (["v=spf1 a:mail.wall"], AMBER, "says nothing"),
        (["v=spf1 redirect=good.example"], GREEN, ""),
        (["v=spf1 redirect=gone.example"], RED, "gone.example, which has no SPF record"),
        (["v=spf1 a -all redirect=gone.example"], GREEN, ""),  # ignored beside "all"
        (["v=spf1 include:good.example -all"], GREEN, ""),
        (["v=spf1 include:gone.example -all"], RED, "gone.example, which has no SPF record"),
        (["v=spf1 include:double.example -all"], RED, "2 SPF records"),
        (["v=spf1 include:example.org -all"], RED, "includes itself"),
        (["v=spf1 include:%{i}._spf.example.org -all"], GREEN, ""),
        (["v=spf1 inlcude:good.example -all"], RED, "inlcude:good.example"),
        (["v=spf1 ip4:mail.example.org -all"], RED, "ip4:mail.example.org"),
        (["v=spf1 " + " ".join(f"a:h{n}.example.org" for n in range(10)) + " -all"], GREEN, ""),
        (["v=spf1 " + " ".join(f"a:h{n}.example.org" for n in range(11)) + " -all"], RED, "11 look-ups"),
        (["v=spf1 include:many.example include:many2.example -all"], RED, "12 look-ups"),
    ],
)
def test_spf_is_judged_as_receivers_read_it(texts: list[str], light: Light, words: str) -> None:
    five = " ".join(f"mx:m{n}.example" for n in range(5))
    records = {
        "example.org TXT": texts,
        "good.example TXT": ["v=spf1 ip4:192.0.2.1 -all"],
        "double.example TXT": ["v=spf1 -all", "v=spf1 ~all"],
        "many.example TXT": [f"v=spf1 {five} -all"],
        "many2.example TXT": [f"v=spf1 {five} -all"],
    }
    item = ask({key: value for key, value in records.items() if value}, "spf")
    assert (item.light, words in item.sentence) == (light, True), item
    assert item.advice or light is GREEN


def test_record_to_publish_names_the_mail_server_when_there_is_none() -> None:
    assert ask({}, "spf").record == 'example.org. IN TXT "v=spf1 a:mail.example.org -all"'


@pytest.mark.parametrize(
    ("texts", "light", "words"),
    [
        ([], RED, "no such key"),
        (["unrelated"], RED, "no such key"),
        ([f"v=DKIM1; k=rsa; p={LONG_KEY}"], GREEN, ""),
        ([f"p={LONG_KEY}"], GREEN, ""),
        ([f"v=DKIM1; k=rsa; h=sha256; p={LONG_KEY[:200]} {LONG_KEY[200:]}"], GREEN, ""),
        ([f"v=DKIM1; k=ed25519; p={b64encode(bytes(32)).decode()}"], GREEN, ""),
        ([f"v=DKIM1; p={b64encode(bytes(162)).decode()}"], AMBER, "2048"),
        ([f"v=DKIM1; p={b64encode(bytes(94)).decode()}"], RED, "too short"),
        (["v=DKIM1; p="], RED, "withdrawn"),
        (["v=DKIM1; p=PUBLIC-KEY"], RED, "base64"),
        ([f"v=DKIM2; p={LONG_KEY}"], RED, "version"),
        ([f"v=DKIM1; t=y; p={LONG_KEY}"], AMBER, "test"),
        ([f"v=DKIM1; p={LONG_KEY}", f"v=DKIM1; k=rsa; p={LONG_KEY}"], RED, "2 keys"),
    ],
)
def test_key_is_judged_as_receivers_read_it(texts: list[str], light: Light, words: str) -> None:
    item = ask({"s1._domainkey.example.org TXT": texts} if texts else {}, "dkim")
    assert (item.light, words in item.sentence) == (light, True), item


def test_key_is_not_known_when_nobody_names_the_selector() -> None:
    item = check_dkim(DnsReader(["127.0.0.1:9"]), "example.org", selector="")
    assert item.light is GREY
    assert "round trip" in item.advice


@pytest.mark.parametrize(
    ("records", "light", "words"),
    [
        ({}, RED, "no DMARC record"),
        ({"_dmarc.news.example.org TXT": ["v=DMARC1; p=none"]}, GREEN, "_dmarc.news.example.org"),
        ({"_dmarc.example.org TXT": ["v=DMARC1; p=reject; rua=mailto:a@example.org"]}, GREEN, "_dmarc.example.org"),
        ({"_dmarc.org TXT": ["v=DMARC1; p=reject"]}, RED, "no DMARC record"),
        ({"_dmarc.news.example.org TXT": ["p=none"]}, RED, "no DMARC record"),
        ({"_dmarc.news.example.org TXT": ["v=DMARC1; p=nothing"]}, RED, "no policy"),
        ({"_dmarc.news.example.org TXT": ["v=DMARC1;"]}, RED, "no policy"),
        ({"_dmarc.news.example.org TXT": ["v=DMARC1; p=none", "v=DMARC1; p=reject"]}, RED, "2 DMARC records"),
        ({"_dmarc.news.example.org TXT": ["v=DMARC1; p=none; aspf=s"]}, AMBER, "strict"),
    ],
)
def test_policy_is_judged_as_receivers_read_it(records: dict[str, list[str]], light: Light, words: str) -> None:
    item = ask(records, "dmarc")
    assert (item.light, words in item.sentence) == (light, True), item


@pytest.mark.parametrize(
    ("options", "light", "words"),
    [
        ({"key_domain": "example.org"}, AMBER, "adkim=s"),
        ({"key_domain": "news.example.org"}, AMBER, "aspf=s"),
        ({"key_domain": "news.example.org", "return_domain": "news.example.org"}, GREEN, ""),
        ({"return_domain": "news.example.org"}, GREEN, ""),
    ],
)
def test_strict_policy_is_told_when_mail_does_not_satisfy_it(options: dict[str, str], light: Light, words: str) -> None:
    item = ask({"_dmarc.news.example.org TXT": ["v=DMARC1; p=none; aspf=s; adkim=s"]}, "dmarc", **options)
    assert (item.light, words in item.sentence) == (light, True), item


@pytest.mark.parametrize(
    ("domain", "asked"),
    [
        ("news.school.example.co.uk", ["_dmarc.news.school.example.co.uk", "_dmarc.example.co.uk"]),
        ("a.school.example.k12.ca.us", ["_dmarc.a.school.example.k12.ca.us", "_dmarc.example.k12.ca.us"]),
        ("example.org", ["_dmarc.example.org"]),
        ("school.github.io", ["_dmarc.school.github.io"]),
    ],
)
def test_policy_is_asked_of_the_domain_and_of_its_organisation_alone(domain: str, asked: list[str]) -> None:
    with DnsServer({}) as server:
        check_dmarc(DnsReader([server.address]), domain, return_domain=domain)
        assert server.questions == [f"{name} TXT" for name in asked]


@pytest.mark.parametrize(
    ("records", "light", "words"),
    [
        ({}, RED, "No mail server"),
        ({"example.org TXT": ["x"]}, RED, "No mail server"),
        ({"example.org MX": ["10 mail.example.org."], "mail.example.org A": ["192.0.2.1"]}, GREEN, ""),
        ({"example.org MX": ["10 mail.example.org."], "mail.example.org AAAA": ["2001:db8::1"]}, GREEN, ""),
        ({"example.org MX": ["10 mail.example.org."]}, RED, "no address"),
        ({"example.org MX": ["10 mail.example.org."], "mail.example.org A": ["127.0.0.1"]}, RED, "no address"),
        ({"example.org MX": ["0 ."]}, RED, "null MX"),
        ({"example.org A": ["192.0.2.1"]}, AMBER, "no MX record"),
    ],
)
def test_mail_server_is_judged_as_senders_find_it(records: dict[str, list[str]], light: Light, words: str) -> None:
    item = ask(records, "mx")
    assert (item.light, words in item.sentence) == (light, True), item


def test_nothing_is_said_when_the_name_servers_do_not_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dns_reader, "QUERY_SECONDS", 0.3)
    with DnsServer({}, failing=["example.org"], silent=["silent.example"]) as server:
        reader = DnsReader([server.address])
        failing = check_spf(reader, "example.org", wanted="a")
        silent = check_mx(reader, "silent.example", purpose="what comes back")
    assert [failing.light, silent.light] == [GREY, GREY]
    assert "no answer about example.org" in failing.sentence
    assert "no answer about silent.example" in silent.sentence


def test_all_look_ups_together_have_an_end_when_a_server_is_slow(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dns_reader, "TOTAL_SECONDS", 0.0)
    item = check_spf(DnsReader(["127.0.0.1:9"]), "example.org", wanted="a")
    assert (item.light, "took too long" in item.sentence) == (GREY, True)


@pytest.mark.parametrize("server", ["nowhere.example", "192.0.2.1:x", "192.0.2.1:99999", "", "1.2.3"])
def test_setting_is_named_when_it_has_no_address(server: str) -> None:
    item = check_spf(DnsReader([server]), "example.org", wanted="a")
    assert (item.light, "DNS_SERVERS" in item.sentence) == (GREY, True)


def test_same_question_is_asked_once() -> None:
    with DnsServer({"example.org TXT": ['"x"']}) as server:
        reader = DnsReader([server.address])
        assert reader.read_txt("example.org") == reader.read_txt("EXAMPLE.org.") == ["x"]
        assert server.questions == ["example.org TXT"]


@pytest.mark.parametrize("name", ["x" * 64 + ".example", ".".join(["x" * 60] * 5), "a..b", "a\\999", "\ufffd.example"])
def test_name_that_nobody_can_have_has_no_records(name: str) -> None:
    assert DnsReader(["127.0.0.1:9"]).read_txt(name) == []


@pytest.mark.parametrize(
    ("one", "other", "expected"),
    [
        ("example.org", "example.org", True),
        ("news.example.org", "example.org", True),
        ("Example.ORG", "mail.example.org.", True),
        ("news.example.org", "mail.example.org", True),
        ("example.org", "other.org", False),
        ("example.co.uk", "other.co.uk", False),
        ("news.example.co.uk", "example.co.uk", True),
        ("school.example.de", "other.example.de", True),
        ("badexample.org", "example.org", False),
        ("example.com.tr", "other.com.tr", False),
        ("a.example.nsw.edu.au", "b.example.nsw.edu.au", True),
        ("example.asso.fr", "other.asso.fr", False),
        ("one.github.io", "two.github.io", False),
        ("mail.one.github.io", "one.github.io", True),
        ("xn--mnchen-3ya.de", "news.xn--mnchen-3ya.de", True),
        ("co.uk", "example.co.uk", False),
        ("", "example.org", False),
        (".", "example.org", False),
    ],
)
def test_domains_are_aligned_when_they_are_one_organisations(one: str, other: str, expected: bool) -> None:
    assert is_aligned(one, with_domain=other) is expected


@pytest.mark.parametrize(
    "domain", ["", "..", "a..b", "[192.0.2.1]", "x" * 400, "a." * 5000 + "org", "\0.org", "\xfc.de"]
)
def test_odd_domain_has_some_organisation(domain: str) -> None:
    assert isinstance(find_organisation(domain), str)
