"""Cases of encodings, and of the signs that cling to an address."""

from __future__ import annotations

from collections.abc import Sequence

from tests.acceptance.lists.cases import AB, ANN, BO, ListCase, Rows, addresses
from tests.acceptance.lists.cases import make_case as case

TURKISH = ("Işıl Çağlar", "Gülşah Öztürk", "Şükrü Ağaoğlu", "Yıldız Ünal", "İbrahim Doğan", "Çiğdem Kılıç")  # noqa: RUF001
HUNGARIAN = ("Őze Gábor", "Tűz Ödön", "Kovács Jenő", "Nagy Gergő", "Szőke Éva", "Fűzfa Béla")
ROMANIAN = ("Ştefan Ionescu", "Ţurcanu Ană", "Brânză Ioniţă", "Mureşan Făt", "Pîrvulescu Ţica", "Gheorghiţă Raluşa")
GERMAN = ("Zoë Müller", "Jürgen Groß", "Käthe Schröder", "Günther Weiß", "Björn Höfer", "Übelacker Änne")
FRENCH = ("Zoé Lefèvre", "François Gérard", "Hélène Château", "Benoît Brûlé", "Noël Garçon", "Loïc Lacôte")
SPANISH = ("Íñigo Peña", "José Muñoz", "Núria Gómez", "Ángel Ibáñez", "Mónica Güell", "Óscar Piñón")
LITHUANIAN = ("Žydrūnas Šimkus", "Rūta Čepaitė", "Ąžuolas Žukas", "Šarūnė Kazlauskaitė", "Živilė Jonušaitė")
LATVIAN = ("Jānis Bērziņš", "Kārlis Ozoliņš", "Ilze Kalniņa", "Ģirts Šķēle", "Žanete Liepiņa", "Ļubova Čakste")
ESTONIAN = ("Jüri Põld", "Õnne Pärn", "Kärt Mägi", "Tõnu Käärik", "Ülle Jõgi", "Mõistlik Öö")
POLISH = ("Łucja Wiśniewska", "Małgorzata Żółć", "Stanisław Gałązka", "Święta Ćwik", "Źdźbło Ań", "Grażyna Dąbrowska")
CZECH = ("Jiří Dvořák", "Lukáš Němec", "Žaneta Růžičková", "Ondřej Šťastný", "Věra Černá", "Tomáš Kučera")
UKRAINIAN = ("Їжак Ірина", "Григорій Шевченко", "Євген Кравець", "Оксана Ґудзь", "Ольга Мельник", "Юрій Бойко")
RUSSIAN = ("Анна Королёва", "Пётр Ильин", "Дмитрий Щукин", "Юлия Жукова", "Эльдар Хабибуллин", "Фёдор Цой")
THAI = ("สมชาย ใจดี", "สมหญิง รักไทย", "วิชัย แสงทอง", "กมลชนก ศรีสุข", "ธนากร บุญมี", "พิมพ์ใจ วงศ์ใหญ่")
HEBREW = ("שרה כהן", "דוד לוי", "רחל מזרחי", "יוסף פרץ", "מרים ביטון", "אברהם דהן")
SLOVAK = ("Ľubomír Šťastný", "Žofia Ďurišová", "Ján Kováč", "Mária Hlaváčová", "Peter Ňaršanský", "Ľuboš Vĺčko")
CROATIAN = ("Željko Čavić", "Đurđa Šarić", "Ante Ćosić", "Marija Žužić", "Ivan Đokić", "Krešimir Šćur")
GREEK = ("Ελένη Παπαδοπούλου", "Γιώργος Νικολάου", "Μαρία Ιωάννου", "Δημήτρης Χατζής", "Ζωή Ψαρρού")
BULGARIAN = ("Иван Щерев", "Мария Ъглова", "Георги Петков", "Димитър Жеков", "Юлия Цанева", "Ангел Хаджиев")
PORTUGUESE = ("João Gonçalves", "Inês Conceição", "António Simões", "Luísa Magalhães", "Mário Brandão", "Zélia Galvão")
DANISH = ("Søren Østergaard", "Åse Kjær", "Jørgen Bæk", "Mærsk Ågård", "Bjørn Sæther", "Kåre Høyer")
ICELANDIC = ("Þórður Ægisson", "Sigríður Jónsdóttir", "Guðmundur Þór", "Ásgeir Örn", "Hrafnhildur Ýr", "Bryndís Ólöf")
ARABIC = ("محمد العمري", "ليلى حسن", "فاطمة الزهراء", "أحمد يوسف", "خالد إبراهيم", "سارة منصور")
EURO = ("Cœur Zoé", "Sœur Noël", "L'Œuvre Amélie", "Žofie Šimon", "Œdipe Ÿves", "Cœline Hélène")


