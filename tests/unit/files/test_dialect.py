from __future__ import annotations

import pytest

from batches.files.dialect import Dialect, check_delimiter, detect_dialect, name_other_delimiter, read_sample
from batches.files.errors import UnreadableFile


@pytest.mark.parametrize(
    ("text", "delimiter"),
    [
        ("a,b\n1,2\n", ","),
        ("a;b\n1,5;2,5\n3,5;4,5\n", ";"),
        ("email\nann@example.com\n", ","),
        ("email;name\nann@example.com;Doe, Ann\n", ";"),
        ("email|name\nann@example.com|a,b;c\n", "|"),
        ("", ","),
        ("Members, friends, and others of 2026\nemail;name\nann@example.com;Ann\n", ";"),
        ("email,name\n\tann@example.com,Ann\n\tbo@example.com,Bo\n", ","),
        ("email,name\nann@example.com\t,Ann\nbo@example.com\t,Bo\n", ","),
        ("ann@example.com\t,Ann\nbo@example.com\t,Bo\n", ","),
        ("email\tname\nann@example.com\tBerg, Ann\nbo@example.com\tCole, Bo\n", "\t"),
        ("Wer;E-Mail;Betrag\nA;ann@example.com;1,50\nB;bo@example.com;2,50\n", ";"),
        ("email,notes\nann@example.com,a; b\nbo@example.com,c; d\n", ","),
        ("ann@example.com;anna@example.com\nbo@example.com\ncy@example.com\n", ","),
        ("sep=|\nemail|name\nann@example.com|a,b\n", "|"),
        ('"sep=;"\nemail;name\nann@example.com;a,b\n', ";"),
        ('"EXTF";700;21;"Debitoren";;;\nKonto;Name;E-Mail;Ort\n1;Ann;ann@example.com;Rom, Mitte\n', ";"),
        ("Name;E-Mail;Betrag\nAnn;ann@example.com;5,00\nBo;bo@example.com;7,00\nSumme;;12,00\n", ";"),
        ("email;name\nann@example.com, anna@example.com;Ann\nbo@example.com, bob@example.com;Bo\n", ";"),
        ("email,name\nann@gmail,Ann\nbo@gmail,Bo\n", ","),
    ],
)
def test_delimiter_is_found_when_cells_contain_the_others(text: str, delimiter: str) -> None:
    assert detect_dialect(text).delimiter == delimiter


@pytest.mark.parametrize(
    ("text", "dialect"),
    [
        ('email, name\na@x.org, "Berg, Ann"\n', Dialect(delimiter=",", has_blanks_before_quotes=True)),
        ('email,name\na@x.org,"Berg, Ann" \n', Dialect(delimiter=",", has_blanks_after_quotes=True)),
        ('"email,name"\n"a@x.org,Ann"\n', Dialect(delimiter=",", has_quoted_lines=True)),
        ('email;name\n"a@x.org;""Berg, Ann"""\n"b@x.org;Bo"\n', Dialect(delimiter=";", has_quoted_lines=True)),
        ('email,name\n"a@x.org; b@x.org",Ann\n"c@x.org; d@x",Bo\n', Dialect(delimiter=",")),
        ('"email","name"\n"a@x.org; b@x.org","Ann"\n"c@x.org; d@x","Bo"\n', Dialect(delimiter=",")),
        ('email\n"a@x.org;b@x.org"\n"c@x.org;d@x.org"\n', Dialect(delimiter=",")),
        ("'email','name'\n'a@x.org','Berg, Ann'\n'o''neil@x.org','Bo'\n", Dialect(delimiter=",", quote="'")),
        ('email,name\na@x.org,"Berg, Ann"\n', Dialect(delimiter=",")),
        ('email,name\na@x.org,"he said ""x"" ,and left"\n', Dialect(delimiter=",")),
        ("email,name\n'a@x.org,Ann\n'b@x.org,Bo\n", Dialect(delimiter=",")),
    ],
)
def test_quotes_are_understood_when_programs_and_people_write_them(text: str, dialect: Dialect) -> None:
    assert detect_dialect(text) == dialect


def test_line_keeps_its_end_when_blanks_after_quotes_are_removed() -> None:
    dialect = Dialect(delimiter=";", has_blanks_after_quotes=True)
    assert dialect.remove_blanks_after_quotes('"a" ;"b"\t;c ;"d" \r\n') == '"a";"b";c ;"d"\r\n'


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("email^name\nann@example.com^Ann\nbo@example.com^Bo\n", "^"),
        ("email~name\nann@example.com~Ann\n", "~"),
        ("email:name\nann@example.com:Ann\n", "a colon"),
        ("email  name\nann@example.com  Ann Berg\nbo@example.com  Bo\n", "spaces"),
        ("ann@example.com Ann\nbo@example.com Bo Cole\n", "spaces"),
        *(
            (f"name{sign}email\nAnn{sign}ann@example.com\nBo{sign}bo@example.com\n", sign)
            for sign in ("^", "~", "#", "!")
        ),
        ("List\nid/E-Mail\n1/ann@example.com\n2/bo@example.com\n", "a slash"),
        ("name~email\nann~b@example.com\nbo@example.com\ncy@example.com\n", None),
        ("E-Mail/Email\nann@example.com\nbo@example.com\n", None),
        ("email address,name\nann@example.com, Ann\nbo@example.com, Bo\n", None),
        ("email\nann~berg@example.com\nbo~cole@example.com\n", None),
        ("email^name\nann@gmail^Ann\n", None),
        ("email\nann@example.com\nbo@gmail^x\n", None),
        ("name\nAnn^Berg\n", None),
    ],
)
def test_other_delimiter_is_named_when_it_hides_the_addresses(text: str, name: str | None) -> None:
    assert name_other_delimiter(read_sample(text, detect_dialect(text)), text) == name


def test_delimiter_is_refused_when_no_list_has_it() -> None:
    assert check_delimiter("|") == "|"
    with pytest.raises(UnreadableFile, match="a comma, a semicolon, a tab or a vertical bar"):
        check_delimiter("x")
