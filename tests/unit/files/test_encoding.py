# ruff: noqa: RUF001  letters of many scripts that look alike

from __future__ import annotations

import codecs
import io
import time

import pytest

from batches.files.encoding import (
    CHOICES,
    check_encoding,
    choose_encoding,
    detect_encoding,
    find_rivals,
    is_encoded_twice,
)
from batches.files.errors import UnreadableFile
from batches.files.findings import EncodingChoice
from batches.files.guessing import CANDIDATES
from batches.files.survey import survey_file


def detect(data: bytes) -> str:
    stream = io.BytesIO(data)
    return detect_encoding(stream, survey_file(stream))


def rivals_of(data: bytes, encoding: str) -> list[EncodingChoice]:
    stream = io.BytesIO(data)
    return find_rivals(stream, survey_file(stream), encoding)


@pytest.mark.parametrize(
    ("text", "written", "found"),
    [
        ("plain", "ascii", "utf-8"),
        ("Zoë, Łukasz, Иван", "utf-8", "utf-8"),
        ("Zoë", "utf-8-sig", "utf-8-sig"),
        ("Zoë", "utf-16", "utf-16"),
        ("name", "utf-16-le", "utf-16-le"),
        ("name", "utf-16-be", "utf-16-be"),
        ("имя,Łódź\nЮлия,maria@example.org\n", "utf-16-le", "utf-16-le"),
        ("姓名,邮箱\n一二三,yi@example.org\n", "utf-16-be", "utf-16-be"),
        ("Jürgen Groß aus Köln, “Jo”", "cp1252", "cp1252"),
        ("Hélène et François à la plage", "latin-1", "cp1252"),
        ("Александр Пушкин, Мария Петрова", "cp1251", "cp1251"),
        ("Ελληνικά ονόματα από την Αθήνα", "cp1253", "cp1253"),
        ("山田太郎と鈴木花子は東京に住んでいます", "cp932", "cp932"),
        ("중앙대학교 김철수 선생님께 드립니다", "euc-kr", "cp949"),
        ("山田太郎,yamada@example.org", "iso2022_jp", "iso2022_jp"),
    ],
)
def test_encoding_is_found_when_the_text_shows_it(text: str, written: str, found: str) -> None:
    assert detect(text.encode(written)) == found


def test_encoding_is_found_when_the_first_letter_beyond_ascii_is_at_the_end() -> None:
    text = "ann@example.com,Ann\n" * 500_000
    assert detect(text.encode() + "Zoë".encode()) == "utf-8"
    assert detect(text.encode() + "Jürgen Groß\n".encode("cp1252")) == "cp1252"


@pytest.mark.parametrize("damage", [b"Zo\xff\n", "Zoë".encode()[:-1]], ids=["a byte", "cut off"])
def test_encoding_is_utf8_when_every_word_but_one_is(damage: bytes) -> None:
    assert detect("Zoë,山田太郎\n".encode() * 1000 + damage) == "utf-8"
    assert detect(("山" * 300).encode() + b" " + ("田" * 300).encode() + b" " + damage) == "utf-8"


def test_detection_takes_little_time_when_a_large_file_is_not_utf8() -> None:
    data = "Jürgen Groß aus Köln,joerg@example.com\n".encode("cp1252") * 500_000
    start = time.process_time()
    assert detect(data) == "cp1252"
    assert time.process_time() - start < 5


@pytest.mark.parametrize("name", ["klingon", "base64", "utf-7", "rot13", "unicode_escape", "idna"])
def test_choice_is_refused_when_no_file_can_have_it(name: str) -> None:
    with pytest.raises(UnreadableFile, match="Choose another"):
        check_encoding(name)


@pytest.mark.parametrize(
    ("name", "codec"), [("UTF8", "utf-8-sig"), ("Windows-1252", "cp1252"), ("latin1", "iso8859-1")]
)
def test_choice_is_taken_when_it_has_another_name(name: str, codec: str) -> None:
    assert check_encoding(name) == codec


@pytest.mark.parametrize("written", ["utf-16-le", "utf-16-be"])
def test_byte_order_is_found_when_utf16_is_chosen_for_a_file_without_mark(written: str) -> None:
    stream = io.BytesIO("Łukasz,email\nŻółć,lukasz@example.com\n".encode(written))
    assert choose_encoding("utf-16", stream) == written
    assert stream.tell() == 0


def test_choice_of_utf16_is_refused_when_the_file_is_not_utf16() -> None:
    with pytest.raises(UnreadableFile, match="is not UTF-16"):
        choose_encoding("utf-16", io.BytesIO(b"email\nann@example.com\n"))


