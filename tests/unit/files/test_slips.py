from __future__ import annotations

import time

import pytest

from batches.files.slips import find_slip


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        *(
            (name, "gmail.com")
            for name in ("gamil.com", "gmial.com", "gmai.com", "gmal.com", "gnail.com", "gmaill.com")
        ),
        *((name, "gmail.com") for name in ("gmail.con", "gmail.co", "gmail.cm", "gmail.de", "gmail.vom")),
        ("gmail.comm", "gmail.com"),
        *(
            (name, "gmail.com")
            for name in ("gamil.con", "gmaill.com", "ggmail.com", "mgail.com", "gmsil.com", "www.gmail.com")
        ),
        *((name, "hotmail.com") for name in ("hotmial.com", "hotmal.com", "hotmil.com", "hotmail.con", "hotmail.cm")),
        *((name, "yahoo.com") for name in ("yaho.com", "yahooo.com", "yhaoo.com", "yahoo.co", "yahoo.ocm")),
        *((name, "outlook.com") for name in ("outlok.com", "outloook.com", "oulook.com", "outlook.cim")),
        ("hotmial.co.uk", "hotmail.co.uk"),
        ("hotmail.couk", "hotmail.co.uk"),
        ("iclod.com", "icloud.com"),
        ("icloud.de", "icloud.com"),
        ("googlemial.com", "googlemail.com"),
        ("t-onlien.de", "t-online.de"),
        ("t-onlin.de", "t-online.de"),
        ("t-online.ed", "t-online.de"),
        ("freent.de", "freenet.de"),
        ("wanado.fr", "wanadoo.fr"),
        ("comcast.ent", "comcast.net"),
        ("example.con", "example.com"),
        ("mail.example.ogr", "mail.example.org"),
        ("example.nte", "example.net"),
        ("school.ed", "school.de"),
        ("school.dee", "school.de"),
        ("web.dee", "web.de"),
        ("gmx.d", "gmx.de"),
        ("gmx.con", "gmx.com"),
        ("hotmail.fe", "hotmail.fr"),
    ],
)
def test_domain_is_suggested_when_a_hand_slipped(typed: str, meant: str) -> None:
    assert find_slip(typed) == meant


@pytest.mark.parametrize(
    "domain",
    [
        *(
            "gmail.com",
            "mail.com",
            "ymail.com",
            "email.com",
            "gmx.at",
            "gmx.de",
            "gmx.net",
            "gmx.ch",
            "gmx.com",
            "gmx.fr",
        ),
        *("hotmail.co.uk", "hotmail.fr", "hotmail.cl", "hotmail.ca", "hotmail.com.mx", "hotmail.rs", "hotmail.hu"),
        *(
            "outlook.com.au",
            "outlook.ie",
            "outlook.sa",
            "live.se",
            "live.com.au",
            "live.nl",
            "msn.com",
            "aol.de",
            "aol.com",
        ),
        *("yahoo.com.sg", "yahoo.ie", "yahoo.no", "me.com", "mac.com", "web.de", "mail.ru", "bk.ru", "list.ru"),
        *(
            "i.ua",
            "proton.me",
            "protonmail.ch",
            "pm.me",
            "cloud.com",
            "grail.com",
            "kmail.com",
            "qmail.com",
            "hmail.com",
            "free.fr",
        ),
        *("example.co", "example.cm", "example.io", "example.museum", "example.photography", "xn--bcher-kva.de"),
        *("example.xn--p1ai", "uni-koeln.de", "comcast.com", "orange.com", "liber.it", "alce.it", "rage.fr", "tin.it"),
        *("oulu.fi", "telia.se", "mailbox.de", "online.de", "charter.com", "example.nosuchending", "163.com", "qq.com"),
    ],
)
def test_nothing_is_suggested_when_the_domain_is_real_or_nothing_is_near(domain: str) -> None:
    assert find_slip(domain) is None


def test_a_suggestion_is_never_a_slip_itself() -> None:
    for typed in ("gamil.con", "hotmial.cm", "yaho.co", "t-onlin.ed"):
        meant = find_slip(typed)
        assert meant and find_slip(meant) is None


def test_many_different_domains_take_little_time() -> None:
    find_slip("example.org")  # reads the list of endings
    start = time.process_time()
    for number in range(20_000):
        find_slip(f"company{number}.com")
    assert time.process_time() - start < 2
