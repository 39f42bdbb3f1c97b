"""Find the domains that are probably misspelt, as ``gamil.com`` and ``example.con``. Pure.

The top-level domains are those of the Public Suffix List. The mail providers are listed here: no library that is kept
up lists them. A domain that belongs to somebody else must not be pointed out, so only what a hand slips in is compared:
a letter that is left out, doubled, swapped with the next one or hit beside its key.
"""

from __future__ import annotations

from functools import cache, lru_cache
from itertools import chain

from publicsuffixlist import PublicSuffixList

_ONLY_COM = ("gmail", "googlemail", "icloud", "rocketmail")
"""Providers whose name is followed by .com and by nothing else."""

_WORLDWIDE = (
    *("gmail.com", "googlemail.com", "icloud.com", "protonmail.com", "rocketmail.com", "fastmail.com"),
    *("hotmail.com", "hotmail.co.uk", "hotmail.fr", "hotmail.de", "hotmail.it", "hotmail.es", "hotmail.be"),
    *("hotmail.nl", "hotmail.ch", "hotmail.com.br", "hotmail.com.ar", "hotmail.se", "hotmail.no", "hotmail.dk"),
    *("hotmail.gr", "outlook.com", "outlook.de", "outlook.fr", "outlook.es", "outlook.it", "outlook.pt"),
    *("outlook.com.br", "outlook.co.uk", "outlook.at", "outlook.dk", "outlook.jp"),
    *("yahoo.com", "yahoo.co.uk", "yahoo.de", "yahoo.fr", "yahoo.it", "yahoo.es", "yahoo.ca", "yahoo.co.in"),
    *("yahoo.in", "yahoo.co.jp", "yahoo.com.br", "yahoo.com.au", "yahoo.com.ar", "yahoo.com.mx", "yahoo.com.tr"),
    *("yahoo.gr",),
)
"""Domains that so many people have that a neighbour of theirs is nearly always a slip."""

_REGIONAL = (
    *("t-online.de", "freenet.de", "arcor.de", "posteo.de", "mailbox.org", "gmx.de", "gmx.net", "gmx.at", "gmx.ch"),
    *("bluewin.ch", "hispeed.ch", "chello.at", "aon.at", "web.de", "live.com", "live.de", "live.fr", "live.co.uk"),
    *("orange.fr", "wanadoo.fr", "laposte.net", "sfr.fr", "free.fr", "neuf.fr", "bbox.fr", "libero.it", "alice.it"),
    *("tiscali.it", "virgilio.it", "telefonica.net", "terra.es", "sapo.pt", "telenet.be", "skynet.be", "proximus.be"),
    *("ziggo.nl", "kpnmail.nl", "planet.nl", "xs4all.nl", "casema.nl", "telia.com", "comhem.se", "online.no"),
    *("btinternet.com", "virginmedia.com", "ntlworld.com", "talktalk.net", "blueyonder.co.uk", "sky.com", "eircom.net"),
    *("comcast.net", "verizon.net", "sbcglobal.net", "bellsouth.net", "charter.net", "earthlink.net", "optonline.net"),
    *("sympatico.ca", "rogers.com", "videotron.ca", "bigpond.com", "optusnet.com.au", "iinet.net.au", "xtra.co.nz"),
    *("yandex.ru", "rambler.ru", "mail.ru", "seznam.cz", "centrum.cz", "interia.pl", "onet.pl", "freemail.hu"),
    *("citromail.hu", "rediffmail.com", "uol.com.br", "bol.com.br", "terra.com.br", "naver.com", "hanmail.net"),
    *("docomo.ne.jp", "ezweb.ne.jp", "softbank.ne.jp", "tutanota.com", "zohomail.com", "hushmail.com"),
)

_OTHERS = (
    *("mail.com", "email.com", "ymail.com", "gmx.com", "gmx.us", "aol.com", "aim.com", "me.com", "mac.com", "msn.com"),
    *("protonmail.ch", "proton.me", "pm.me", "email.de", "hotmail.ca", "hotmail.cl", "yahoo.cl", "outlook.cl"),
    *("outlook.ch", "yahoo.ch", "yahoo.at", "fastmail.fm", "mail.de", "yandex.com", "inbox.ru", "inbox.lv"),
)

_REAL = frozenset((*_WORLDWIDE, *_REGIONAL, *_OTHERS))
"""Domains in which nothing is misspelt."""

_ENDINGS = ("com", "org", "net", "edu", "info", "de", "at", "ch", "fr", "it", "es", "nl", "be", "uk", "eu", "pl", "ru")
"""The endings that an ending which does not exist is compared with, the likeliest first."""

_SLIPS_OF_COM = ("co", "cm", "om")
"""Endings that exist, and that under the name of a provider are nearly always meant for .com."""

_KEYS = ("qwertyuiop", "asdfghjkl", "zxcvbnm")
_SHORT_LENGTH = 7
"""In a regional name shorter than this, only swapped and doubled letters are taken for slips."""