def test_choice_of_utf16_is_taken_when_the_file_has_its_mark() -> None:
    assert choose_encoding("utf-16", io.BytesIO("email".encode("utf-16"))) == "utf-16"


def test_every_encoding_that_is_found_can_be_chosen() -> None:
    assert [codecs.lookup(name).name for name in CHOICES] == list(CHOICES)
    assert set(CANDIDATES) <= set(CHOICES)


GERMAN = ["Zoë Müller", "Jürgen Groß", "Käthe Schröder", "Günther Weiß", "Björn Höfer", "Übelacker Änne"]
FRENCH = ["Hélène Lefèvre", "François Gagné", "Zoé Crêpeau", "Noël Besançon", "Benoît Maître"]
SPANISH = ["José Muñoz", "Iñaki Peña", "María Ibáñez", "Ángel Núñez", "Begoña Gómez"]
TURKISH = ["Işıl Çağlar", "Gülşah Öztürk", "Şükrü Ağaoğlu", "Yıldız Ünal", "İbrahim Doğan"]
HUNGARIAN = ["Őze Gábor", "Tűz Ödön", "Kovács Jenő", "Nagy Gergő", "Szőke Éva", "Fűzfa Béla"]
ROMANIAN = ["Ştefan Ţurcanu", "Răzvan Dănilă", "Ionuţ Brâncoveanu", "Mădălina Şerban"]
POLISH = ["Łukasz Wójcik", "Małgorzata Dąbrowska", "Świętosław Żak", "Paweł Kamiński"]
CZECH = ["Jiří Dvořák", "Žaneta Růžičková", "Šárka Čechová", "Ondřej Švec"]
LITHUANIAN = ["Žydrūnas Šimkus", "Rūta Čepaitė", "Ąžuolas Žukas", "Šarūnė Kazlauskaitė"]
LATVIAN = ["Jānis Bērziņš", "Kārlis Ozoliņš", "Līga Kalniņa"]
ESTONIAN = ["Jüri Õunapuu", "Šarlotte Kõiv", "Žanna Tamm"]
RUSSIAN = ["Иван Петров", "Мария Сидорова", "Алексей Щукин"]
UKRAINIAN = ["Їжакевич Олена", "Григорій Ґудзь", "Юлія Єфремова"]
GREEK = ["Γιώργος Παπαδόπουλος", "Ελένη Ψαρρά", "Άννα Νικολάου"]
# First and last names in columns of their own: words of one or two characters, which many encodings read as words.
CHINESE_COLUMNS = [
    "春梅;崔",
    "秀云;谭",
    "玉华;朱",
    "彬;杨",
    "小红;唐",
    "建平;李",
    "丹丹;罗",
    "桂兰;郭",
    "成;焦",
    "勇;龙",
]
TAIWANESE_COLUMNS = ["志明;林", "文龍;曾", "秀鳳;方", "美娟;張", "詩涵;陳", "家豪;黃"]
KOREAN_COLUMNS = ["민재;김", "영환;지", "서연;박", "지훈;최", "하은;정", "성호;강"]
JAPANESE_COLUMNS = ["和也;佐藤", "結衣;鈴木", "舞;高橋", "直樹;田中", "陽子;伊藤", "さくら;渡辺"]

