"""``batches.webhooks.addresses``: no webhook is a way into the network that the program runs in."""

from __future__ import annotations

import ipaddress

import pytest
from django.conf import LazySettings

from batches.checks import check_webhook_hosts
from batches.webhooks.addresses import EndpointRefused, find_exemption_fault, is_public, keep_public, read_url, resolve

UNSPECIFIED = "0.0.0.0"  # noqa: S104  (nothing is bound to it)

NOT_PUBLIC = [
    *("127.0.0.1", "127.1.2.3", UNSPECIFIED, "0.1.2.3"),  # this machine
    *("10.0.0.1", "172.16.0.1", "172.31.255.255", "192.168.1.1", "100.64.0.1", "100.100.100.200"),
    *("169.254.169.254", "169.254.0.1", "168.63.129.16", "192.0.0.192"),  # where clouds answer about their machines
    *("192.0.2.1", "198.51.100.1", "203.0.113.1", "198.18.0.1", "192.88.99.1"),
    *("224.0.0.1", "239.255.255.255", "240.0.0.1", "255.255.255.255"),
    *("::", "::1", "::2", "fe80::1", "fec0::1", "fc00::1", "fd00:ec2::254", "ff02::1"),
    *("::ffff:127.0.0.1", "::ffff:10.0.0.1", "::ffff:169.254.169.254", "::127.0.0.1", "::ffff:0:127.0.0.1"),
    *("64:ff9b::7f00:1", "64:ff9b::a9fe:a9fe", "64:ff9b:1::1"),  # through NAT64
    *("2002:7f00:1::1", "2002:a9fe:a9fe::1", "2002:808:808::1", "2001:0:4136:e378:8000:63bf:3fff:fdd2"),  # in tunnels
    *("2001:db8::1", "3fff::1", "100::1", "4000::1", "5f00::1"),
]
PUBLIC = [
    *("1.1.1.1", "8.8.8.8", "93.184.215.14", "172.32.0.1", "100.128.0.1", "192.0.1.1"),
    *("2606:4700:4700::1111", "2001:4860:4860::8888", "2a00:1450:4001:830::200e"),
    *("::ffff:8.8.8.8", "64:ff9b::808:808"),
]


@pytest.mark.parametrize("text", NOT_PUBLIC)
def test_address_is_refused_when_it_is_not_of_the_public_internet(text: str) -> None:
    address = ipaddress.ip_address(text)
    assert not is_public(address)
    with pytest.raises(EndpointRefused, match="no public address"):
        keep_public([address], host="hooks.example.org")


@pytest.mark.parametrize("text", PUBLIC)
def test_address_is_kept_when_it_is_public(text: str) -> None:
    address = ipaddress.ip_address(text)
    assert keep_public([ipaddress.ip_address("10.0.0.1"), address], host="hooks.example.org") == [address]


@pytest.mark.parametrize(
    "host",
    [
        *("localhost", "LOCALHOST", "localhost.", "127.0.0.1", "127.1", "2130706433", "0x7f000001", "0x7f.1", "0177.1"),
        *(
            "0",
            UNSPECIFIED,
            "[::1]",
            "[::]",
            "[::ffff:127.0.0.1]",
            "[::ffff:7f00:1]",
            "[0:0:0:0:0:0:0:1]",
            "[fe80::1%25lo]",
            "[fe80::1%lo]",
        ),
        *("169.254.169.254", "[fd00:ec2::254]", "①②⑦.⓪.⓪.①", "127。0。0。1"),
    ],
)
def test_host_is_refused_in_every_spelling_when_it_is_this_machine_or_near_it(host: str) -> None:
    with pytest.raises(EndpointRefused):
        resolve(read_url(f"https://{host}/"))


def test_host_is_resolved_when_the_settings_name_it(settings: LazySettings) -> None:
    settings.WEBHOOK_PRIVATE_HOSTS = ["LocalHost", "127.0.0.1"]

    assert ipaddress.ip_address("127.0.0.1") in resolve(read_url("http://localhost.:8080/in"))
    assert resolve(read_url("http://127.0.0.1/")) == [ipaddress.ip_address("127.0.0.1")]
    with pytest.raises(EndpointRefused):
        resolve(read_url("https://127.0.0.2/"))


def test_host_is_refused_when_it_does_not_exist() -> None:
    with pytest.raises(EndpointRefused, match="was not found"):
        resolve(read_url("https://no-such-host.invalid/"))


@pytest.mark.parametrize(
    "url",
    [
        *(
            "",
            "hooks.example.org",
            "//hooks.example.org/",
            "ftp://hooks.example.org/",
            "file:///etc/passwd",
            "gopher://x/",
        ),
        *(
            "https://",
            "https:///path",
            "https://:443/",
            "https://hooks.example.org:port/",
            "https://hooks.example.org:99999/",
        ),
        *(
            "https://[::1/",
            "https://[nonsense]/",
            "https://ann:secret@hooks.example.org/",
            "https://ann@hooks.example.org/",
        ),
        *("https://hooks.example.org/a b", "https://hooks.example.org/ü", f"https://hooks.example.org/{'x' * 1000}"),
        *("https://hooks.example.org/?q=ü", f"https://{'x' * 64}.example.org/", "https://a..example.org/"),
    ],
)
def test_url_is_refused_when_nothing_can_be_posted_to_it(url: str) -> None:
    with pytest.raises(EndpointRefused):
        read_url(url)


@pytest.mark.parametrize(
    "url", ["https://example.org/\r\nX-Evil: 1", "https://example.org/\nGET / HTTP/1.1", "https://exa\tmple.org/"]
)
def test_line_breaks_reach_no_request_when_an_url_has_them(url: str) -> None:
    try:
        endpoint = read_url(url)
    except EndpointRefused:
        return
    assert not set("\r\n\t ") & set(endpoint.target + endpoint.authority)


def test_http_is_refused_when_the_host_is_not_exempt(settings: LazySettings) -> None:
    with pytest.raises(EndpointRefused, match="https"):
        read_url("http://hooks.example.org/")

    settings.WEBHOOK_PRIVATE_HOSTS = ["hooks.example.org"]
    assert not read_url("http://hooks.example.org/").is_tls


@pytest.mark.parametrize(
    ("url", "authority", "target"),
    [
        ("https://hooks.example.org", "hooks.example.org", "/"),
        ("https://HOOKS.example.org.:443/In?x=1&y=%20#part", "hooks.example.org", "/In?x=1&y=%20"),
        ("https://bücher.example:8443/a", "xn--bcher-kva.example:8443", "/a"),
        ("https://[2606:4700:4700::1111]:444/", "[2606:4700:4700::1111]:444", "/"),
    ],
)
def test_url_is_taken_apart_when_it_is_one(url: str, authority: str, target: str) -> None:
    endpoint = read_url(url)
    assert (endpoint.authority, endpoint.target) == (authority, target)


@pytest.mark.parametrize(
    "name", ["receiver", "hooks.internal", "HOOKS.internal.", "10.0.0.7", "::1", "[fd00::7]", "bücher.test"]
)
def test_exemption_is_right_when_it_is_a_host(name: str) -> None:
    assert find_exemption_fault(name) is None


@pytest.mark.parametrize(
    "name",
    ["", "https://hooks.internal", "hooks.internal:8080", "10.0.0.0/8", "*.internal", "a b", "ann@hooks.internal"],
)
def test_exemption_is_refused_when_it_would_exempt_nothing(name: str, settings: LazySettings) -> None:
    settings.WEBHOOK_PRIVATE_HOSTS = ["receiver", name]
    [error] = check_webhook_hosts(None)
    assert repr(name) in error.msg
