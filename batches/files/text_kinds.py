"""Name the kinds of text that are no list of recipients, by how the text begins. Pure."""

from __future__ import annotations

import codecs
import re

OPEN_AND_SAVE = "Open it with a spreadsheet program, and save it as CSV or .xlsx."
EXPORT_CONTACTS = "Export the contacts as CSV from the program that made it."
EXPORT_TABLE = "Export the table as CSV from the program that made it."
UPLOAD_LIST = "Upload the list itself, as CSV or as a spreadsheet."

_WEB_PAGE = "a web page, whatever its name says"
_XML_SHEET = "an XML spreadsheet of Excel 2003"

_COMMENTS = re.compile(r"(?:\s*<!--.*?(?:-->|\Z))+", re.DOTALL)
_HTML = re.compile(
    r"<(?:!doctype\s+html|(?:html|head|body|meta|title|style|script|link|base|table|thead|tbody|tr|t[dh]|div|span|p|font"
    r"|center|br|hr|img|a|b|i|u|ul|ol|h[1-6]|form|pre|section|main)(?=[\s/>]))"
)
_XML = re.compile(r"<\?xml|<[a-z_][\w:.-]*(?:\s[^<>@]*)?>[^<]*</?[a-z_]|<[a-z_][\w.-]*:[\w.-]+\s")
_FIRST_KINDS = (
    (re.compile(r"begin:vcard"), "an address book (vCard)", EXPORT_CONTACTS),
    (re.compile(r"begin:v(?:calendar|event)"), "a calendar (iCalendar)", UPLOAD_LIST),
    (re.compile(r"(?:version:\s*1\s+|#[^\n]*\n|\s)*dn::?\s"), "an address book (LDIF)", EXPORT_CONTACTS),
    (re.compile(r"//\s*<!--\s*<mdb:mork"), "an address book of Thunderbird (Mork)", EXPORT_CONTACTS),
    (
        re.compile(r'\{\s*"[^"\n]*"\s*:|\[\s*(?:\{\s*"|\[\s*["\d]|"[^"\n]*"\s*(?:,\s*"|\]\s*\Z))'),
        "a JSON file",
        OPEN_AND_SAVE,
    ),
    (re.compile(r"(?:---[^\n]*\n)?-[ \t]+[\w-]+:[ \t]+\S[^\n]*\n[ \t]+[\w-]+:\s"), "a YAML file", OPEN_AND_SAVE),
    (
        re.compile(
            r"(?:--[^\n]*\n|/\*[^*]*\*/;?|\s)*(?:insert\s+into|create\s+table|drop\s+table|begin\s+transaction)\s*\S"
        ),
        "a dump of a database (SQL)",
        EXPORT_TABLE,
    ),
    (re.compile(r"id;p[^\n]*\n(?:[bcefop]|nn|nu);"), "a spreadsheet in the form SYLK", OPEN_AND_SAVE),
    (re.compile(r"table\r?\n0,1\r?\n"), "a spreadsheet in the form DIF", OPEN_AND_SAVE),
    (re.compile(r"%!ps"), "a PostScript document", UPLOAD_LIST),
    (re.compile(r"\[internetshortcut\]"), "a shortcut to a web page", UPLOAD_LIST),
    (re.compile(r"from \S+ [^\n]*\d\d:\d\d[^\n]*\n[\w-]+:"), "a mailbox of email messages", UPLOAD_LIST),
)

_HEADER = re.compile(r"([a-z][a-z\d-]*):[ \t]?[^\n]*(?:\n[ \t]+[^\n]*)*\n?")
_MESSAGE_HEADERS = frozenset(
    {"from", "to", "cc", "subject", "date", "received", "return-path", "message-id", "mime-version", "content-type"}
    | {"delivered-to", "reply-to", "dkim-signature", "content-transfer-encoding", "content-location", "sender"}
)
_CERTAIN_HEADERS = frozenset(
    {"mime-version", "received", "return-path", "message-id", "delivered-to", "dkim-signature"}
)


def name_text_kind(head: bytes) -> tuple[str, str] | None:
    """Name the kind of a text that is no list, and say what to do; None if it may be a list.

    ``head`` is the first bytes of the file, some thousand.
    """
    text = _decode(head).lstrip("\ufeff\0").lstrip().lower()
    if text.startswith("<"):
        return _name_markup(text)
    for pattern, name, advice in _FIRST_KINDS:
        if pattern.match(text):
            return name, advice
    return _name_message(text.replace("\r\n", "\n"))


def _decode(head: bytes) -> str:
    """Decode the first bytes as far as their kind needs it: ASCII is the same in nearly every encoding."""
    if head.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return head.decode("utf-16", errors="replace")
    if head[1:2] == b"\0" and head[3:4] == b"\0":
        return head.decode("utf-16-le", errors="replace")
    if head[:1] == b"\0" and head[2:3] == b"\0":
        return head.decode("utf-16-be", errors="replace")
    return head.removeprefix(codecs.BOM_UTF8).decode("latin-1")


def _name_markup(text: str) -> tuple[str, str] | None:
    is_comment = text.startswith("<!--")
    text = _COMMENTS.sub("", text, count=1).lstrip() if is_comment else text
    if _HTML.match(text) or (text.startswith("<?xml") and "<html" in text):
        return _WEB_PAGE, OPEN_AND_SAVE
    if "urn:schemas-microsoft-com:office:spreadsheet" in text or text.startswith("<workbook"):
        return _XML_SHEET, OPEN_AND_SAVE
    if "opendocument.spreadsheet" in text and "<office:document" in text:
        return "a flat OpenDocument spreadsheet", "Open it, and save it as .ods or CSV."
    if text.startswith("<svg"):
        return "an SVG picture", UPLOAD_LIST
    if _XML.match(text):
        return "an XML document", OPEN_AND_SAVE
    return (_WEB_PAGE, OPEN_AND_SAVE) if is_comment and (not text or text.startswith("<")) else None


def _name_message(text: str) -> tuple[str, str] | None:
    """Recognise an email message and a web archive, which both begin with the headers of RFC 5322."""
    names: list[str] = []
    place = 0
    while match := _HEADER.match(text, place):
        names.append(match[1])
        place = match.end()
    known = _MESSAGE_HEADERS.intersection(names)
    if not names or (names[0] not in _MESSAGE_HEADERS and not names[0].startswith("x-")):
        return None
    if len(known) < 2 or (len(known) < 3 and not known & _CERTAIN_HEADERS):
        return None
    if "multipart/related" in text[:place] or ("text/html" in text and "from" not in known):
        return "a web archive (MHTML), whatever its name says", OPEN_AND_SAVE
    return "an email message", UPLOAD_LIST