LISTS = [
    *(pytest.param(GERMAN, name, id=f"German-{name}") for name in ("cp1252", "mac-roman", "cp850", "iso8859-15")),
    *(pytest.param(FRENCH, name, id=f"French-{name}") for name in ("cp1252", "mac-roman", "cp850")),
    *(pytest.param(SPANISH, name, id=f"Spanish-{name}") for name in ("cp1252", "mac-roman", "cp850")),
    pytest.param(["João Conceição", "Luís Simões", "Inês Magalhães"], "mac-roman", id="Portuguese-mac-roman"),
    pytest.param(["Søren Kjær", "Åse Nørgaard", "Bjørn Ægidius"], "cp850", id="Danish-cp850"),
    pytest.param(["Þórður Ævarsson", "Guðrún Ásgeirsdóttir"], "cp1252", id="Icelandic-cp1252"),
    pytest.param(["Niccolò Rossi", "Mariù Forlì", "Città di Castello"], "cp1252", id="Italian-cp1252"),
    *(pytest.param(TURKISH, name, id=f"Turkish-{name}") for name in ("cp1254", "cp857", "mac-turkish")),
    *(pytest.param(HUNGARIAN, name, id=f"Hungarian-{name}") for name in ("cp1250", "cp852", "mac-latin2")),
    pytest.param(ROMANIAN, "cp1250", id="Romanian-cp1250"),
    *(pytest.param(POLISH, name, id=f"Polish-{name}") for name in ("cp1250", "cp852", "iso8859-2", "mac-latin2")),
    *(pytest.param(CZECH, name, id=f"Czech-{name}") for name in ("cp1250", "cp852", "iso8859-2")),
    *(pytest.param(LITHUANIAN, name, id=f"Lithuanian-{name}") for name in ("cp1257", "cp775")),
    pytest.param(LATVIAN, "cp1257", id="Latvian-cp1257"),
    pytest.param(ESTONIAN, "cp1257", id="Estonian-cp1257"),
    *(pytest.param(RUSSIAN, name, id=f"Russian-{name}") for name in ("cp1251", "koi8-r", "cp866", "mac-cyrillic")),
    *(pytest.param(UKRAINIAN, name, id=f"Ukrainian-{name}") for name in ("cp1251", "koi8-u")),
    *(pytest.param(GREEK, name, id=f"Greek-{name}") for name in ("cp1253", "cp737", "mac-greek")),
    pytest.param(["דוד כהן", "שרה לוי"], "cp1255", id="Hebrew-cp1255"),
    pytest.param(["محمد علي", "فاطمة حسن"], "cp1256", id="Arabic-cp1256"),
    pytest.param(["สมชาย ใจดี", "วิภา แสงทอง", "ประเสริฐ ศรีสุข"], "cp874", id="Thai-cp874"),
    *(pytest.param(["山田太郎", "鈴木花子"], name, id=f"Japanese-{name}") for name in ("cp932", "euc_jp")),
    pytest.param(["张伟", "王芳", "李娜"], "gb18030", id="Chinese-gb18030"),
    pytest.param(CHINESE_COLUMNS, "gb18030", id="Chinese-columns-gb18030"),
    pytest.param(TAIWANESE_COLUMNS, "big5", id="Taiwanese-columns-big5"),
    pytest.param(KOREAN_COLUMNS, "cp949", id="Korean-columns-cp949"),
    *(pytest.param(JAPANESE_COLUMNS, name, id=f"Japanese-columns-{name}") for name in ("cp932", "euc_jp")),
    pytest.param(["Ó Briain", "Ó Súilleabháin"], "cp1252", id="Irish-cp1252"),
    pytest.param(["Ó Briain"], "cp1252", id="Irish-word-cp1252"),
    pytest.param(["Dvořák"], "cp1250", id="Czech-word-cp1250"),
    pytest.param(["Máximo"], "cp1252", id="Spanish-word-cp1252"),
    pytest.param(["Élise", "Éric", "Étienne"], "mac-roman", id="French-words-mac-roman"),
    pytest.param(["תמר"], "cp1255", id="Hebrew-word-cp1255"),
    pytest.param(["Anaïs"], "cp1252", id="French-word-cp1252"),
    pytest.param(["Loïs"], "cp1252", id="Dutch-word-cp1252"),
    pytest.param(["張偉", "王芳", "陳怡君"], "big5", id="Taiwanese-big5"),
    pytest.param(["김민수", "이영희"], "cp949", id="Korean-cp949"),
]


def make_list(names: list[str]) -> str:
    return "E-Mail;name\r\n" + "".join(f"a{n}@example.org;{name}\r\n" for n, name in enumerate(names))


@pytest.mark.parametrize("is_in_capitals", [False, True], ids=["small", "capitals"])
@pytest.mark.parametrize(("names", "written"), LISTS)
def test_names_are_right_when_a_short_list_is_in_any_offered_encoding(
    names: list[str], written: str, is_in_capitals: bool
) -> None:
    text = make_list([name.upper() if is_in_capitals else name for name in names])
    try:
        data = text.encode(written)
    except UnicodeEncodeError:
        pytest.skip("The encoding lacks one of the capitals.")
    assert data.decode(detect(data)) == text


SIGNS = [
    ("cp1252", ["Ann;Don’t call", "Bo;Mum’s phone"]),
    ("cp1252", ["Ann O’Brien;it’s her father’s"]),
    ("cp1252", ["Ann;“quoted” – text…", "Bo;„Zitat“"]),
    ("cp1252", ["Ann;10 €", "Bo;£20", "Cy;5½ – 6°"]),
    ("cp1252", ["Ann;• point", "Bo;© 2026 ®", "Cy;™"]),
    ("cp1252", ["Mª José;C/ Mayor 3, 2º", "Begoña;3ª planta"]),
    ("cp1252", ["Müller & Söhne – GmbH;Straße 5", "JOSÉ;NICOLÒ"]),
    ("cp1252", ["Hélène Müller;Señor Peña de Málaga"]),
    ("mac-roman", ["Ann;Don’t call", "Bo;Mum’s phone"]),
    ("mac-roman", ["Ann;“quoted” – text…"]),
    ("cp1251", ["ООО «Ромашка»;№ 5", "ИП Иванов;кв. 3"]),
    ("cp932", ["ﾔﾏﾀﾞ ﾀﾛｳ;東京", "ポール・スミス;大阪"]),
]


