"""Find where the name of a field ends, as people write it in a tag: Tel., Child 1, Name (child). Pure.

Tokens enter. The place of the token after the name leaves. A sign belongs to a name if the sign would be a fault there
anyway, or if the list has a column with the whole name.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence

from batches.names import make_key
from batches.rendering.syntax import KEYWORDS
from batches.rendering.tags import Token

ROWS = "rows"
"""The variable that holds all rows of one recipient."""

_FUNCTIONS = frozenset({"range", "dict", "namespace", "cycler", "joiner", "debug", "caller", "super"})
NOT_FIELDS = _FUNCTIONS | {"loop", "self"}
"""Variables that minijinja itself sets."""

_SHORT_NAMES = frozenset({"loop", "self", ROWS})
_AFTER_EXPRESSIONS = frozenset({"recursive"})
"""A word that follows an expression without a sign."""

_AT_THE_END = frozenset(".?!#$*%;&")
"""Signs that end a name, and mean something else only before an operand."""

_NAME_MAX_TOKENS = 20


def find_end_of_name(
    code: str, tokens: Sequence[Token], at: int, *, own: Collection[str], keys: Collection[str]
) -> int:
    """Return the place of the token after the name that begins at a place.

    Args:
        own: The variables that the source sets itself. They have attributes, and their names are short.
        keys: The keys of the list's merge fields, if there is a list.
    """
    if tokens[at].text in own or tokens[at].text in _SHORT_NAMES:
        return at + 1
    plain = _find_plain_end(tokens, at)
    is_column = _make_key(code, tokens, at, plain) in keys
    end, depth, has_operator = plain, 0, False
    for place in range(plain, min(len(tokens) - 1, at + _NAME_MAX_TOKENS)):
        token = tokens[place]
        if token.kind == "string" or token.text in ("|", "~"):
            break
        depth += (token.text in ("(", "[")) - (token.text in (")", "]"))
        if depth < 0:
            break
        has_operator |= _is_operator(token)
        if depth or _make_key(code, tokens, at, place + 1) not in keys:
            continue
        if token.text in _AT_THE_END:
            is_part = not _begins_operand(tokens[place + 1])
        else:
            # {{ Fee / 2 }} means the column "Fee / 2", and a calculation if there is a column "Fee" too.
            is_part = token.text in (")", "]") or token.kind in ("name", "number")
            is_part = is_part and not (is_column and has_operator)
        end = place + 1 if is_part else end
    return end


def find_end_of_attribute(code: str, tokens: Sequence[Token], at: int, keys: Collection[str] | None) -> int:
    """Return the place of the token after the name of an attribute.

    Args:
        keys: The keys of the list's merge fields, if it is an attribute of a row. None: it may have attributes itself.
    """
    if keys is not None:
        return find_end_of_name(code, tokens, at, own=(), keys=keys)
    end = at + 1
    while _is_word(tokens[end]):
        end += 1
    return end


def _find_plain_end(tokens: Sequence[Token], at: int) -> int:
    """Find the end of a name without a list: what follows a field here is a fault if it is no part of the name."""
    place = at + 1
    while True:
        token, after, third = tokens[place], _get(tokens, place + 1), _get(tokens, place + 2)
        if _is_word(token):
            place += 1
        elif token.text == "." and after.kind == "name" and third.text != "(":
            place += 2  # a value of a list has no attributes: user.name, z. B.
        elif token.text == "." and after.text in ("-", "/") and _is_word(third):
            place += 3  # Tel.-Nr.
        elif token.text in KEYWORDS and after.kind == "name" and not make_key(after.text):
            place += 2  # Fee in €
        elif token.text in _AT_THE_END and after.kind not in ("name", "number") and not _begins_operand(after):
            place += 1
        elif (end := _find_end_of_note(tokens, at, place)) > place:
            place = end
        else:
            return place


def _get(tokens: Sequence[Token], place: int) -> Token:
    return tokens[min(place, len(tokens) - 1)]


def _find_end_of_note(tokens: Sequence[Token], at: int, place: int) -> int:
    """Find the end of a note in brackets after a space, which is no call of a function: Name (child)."""
    if tokens[place].text != "(" or tokens[place - 1].end == tokens[place].start or tokens[at].text in _FUNCTIONS:
        return place
    for end in range(place + 1, min(len(tokens), place + _NAME_MAX_TOKENS)):
        if tokens[end].kind == "string" or tokens[end].text in ("(", "|", "~"):
            return place
        if tokens[end].text == ")":
            return end + 1 if end > place + 1 else place
    return place


def _is_word(token: Token) -> bool:
    if token.kind == "number":
        return token.text.isdigit()
    return token.kind == "name" and token.text not in KEYWORDS | _AFTER_EXPRESSIONS


def _is_operator(token: Token) -> bool:
    return (token.kind == "sign" and token.text not in (".", "(", ")")) or token.text in KEYWORDS


def _begins_operand(token: Token) -> bool:
    return token.kind in ("number", "string") or token.text in ("(", "[", "{", "-") or _is_word(token)


def _make_key(code: str, tokens: Sequence[Token], at: int, end: int) -> str:
    return make_key(code[tokens[at].start : tokens[end - 1].end])
