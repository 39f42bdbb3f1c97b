"""Templates are read as people write them, and rewritten so that they mean what they say."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from minijinja import Environment

from batches.rendering.compiled import CompiledTemplate, compile_parts
from batches.rendering.language import read_source
from batches.rendering.message import MessageLayout
from batches.rendering.plain import find_plain_layout
from batches.rendering.tags import TagFault
from batches.rendering.template import MessageParts, TemplateFault

ROW = {"vorname": "Eva", "nachname": "Berg", "points": "300", "first_name": "Ann", "имя": "Анна", "名前": "恵"}
TECHNICAL_WORDS = ("unexpected", "expected", "undefined", "identifier", "unsupported", "OutOfFuel")
"""Words of minijinja that no person should have to read."""


def compile_text(text: str, columns: list[str] | None = None) -> CompiledTemplate:
    return compile_parts(MessageParts(subject="S", html="", text=text), [*ROW] if columns is None else columns)


def render(text: str, **values: str) -> str:
    row = ROW | values
    return compile_text(text, [*row]).render(row | {"email": "eva@example.org"}).text


def refuse(text: str) -> str:
    """Return the sentence with which a template is refused when it is saved: there is no list yet."""
    with pytest.raises(TemplateFault) as fault:
        compile_parts(MessageParts(subject="S", html="", text=text))
    assert not [word for word in TECHNICAL_WORDS if word in str(fault.value)]
    return str(fault.value)


@pytest.mark.parametrize(
    ("tag", "shown"),
    [
        ("{{ vorname }}", "Eva"),
        ("{{ Vorname }}", "Eva"),
        ("{{ VORNAME }}", "Eva"),
        ("{{ Vor-Name }}", "Eva"),
        ("{{ vor name }}", "Eva"),
        ("{{ Vörnáme }}", "Eva"),
        ("{{Vorname}}", "Eva"),
        ("{{- Vorname -}}", "Eva"),
        ("{{\u00a0Vorname\u00a0}}", "Eva"),
        ("{{&nbsp;Vorname&nbsp;}}", "Eva"),
        ("{{ \u200bVorname }}", "Eva"),
        ("{{ Vorname: }}", "Eva"),
        ("{{ First Name }}", "Ann"),
        ("{{ FIRST\nNAME }}", "Ann"),
        ("{{ First Name|upper }}", "ANN"),
        ("{{ first-name }}", "Ann"),
        ("{{ First/Name }}", "Ann"),
        ("{{ First (Name) }}", "Ann"),
        ("{{ First, Name }}", "Ann"),
        ("{{ E-Mail }}", "eva@example.org"),
        ("{{ e mail }}", "eva@example.org"),
        ("{{ Mail }}", "eva@example.org"),
        ("{{ имя }}", "Анна"),
        ("{{ Имя }}", "Анна"),
        ("{{ 名前 }}", "恵"),
        ("{{ Vorname ~ ' ' ~ Nachname }}", "Eva Berg"),
        ("{{ Vorname + ' ' + Nachname }}", "Eva Berg"),
        ("{% if Vor-Name == 'Eva' %}yes{% endif %}", "yes"),
        ("{% if First Name == “Ann” and vorname == \u2018Eva\u2019 %}yes{% endif %}", "yes"),
        ("{% if First Name == &quot;Ann&quot; and points &gt; 3 %}yes{% endif %}", "yes"),
        ("{% if Vorname %}{{ vorname }}{% endif %}", "Eva"),
        ("{% set vorname = Vorname|upper %}{{ vorname }}", "EVA"),
        ("{% raw %}{{ x y }}{% endraw %}{{ Vorname }}", "{{ x y }}Eva"),
        ("{# {{ x y }} #}{{ Vorname }}", "Eva"),
        ('{{ "}}" }}{{ Vorname }}', "}}Eva"),
        ('{{ {"a": {"b": 1}}["a"]["b"] }}', "1"),
        ('{% if vorname == "&Euml;va" or vorname == "&#69;va" %}yes{% endif %}', "yes"),
    ],
)
def test_field_is_shown_when_it_is_written_as_people_do(tag: str, shown: str) -> None:
    assert render(tag) == shown


@pytest.mark.parametrize(
    ("tag", "merge_field"),
    [
        ("{{ First Name }}", "first_name"),
        ("{{ Prénom }}", "Prénom"),
        ("{{ E-Mail }}", "email"),
        ("{{ 1. Kind }}", "_1_kind"),
        ("{{ 2nd Choice }}", "_2nd_choice"),
        ("{{ Tel. }}", "tel"),
        ("{{ Mother's name }}", "mother_s_name"),
        ("{{ Mother\u2019s name }}", "mother_s_name"),
        ("{{ Name (Kind) }}", "name_kind"),
        ("{{ Straße/Ort }}", "strasse_ort"),
        ("{{ नाम }}", "नाम"),
        ("{{ Vorname }}{{ vorname }}{{ VOR NAME }}", "Vorname"),
        ("{% for i in range(3) %}{{ loop.index }}{% endfor %}{{ a }}", "a"),
        ("{% macro m(x) %}{{ x }}{% endmacro %}{{ m(a) }}", "a"),
        ("{% for row in rows %}{{ row.Kind }}{% endfor %}", "Kind"),
        ("{% for row in rows %}{{ row['Kind 1'] }}{% endfor %}", "Kind 1"),
    ],
)
def test_field_is_found_when_there_is_no_list_yet(tag: str, merge_field: str) -> None:
    assert compile_parts(MessageParts(subject="S", html="", text=tag)).merge_fields == {merge_field}


def test_missing_fields_are_named_as_typed_with_the_columns_near_them() -> None:
    with pytest.raises(TemplateFault) as fault:
        render("{{ Vornahme }} {{ Last Name }} {{ Vorname }}")
    assert str(fault.value) == (
        "The list has no column for: Vornahme, Last Name. Near Vornahme: vorname or nachname. "
        "Near Last Name: first_name or nachname. "
        "Write the name of a column in the template, or rename a field of the list."
    )


def test_hyphen_is_a_calculation_when_the_list_has_both_columns() -> None:
    assert (
        compile_text("{{ total-discount }}", ["total", "discount"]).render({"total": "10", "discount": "2,5"}).text
        == "7.5"
    )
    assert compile_text("{{ total-discount }}", ["total_discount"]).render({"total_discount": "x"}).text == "x"


def test_template_stays_plain_when_its_fields_are_written_as_people_do() -> None:
    template = compile_text("Dear {{ First Name }} {{ Nachname }}, {{\u00a0E-Mail }}.")
    plain = find_plain_layout(template, MessageLayout(from_email="a@example.org", job_id=1, key=b"k" * 32))
    assert plain is not None
    message = plain.fill(1, "eva@example.org", ROW | {"email": "eva@example.org"})
    assert message is not None and b"Dear Ann Berg, eva@example.org." in message.content


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("a\n{{ name", ["line 2", "{{ name", "}}"]),
        ("{{ name }", ["}}"]),
        ("{{{ name }}}", ["{{ name }}"]),
        ("{{ }}", ["empty", "{{ first_name }}"]),
        ("{{ <b>name</b> }}", ["HTML"]),
        ("{{ name|default:'x' }}", ["brackets"]),
        ("{{ name|'x' }}", ["can't be read"]),
        ("{{#if name}}a{{/if}}", ["{% if name %}"]),
        ("{# note", ["#}"]),
        ("{% if name = 'x' %}{% endif %}", ["=="]),
        ("{% if a && b %}{% endif %}", ["and"]),
        ("{% if a <> b %}{% endif %}", ["!="]),
        ("{% if points > 1,000 %}{% endif %}", ["1000"]),
        ("{% if 1 < points < 3 %}{% endif %}", ["and"]),
        ("{% if vip == true %}{% endif %}", ["vip", '"yes"']),
        ('{% if points > "100" %}{% endif %}', ["without quotation marks", "100"]),
        ("{% if points|length == '3' %}{% endif %}", ["two of a kind"]),
        ("\n{% if name %}a", ["line 2", "{% endif %}"]),
        ("{% for a in b %}{% endif %}", ["{% endfor %}"]),
        ("{% endif %}", ["ends nothing"]),
        ("{% else %}", ["between"]),
        ("{% if a %}{% else if b %}{% endif %}", ["{% elif %}"]),
        ("{% if a %}{% end if %}", ["{% endif %}"]),
        ("{% Vorname %}", ["{{ Vorname }}"]),
        ("{% iff a %}", ["{% if %}"]),
        ("{% include 'x' %}", ["other templates"]),
        ("{{ name.upper() }}", ["|upper"]),
        ("{{ name.shout() }}", ["Remove it"]),
        ("{{ shout(name) }}", ["function", "shout", "remove the brackets", "use a filter"]),
        ("{{ name|zzz }}", ["Common ones are upper, title, default, round, replace and join.", "docs/letters.md"]),
        ("{% if name is zzz %}{% endif %}", ["Common ones are defined, number,", "docs/letters.md"]),
        ("{{ rnge(3) }}", ["range"]),
        ("{{ " + "(" * 2000 + "a" + ")" * 2000 + " }}", ["brackets"]),
    ],
)
def test_sentence_says_what_to_write_when_a_template_is_refused(text: str, words: list[str]) -> None:
    sentence = refuse(text)
    assert [word for word in words if word not in sentence] == [], sentence


@pytest.mark.parametrize("tag", ["{{ name|euro }}", "{{ tomorrow() }}", "{% if name is zzz %}{% endif %}"])
def test_rare_names_are_not_listed_when_a_name_resembles_none(tag: str) -> None:
    assert not [name for name in ("cycler", "joiner", "urlencode", "divisibleby") if name in refuse(tag)]


@pytest.mark.parametrize("branch", ["{{% if vip == 'yes' %}}{}{{% endif %}}", "{}"])
@pytest.mark.parametrize(
    ("tag", "near"),
    [
        ("{{ name|capfirst }}", "capitalize"),
        ("{{ name|uper }}", "upper"),
        ("{% filter uper %}a{% endfilter %}", "upper"),
        ("{{ rows|map('uper') }}", "upper"),
        ("{{ rows|select('definde') }}", "defined"),
        ("{{ rows|selectattr('a', 'definde') }}", "defined"),
        ("{% if name is definde %}{% endif %}", "defined"),
        ("{% if name is not definde %}{% endif %}", "defined"),
        ("{{ name|default(other|uper) }}", "upper"),
        ("{{ [name|uper] }}", "upper"),
        ("{{ 'a' if b else c|uper }}", "upper"),
        ("{% for x in rows|revrse %}{% endfor %}", "reverse"),
        ("{% set x = name|uper %}", "upper"),
    ],
)
def test_unknown_name_is_refused_in_every_branch(branch: str, tag: str, near: str) -> None:
    assert f"Did you mean {near}?" in refuse(branch.format(tag))


@pytest.mark.parametrize(
    ("points", "is_more"),
    [("3", False), ("300", True), ("1.234,5", True), ("1,234.5", True), (" 7 ", False), ("12 %", False), ("", False)],
)
@pytest.mark.parametrize(
    "condition",
    [
        "{% if points > 100 %}y{% endif %}",
        "{% if 100 < points %}y{% endif %}",
        "{% if Points > 100 and vorname == 'Eva' %}y{% endif %}",
        "{% if vorname == 'Bo' %}{% elif points > 100 %}y{% endif %}",
        "{{ 'y' if points > 100 }}",
        "{{ 'y' if points > 100 else '' }}",
        "{% set big = points > 100 %}{% if big %}y{% endif %}",
        "{% set p = points %}{% if p > 100 %}y{% endif %}",
        "{% for row in rows if row.points > 100 %}y{% endfor %}",
        "{% for row in rows %}{% if row.Points > 100 %}y{% endif %}{% endfor %}",
        "{% if points|int > 100 %}y{% endif %}",
        "{% if points|float > 100.5 %}y{% endif %}",
        "{% if points is gt 100 %}y{% endif %}",
        "{% if points is greaterthan(100) %}y{% endif %}",
        "{% if points > 99 + 1 %}y{% endif %}",
        "{% if (points) > (100) %}y{% endif %}",
        "{% with p = points %}{% if p > 100 %}y{% endif %}{% endwith %}",
        "{% macro m(p) %}{{ 'y' if p > 100 }}{% endmacro %}{{ m(points) }}",
        "{% if points >= limit %}y{% endif %}",
        "{% for row in rows|selectattr('points', 'gt', 100) %}y{% endfor %}",
    ],
)
def test_number_in_a_cell_is_compared_as_a_number(condition: str, points: str, is_more: bool) -> None:
    assert render(condition, points=points, limit="100") == ("y" if is_more else "")


@pytest.mark.parametrize("sign", ["<", "<=", ">", ">=", "==", "!="])
def test_blank_cell_is_neither_more_nor_less_nor_different(sign: str) -> None:
    assert render(f"{{% if points {sign} 100 %}}y{{% endif %}}", points=" ") == ""


@pytest.mark.parametrize("sign", ["<", "<=", ">", ">=", "==", "!="])
def test_text_is_a_fault_of_its_row_when_it_is_compared_with_a_number(sign: str) -> None:
    with pytest.raises(TemplateFault, match="points is “many”, which is not a number") as fault:
        render(f"{{% if points {sign} 100 %}}y{{% endif %}}", points="many")
    assert "many" not in fault.value.group


@pytest.mark.parametrize(
    ("condition", "is_true"),
    [
        ("points == 300", True),
        ("points == 300.0", True),
        ("points != 300", False),
        ("points in [1, 300]", True),
        ("points not in [1, 300]", False),
        ("points in [1, 2]", False),
        ("vorname in ['Eva', 'Bo']", True),
        ("vorname < 'F'", True),
        ("vorname == 'Eva'", True),
        ("points == '300'", True),
        ("not points > 400", True),
        ("points > 100 and points < 400", True),
        ("points is number", True),
        ("vorname is number", False),
        ("points is divisibleby 7", False),
        ("points is even", True),
        ("points is odd", False),
        ("(points > 3) == true", True),
        ("points == points + 0", True),
        ("points != 1 + points", True),
        ("points == -points + points + points", True),
        ("vorname + 'x' == vorname + 'x'", True),
        ("vorname == vorname + vorname", False),
    ],
)
def test_condition_is_right_when_it_compares(condition: str, is_true: bool) -> None:
    assert render(f"{{% if {condition} %}}y{{% endif %}}") == ("y" if is_true else "")


@pytest.mark.parametrize(
    ("tag", "shown"),
    [
        ("{{ points * 2 }}", "600"),
        ("{{ points + 1 }}", "301"),
        ("{{ 1 + points }}", "301"),
        ("{{ points - 0.5 }}", "299.5"),
        ("{{ -points }}", "-300"),
        ("{{ points / 8 }}", "37.5"),
        ("{{ points // 7 }}", "42"),
        ("{{ points % 7 }}", "6"),
        ("{{ points * 1.1 }}", "330"),
        ("{{ 2 + points * 2 - 1 }}", "601"),
        ("{{ (points + 1) * 2 }}", "602"),
        ("{{ '-' * 3 }}", "---"),
        ("{{ points|round }}", "300"),
        ("{{ rows|sum(attribute='Points') }}", "300"),
        ("{{ points|int + 1 }}", "301"),
    ],
)
def test_number_in_a_cell_is_calculated_with_as_a_number(tag: str, shown: str) -> None:
    assert render(tag) == shown


def test_fault_says_both_ways_when_a_plus_may_add_or_join() -> None:
    with pytest.raises(TemplateFault, match=r"Write points\|float \+ points\|float to add, or points ~ points to join"):
        render("{{ points + points }}")


SIGNS = st.sampled_from(["<", "<=", ">", ">=", "==", "!="])
NUMBERS = st.sampled_from(["a", "b", "c", "1", "2", "3"])
SUMS = st.recursive(
    NUMBERS,
    lambda inner: st.one_of(
        st.tuples(inner, st.sampled_from(["+", "-", "*"]), inner).map(" ".join),
        inner.map("({})".format),
        inner.map("-{}".format),
    ),
    max_leaves=5,
)
COMPARISONS = st.tuples(SUMS, SIGNS, SUMS).map(" ".join)
CONDITIONS = st.recursive(
    COMPARISONS,
    lambda inner: st.one_of(
        st.tuples(inner, st.sampled_from(["and", "or"]), inner).map(" ".join),
        inner.map("not {}".format),
        inner.map("({})".format),
    ),
    max_leaves=4,
)


@given(condition=CONDITIONS, values=st.tuples(*[st.integers(0, 4)] * 3))
def test_rewritten_condition_means_the_same_as_minijinja_with_numbers(
    condition: str, values: tuple[int, int, int]
) -> None:
    source = f"{{% if {condition} %}}y{{% else %}}n{{% endif %}}"
    numbers = dict(zip("abc", values, strict=True))
    expected = Environment().render_str(source, **numbers)
    template = compile_parts(MessageParts(subject="S", html="", text=source), ["a", "b", "c"])
    try:
        assert template.render({name: str(value) for name, value in numbers.items()}).text == expected
    except TemplateFault as fault:  # two texts with a plus between them are the one thing that stays open
        assert "may add or join" in str(fault)


SNIPPETS = st.sampled_from(
    ["a", "First Name", "3", "'x'", "(", ")", "[", "]", "{", "}", "|", "|upper", " and ", " in ", " is ", " if ", "=",
     "==", ">", "-", "+", "*", "~", ",", ":", ".", "&nbsp;", "\u00a0", "'", "#", "?", "\n", " not ", "range(3)", "rows"]
)  # fmt: skip
WORDS = st.sampled_from(["if ", "else", "endif", "for x in ", "endfor", "set a = ", "set a", "endset", "raw", "x "])
CODE = st.lists(SNIPPETS, max_size=5).map("".join)
TAGS = st.one_of(
    CODE.map("{{{{ {} }}}}".format), st.tuples(WORDS, CODE).map(lambda pair: "{% " + "".join(pair) + " %}")
)


@given(st.lists(st.one_of(TAGS, CODE), min_size=1, max_size=4).map("".join), st.sampled_from(["3", "", "x", "1.234"]))
def test_any_template_is_rendered_or_refused_in_plain_words(source: str, value: str) -> None:
    parts = MessageParts(subject="S", html=source, text="T")
    for columns in (None, ["a", "first_name"]):
        try:
            compile_parts(parts, columns).render({"a": value, "first_name": value, "email": "a@example.org"})
        except TemplateFault as fault:
            assert not [word for word in TECHNICAL_WORDS if word in str(fault)], str(fault)


@given(st.text(alphabet="ab{}%#'\"|\n -", max_size=30))
def test_lines_stay_when_a_source_is_rewritten(source: str) -> None:
    try:
        read = read_source(source)
    except TagFault:
        return
    assert read.code.count("\n") == source.count("\n")


@pytest.mark.parametrize(
    "tag",
    [
        "{% if Points > 3 %}{% endif %}",
        "{% if 3 == points %}{% endif %}",
        "{{ points * 2 }}",
        "{{ -points }}",
        "{{ points|round }}",
        "{% if points in [1, 2] %}{% endif %}",
        "{% if points is gt 3 %}{% endif %}",
        "{% for row in rows if row.Points > 3 %}{% endfor %}",
    ],
)
def test_field_is_known_to_need_a_number_when_it_is_compared_as_one(tag: str) -> None:
    assert compile_text(tag + "{{ vorname }}{% if vorname == 'x' %}{% endif %}").number_fields == {"points"}