def names_case(
    name: str, encoding: str, names: Sequence[str], *, repeat: int = 6, delimiter: str = ";", may_offer: bool = False
) -> ListCase:
    """A list of names as Excel or a database writes it in this encoding."""
    people = list(enumerate([*names] * repeat))
    lines = [f"E-Mail{delimiter}name", *(f"a{number}@example.org{delimiter}{person}" for number, person in people)]
    expect: Rows = {f"a{number}@example.org": {"name": person} for number, person in people}
    return case(name, "\r\n".join(lines).encode(encoding), expect, encoding=encoding if may_offer else "")


PLAIN_NAMES = ("Ann Smith", "Bo Cole", "Cy Dahl", "Di Frey", "Ed Gray", "Flo Hall")
WESTERN = {
    "apostrophe": "O’Neil",  # noqa: RUF001
    "dash": "Ann – Bo",  # noqa: RUF001
    "quotes": "“Ann”",
    "euro": "€5",
    "dots": "Ann…",
    "degrees": "25 °C",
    "copyright": "© Bo",
    "diaeresis": "Charlotte Brontë",
    "capitals": "FRANÇOIS GARÇON",
    "inside": "Anaïs Nin",
    "one-word": "Brontë",
    "half": "½ price",
}
"""Lists with hardly any letter beyond ASCII, as Excel writes most lists in English."""

ENCODINGS = [
    *(names_case(f"western-{name}", "cp1252", [*PLAIN_NAMES, text], repeat=1) for name, text in WESTERN.items()),
    names_case("slovak", "cp1250", SLOVAK),
    names_case("croatian", "cp1250", CROATIAN),
    names_case("greek", "cp1253", GREEK),
    names_case("greek-iso", "iso8859-7", GREEK, may_offer=True),
    names_case("bulgarian", "cp1251", BULGARIAN),
    names_case("portuguese-dos", "cp850", PORTUGUESE),
    names_case("portuguese-mac", "mac-roman", PORTUGUESE),
    names_case("danish-dos", "cp850", DANISH),
    names_case("icelandic", "cp1252", ICELANDIC),
    names_case("arabic", "cp1256", ARABIC),
    names_case("hungarian-dos", "cp852", HUNGARIAN),
    names_case("polish-mac", "mac-latin2", POLISH, may_offer=True),
    names_case("one-umlaut-mac", "mac-roman", [*PLAIN_NAMES, "Jürgen Groß"], repeat=1, may_offer=True),
    names_case("one-umlaut-dos", "cp850", [*PLAIN_NAMES, "Jürgen Groß"], repeat=1, may_offer=True),
    names_case("turkish", "cp1254", TURKISH),
    names_case("hungarian", "cp1250", HUNGARIAN),
    names_case("romanian", "cp1250", ROMANIAN),
    names_case("german-mac", "mac-roman", GERMAN),
    names_case("german-dos", "cp850", GERMAN),
    names_case("french-mac", "mac-roman", FRENCH),
    names_case("french-dos", "cp850", FRENCH),
    names_case("spanish-mac", "mac-roman", SPANISH),
    names_case("spanish-dos", "cp850", SPANISH),
    names_case("lithuanian", "cp1257", LITHUANIAN),
    names_case("latvian", "cp1257", LATVIAN),
    names_case("estonian", "cp1257", ESTONIAN, may_offer=True),
    names_case("polish-dos", "cp852", POLISH),
    names_case("czech-dos", "cp852", CZECH),
    names_case("polish", "iso8859-2", POLISH),
    names_case("ukrainian", "koi8-u", UKRAINIAN),
    names_case("ukrainian-windows", "cp1251", UKRAINIAN),
    names_case("russian-dos", "cp866", RUSSIAN),
    names_case("russian-mac", "mac-cyrillic", RUSSIAN, may_offer=True),
    names_case("thai", "cp874", THAI),
    names_case("hebrew-two-lines", "cp1255", HEBREW[:2], repeat=1, may_offer=True),
    names_case("euro", "iso8859-15", EURO, may_offer=True),
    names_case("turkish-two-lines", "cp1254", TURKISH[:2], repeat=1, may_offer=True),
    names_case("hungarian-two-lines", "cp1250", HUNGARIAN[:2], repeat=1, may_offer=True),
    names_case("turkish-commas", "cp1254", TURKISH, delimiter=",", repeat=2),
    names_case("western", "cp1252", GERMAN + FRENCH + SPANISH),
    case(
        "encoded-twice",
        "email,name\nann@example.org," + "Zoë".encode().decode("cp1252") + "\nbo@example.org,Bo\n",
        {"ann@example.org": {"name": "Zoë"}} | BO,
        found={"isEncodedTwice": True},
    ),
    case(
        "encoded-twice-all",
        "email,name\n"
        + "".join(f"a{n}@example.org,{who}\n" for n, who in enumerate(GERMAN)).encode().decode("latin-1"),
        {f"a{n}@example.org": {"name": who} for n, who in enumerate(GERMAN)},
        found={"isEncodedTwice": True},
    ),
    case(
        "two-encodings-in-one-file",
        "email,name\nann@example.org,Zoë\nbo@example.org,Jürgen\n".encode()
        + "cy@example.org,Käthe\ndi@example.org,Größe\n".encode("cp1252"),
        None,
        says=("(?i)line [45]",),
    ),
]