@pytest.mark.parametrize(("written", "names"), SIGNS)
def test_signs_are_right_when_a_list_has_few_letters_beyond_ascii(written: str, names: list[str]) -> None:
    text = make_list(names)
    data = text.encode(written)
    assert data.decode(detect(data)) == text


@pytest.mark.parametrize("name", ["Brontë", "Anaïs Nin", "naïve", "GARÇON", "FRANÇOIS GARÇON", "Citroën", "PEÑA"])
def test_encoding_of_western_excel_is_found_when_one_word_is_all_there_is(name: str) -> None:
    data = make_list(["Ann Smith", "Bo Cole", name]).encode("cp1252")
    assert data.decode(detect(data)) == data.decode("cp1252")


def test_names_are_offered_both_ways_when_two_encodings_are_close() -> None:
    data = make_list(["Björn"]).encode("mac-roman")  # "Bjšrn" in Windows-1252 could be a name too
    found = detect(data)
    rivals = {choice.encoding: choice.samples for choice in rivals_of(data, found)}
    assert "mac-roman" in (found, *rivals)
    assert all(1 <= len(samples) <= 5 and one != other for samples in rivals.values() for one, other in samples)


@pytest.mark.parametrize("name", ["Malmö", "Nyström", "Araújo", "Möller"])
def test_other_encoding_is_offered_when_one_word_is_all_there_is(name: str) -> None:
    data = make_list(["Ann", "Bo", name, "Cy"]).encode("mac-roman")
    found = detect(data)
    samples = {choice.encoding: choice.samples for choice in rivals_of(data, found)}
    assert found == "mac-roman" or name in [right for _, right in samples["mac-roman"]]


def test_no_rival_is_offered_when_the_letters_leave_no_doubt() -> None:
    stream = io.BytesIO(make_list(GERMAN).encode("cp1252"))
    assert find_rivals(stream, survey_file(stream), "cp1252") == []
    assert stream.tell() == 0


def test_right_encoding_is_offered_when_a_person_chose_a_wrong_one() -> None:
    rivals = rivals_of(make_list(GERMAN).encode("mac-roman"), "cp1252")
    assert rivals[0].encoding == "mac-roman"
    assert ["Mźller", "Müller"] not in rivals[0].samples
    assert ["MŸller", "Müller"] in rivals[0].samples


def test_guess_can_decode_the_whole_file_when_a_late_byte_is_missing_in_the_likeliest_encoding() -> None:
    data = make_list(GERMAN * 200).encode("cp1252") + b"z@example.org;Zo\x81\r\n"  # cp1252 has no 0x81
    assert data.decode(detect(data))


def test_both_halves_are_right_when_a_list_is_half_utf8_and_half_windows() -> None:
    text = make_list(GERMAN)
    data = text.encode("cp1252") * 2 + text.encode()
    found = detect(data)
    assert data.decode(found) == text * 3
    assert [choice.encoding for choice in rivals_of(data, found)] == ["cp1252"]


def test_text_encoded_twice_is_repaired_and_the_way_back_is_offered() -> None:
    text = make_list(["Zoë Müller", "Bo", "José Muñoz"])
    data = text.encode().decode("cp1252").encode()
    assert detect(data) == "utf-8-twice"
    assert data.decode("utf-8-twice") == text
    (back,) = rivals_of(data, "utf-8-twice")
    assert (back.encoding, back.samples[0]) == ("utf-8", ["Zoë", "ZoÃ«"])
    (choice,) = rivals_of(data, "utf-8")
    assert (choice.encoding, choice.samples[0]) == ("utf-8-twice", ["ZoÃ«", "Zoë"])


def test_text_encoded_twice_is_noticed_in_cells_and_correct_text_is_not_taken_for_it() -> None:
    assert is_encoded_twice(["Ann", "ZoÃ« MÃ¼ller"])
    correct = [*GERMAN, *FRENCH, *SPANISH, *TURKISH, *CZECH, *POLISH, *RUSSIAN, *UKRAINIAN, *GREEK, "Ні", "СНІД"]
    assert not is_encoded_twice([form for text in correct for form in (text, text.upper(), text.title())])