def find_slip(domain: str) -> str | None:
    """Return the domain that was probably meant; None if nothing is wrong with this one.

    ``domain`` is in its stored form: in lower case and in ASCII.
    """
    if domain in _REAL or "xn--" in domain:
        return None
    bare = domain.removeprefix("www.")
    if bare in _REAL:
        return bare
    ending = _correct_ending(bare)
    meant = _correct_name(ending or bare) or ending
    return meant if meant != domain else None


def _correct_ending(domain: str) -> str | None:
    """Return a domain with the ending that was meant, if its own does not exist."""
    name, _, ending = domain.rpartition(".")
    if _exists(ending):
        return None
    if ending == "couk":
        return f"{name}.co.uk"
    doubled = (meant for meant in _ENDINGS if _squeeze(ending) == _squeeze(meant))
    swapped = (meant for meant in _ENDINGS if sorted(ending) == sorted(meant))
    near = (meant for meant in _ENDINGS if len(meant) > 2 and _is_slip(ending, meant, is_first_sure=False))
    meant = next(chain(doubled, swapped, near), None)
    return f"{name}.{meant}" if meant else _find_provider(name, ending)


def _find_provider(name: str, ending: str) -> str | None:
    """Return the provider of this name whose ending begins with the same letter, as for "gmx.d" and "hotmail.fe"."""
    real = (domain for domains in (_WORLDWIDE, _REGIONAL, _OTHERS) for domain in domains)
    return next((domain for domain in real if domain.startswith(f"{name}.{ending[:1]}")), None)


@cache
def _known_endings() -> PublicSuffixList:
    return PublicSuffixList(accept_unknown=False, only_icann=True)


@lru_cache(maxsize=2048)
def _exists(ending: str) -> bool:
    return _known_endings().publicsuffix(ending) is not None


def _correct_name(domain: str) -> str | None:
    """Return the domain of the provider that was meant, if this one is a slip away from it."""
    if domain in _REAL:
        return domain
    name, _, ending = domain.partition(".")
    if name in _ONLY_COM:
        return f"{name}.com"
    if ending in _SLIPS_OF_COM and len(name) >= 4:
        return _correct_name(f"{name}.com")
    for meant, is_worldwide in _providers().get((ending, len(name)), ()):
        # The first letters are compared first, because nearly all names differ in them, and a list has many domains.
        if (
            name[:1] in meant[:2]
            and _is_slip(name, meant)
            and (is_worldwide or len(meant) >= _SHORT_LENGTH or _is_repeated(name, meant))
        ):
            return f"{meant}.{ending}"
    return None


@cache
def _providers() -> dict[tuple[str, int], list[tuple[str, bool]]]:
    """Return the providers' names by their ending and by the lengths that a slip can give them."""
    found: dict[tuple[str, int], list[tuple[str, bool]]] = {}
    for domains, is_worldwide in ((_WORLDWIDE, True), (_REGIONAL, False)):
        for domain in domains:
            name, _, ending = domain.partition(".")
            for length in range(len(name) - 1, len(name) + 2) if len(name) > 4 else ():
                found.setdefault((ending, length), []).append((name, is_worldwide))
    return found


def _is_slip(typed: str, meant: str, *, is_first_sure: bool = True) -> bool:
    """Say whether one slip of the hand makes ``typed`` of ``meant``.

    With ``is_first_sure``, a different first letter is no slip: "mail" and "email" are not slips of "gmail".
    """
    begin = _common_length(typed, meant)
    end = _common_length(typed[begin:][::-1], meant[begin:][::-1])
    wrong, right = typed[begin : len(typed) - end], meant[begin : len(meant) - end]
    if len(wrong) == 2 and wrong == right[::-1]:
        return True
    if begin == 0 and is_first_sure:
        return False
    if len(wrong) == len(right) == 1:
        return _are_neighbours(wrong, right)
    return len(wrong) + len(right) == 1


def _is_repeated(typed: str, meant: str) -> bool:
    """Say whether the words differ in swapped letters or in how often a letter is repeated, and in nothing else."""
    return sorted(typed) == sorted(meant) or _squeeze(typed) == _squeeze(meant)


def _squeeze(text: str) -> str:
    return "".join(char for char, after in zip(text, f"{text[1:]} ", strict=True) if char != after)


def _common_length(first: str, second: str) -> int:
    pairs = enumerate(zip(first, second, strict=False))
    return next((place for place, (one, other) in pairs if one != other), min(len(first), len(second)))


def _are_neighbours(one: str, other: str) -> bool:
    """Say whether two letters are beside each other on a keyboard, or look alike."""
    if {one, other} in ({"l", "1"}, {"o", "0"}, {"i", "l"}, {"a", "e"}, {"i", "y"}, {"y", "z"}):
        return True
    for upper, lower in zip(_KEYS, (*_KEYS[1:], ""), strict=True):
        for place, key in enumerate(upper):
            near = upper[max(place - 1, 0) : place + 2] + lower[max(place - 1, 0) : place + 1]
            if (key == one and other in near) or (key == other and one in near):
                return True
    return False