def _clinging(name: str, cell: str, *, delimiter: str = ",") -> ListCase:
    """Ann's address with a sign that clings to it. Nothing is in doubt, so she is a recipient."""
    return case(name, f"email{delimiter}name\n{cell}{delimiter}Ann\nbo@example.org{delimiter}Bo\n", AB)


def _several(name: str, cell: str) -> ListCase:
    """A cell with two addresses. Both become recipients, or the row is rejected with the reason."""
    return case(
        name,
        f"email;name\n{cell};Ann\nbo@example.org;Bo\n",
        BO,
        rejected=1,
        says=("(?i)more than one|two|several",),
        says_not=("(?i)invalid characters", "(?i)control character"),
        also=frozenset(addresses("ann", "anna")),
    )


CLINGING = [
    _clinging("line-feed", '"ann@example.org\n"'),
    _clinging("left-to-right-mark", "ann@example.org\u200e"),
    _clinging("mailto", "mailto:ann@example.org"),
    _clinging("semicolon", "ann@example.org;"),
    _clinging("apostrophe", "'ann@example.org"),
    case(
        "display-names",
        '"Berg, Ann" <ann@example.org>\n"Cole, Bo" <bo@example.org>\n',
        {"ann@example.org": {"name": "Berg, Ann"}, "bo@example.org": {"name": "Cole, Bo"}},
        filename="list.txt",
    ),
    _clinging("embedding", "\u202aann@example.org\u202c"),
    _clinging("isolate", "\u2068ann@example.org\u2069"),
    _clinging("soft-hyphen", "ann@exam\u00adple.org"),
    _clinging("zero-width-space", "ann@\u200bexample.org"),
    _clinging("tab", '"ann@example.org\t"'),
    case("tab-before", "email,name\n\tann@example.org,Ann\n\tbo@example.org,Bo\n", AB),
    _clinging("comma", '"ann@example.org,"'),
    _clinging("full-stop", "ann@example.org."),
    _clinging("colon", "ann@example.org:"),
    _clinging("square-brackets", "[ann@example.org]"),
    _clinging("round-brackets", "(ann@example.org)"),
    _clinging("angle-brackets", "<ann@example.org>"),
    _clinging("angle-bracket-lost", "ann@example.org>"),
    _clinging("curly-quotes", "“ann@example.org”"),
    _clinging("single-quotes", "'ann@example.org'"),
    _clinging("guillemets", "«ann@example.org»"),
    _clinging("full-width-sign", "ann＠example.org"),  # noqa: RUF001
    _clinging("smtp", "SMTP:ann@example.org"),
    _clinging("mailto-with-subject", "mailto:ann@example.org?subject=Hello"),
    _clinging("ideographic-space", "\u3000ann@example.org\u3000"),
    _clinging("byte-order-mark", "\ufeffann@example.org"),
    _clinging("semicolon-and-space", '"ann@example.org; "'),
    _clinging("bullet", "• ann@example.org"),
    _clinging("note", "ann@example.org (privat)"),
    _clinging("entities", "&lt;ann@example.org&gt;"),
    _clinging("name-and-mailto", "Ann <mailto:ann@example.org>"),
    _clinging("outlook", "Ann [mailto:ann@example.org]"),
    _clinging("low-quotes", "„ann@example.org“"),
    _clinging("percent", "mailto:ann%40example.org"),
    _clinging("full-width-letters", "ａｎｎ@example.org"),  # noqa: RUF001
    _clinging("semicolon-in-quotes", '"ann@example.org;"', delimiter=";"),
    case(
        "irish", "email,name\no'neil@example.org,Ann\nbo@example.org,Bo\n", {"o'neil@example.org": {"name": "Ann"}} | BO
    ),
    case(
        "pasted-on-one-line",
        '"Berg, Ann" <ann@example.org>; "Cole, Bo" <bo@example.org>; cy@example.org\n',
        {
            "ann@example.org": {"name": "Berg, Ann"},
            "bo@example.org": {"name": "Cole, Bo"},
            "cy@example.org": {"name": ""},
        },
        filename="list.txt",
    ),
    case(
        "pasted-with-commas",
        "Ann Berg <ann@example.org>, Bo Cole <bo@example.org>\n",
        {"ann@example.org": {"name": "Ann Berg"}, "bo@example.org": {"name": "Bo Cole"}},
        filename="list.txt",
    ),
    case(
        "pasted-without-quotes",
        "Ann Berg <ann@example.org>\nBo Cole <bo@example.org>\n",
        {"ann@example.org": {"name": "Ann Berg"}, "bo@example.org": {"name": "Bo Cole"}},
        filename="list.txt",
    ),
    case(
        "display-name-and-comma-in-a-cell",
        'email;name\n"""Berg, Ann"" <ann@example.org>";Ann\nbo@example.org;Bo\n',
        AB,
    ),
    _several("two-by-semicolon", '"ann@example.org; anna@example.org"'),
    _several("two-by-comma", "ann@example.org, anna@example.org"),
    _several("two-by-slash", "ann@example.org / anna@example.org"),
    _several("two-by-line-feed", '"ann@example.org\nanna@example.org"'),
    _several("two-by-google", "ann@example.org ::: anna@example.org"),
    _several("two-by-and", "ann@example.org und anna@example.org"),
    _several("two-by-bar", "ann@example.org | anna@example.org"),
    _several("two-by-ampersand", "ann@example.org & anna@example.org"),
    _several("two-with-names", "Ann <ann@example.org>, Anna <anna@example.org>"),
    _several("two-by-space", "ann@example.org anna@example.org"),
    case(
        "at-in-words",
        "email,name\nann (at) example.org,Ann\nbo@example.org,Bo\n",
        BO,
        rejected=1,
        says=("@|\\(at\\)",),
        also=frozenset(ANN),
    ),
    case(
        "slips",
        "email,name\nann@gamil.com,Ann\nbo@gmail.con,Bo\ncy@hotmial.com,Cy\ndi@gamil.com,Di\neve@example.org,Eve\n",
        {
            f"{who}": {}
            for who in ("ann@gamil.com", "cy@hotmial.com", "di@gamil.com", "eve@example.org", "bo@gmail.con")
        },
        found={"slips": 3},
    ),
]
