"""A letter in Markdown keeps each template tag in its place, or is refused with the line."""

from __future__ import annotations

import re
from html import unescape

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from batches.rendering.compiled import compile_parts
from batches.rendering.footers import add_to_html
from batches.rendering.tags import TagFault, find_line, find_spans
from batches.rendering.template import MessageParts, TemplateFault
from batches.writing.frame import Frame
from batches.writing.markdown import SOURCE_MAX_CHARS, write_letter

PLAIN = Frame()


def body(source: str) -> str:
    """Return the words of a letter in HTML, without the frame and the styles."""
    return body_of(write_letter(source, PLAIN).html)


def body_of(html: str) -> str:
    inner = html.partition('<div class="sheet"')[2].partition(">\n")[2].rpartition("</div>\n</div>")[0]
    return re.sub(r' style="[^"]*"', "", inner).strip()


def text(source: str) -> str:
    return write_letter(source, PLAIN).text


def tags_of(source: str) -> list[str]:
    return [source[span.start : span.end] for span in find_spans(source)]


def render(source: str, **values: object) -> tuple[str, str]:
    letter = write_letter(source, PLAIN)
    compiled = compile_parts(MessageParts(subject="S", html=letter.html, text=letter.text))
    rendered = compiled.render(values)
    return rendered.html, rendered.text


@pytest.mark.parametrize(
    ("source", "html", "words"),
    [
        ("# Hello {{ name }}", "<h1>Hello {{ name }}</h1>", "Hello {{ name }}\n"),
        ("**{{ a }}** and *b*", "<p><strong>{{ a }}</strong> and <em>b</em></p>", "{{ a }} and b\n"),
        ("one\ntwo", "<p>one<br>\ntwo</p>", "one\ntwo\n"),
        ("[Pay]({{ url }})", '<p><a href="{{ url }}">Pay</a></p>', "Pay: {{ url }}\n"),
        (
            "[Pay](https://x.org/{{ id }}?a=1&b={{ b }})",
            '<p><a href="https://x.org/{{ id }}?a=1&amp;b={{ b }}">Pay</a></p>',
            "Pay: https://x.org/{{ id }}?a=1&b={{ b }}\n",
        ),
        ("<https://x.org/a>", '<p><a href="https://x.org/a">https://x.org/a</a></p>', "https://x.org/a\n"),
        ("**[Pay](https://x.org)**", '<p><strong><a href="https://x.org" class="button">Pay</a></strong></p>', None),
        ("> said\n> so", "<blockquote>\n<p>said<br>\nso</p>\n</blockquote>", "> said\n> so\n"),
        ("![The hall](https://x.org/a.png)", '<p><img src="https://x.org/a.png" alt="The hall"></p>', "The hall\n"),
        ("    indented", "<p>indented</p>", "indented\n"),
        ("<b>no</b> & {{ a }}", "<p>&lt;b&gt;no&lt;/b&gt; &amp; {{ a }}</p>", "<b>no</b> & {{ a }}\n"),
        ("[Vorname] and [x]: y", "<p>[Vorname] and [x]: y</p>", "[Vorname] and [x]: y\n"),
        ("[x](javascript:alert)", "<p>[x](javascript:alert)</p>", "[x](javascript:alert)\n"),
        ('{{ a|default("*x* <b>") }}', '<p>{{ a|default("*x* <b>") }}</p>', '{{ a|default("*x* <b>") }}\n'),
        ("a {# note #} b", "<p>a {# note #} b</p>", "a {# note #} b\n"),
        ("<https://x.org/{{ a }}>", '<p><a href="https://x.org/{{ a }}">https://x.org/{{ a }}</a></p>', None),
        ("<https://x.org/{{ a }}>", None, "https://x.org/{{ a }}\n"),
        (
            "[x](https://müller.de/ü?q=a%26b%2Bc)",
            '<p><a href="https://xn--mller-kva.de/%C3%BC?q=a%26b%2Bc">x</a></p>',
            "x: https://xn--mller-kva.de/%C3%BC?q=a%26b%2Bc\n",
        ),
        (
            "[x](https://müller.de/ü)",
            '<p><a href="https://xn--mller-kva.de/%C3%BC">x</a></p>',
            "x: https://müller.de/ü\n",
        ),
        ("[x](https://x.org/%7B%7Ba%7D%7D)", None, "x: https://x.org/%7B%7Ba%7D%7D\n"),
        ("`{{ a }}` `*b*`", "<p><code>{{ a }}</code> <code>*b*</code></p>", "{{ a }} *b*\n"),
        ("![{{ a }}]({{ b }})", '<p><img src="{{ b }}" alt="{{ a }}"></p>', "{{ a }}\n"),
        ("\t{{ a }}\r\n👩‍👩‍👧 שלום", "<p>{{ a }}<br>\n👩‍👩‍👧 שלום</p>", "{{ a }}\n👩‍👩‍👧 שלום\n"),
        ("2 * {{ a }} * 3, a_{{ b }}_c", "<p>2 * {{ a }} * 3, a_{{ b }}_c</p>", None),
        ("{% raw %}{{ x }}{% endraw %}", "<p>{% raw %}{{ x }}{% endraw %}</p>", "{% raw %}{{ x }}{% endraw %}\n"),
    ],
)
def test_letter_becomes_html_and_text(source: str, html: str | None, words: str | None) -> None:
    assert html is None or body(source) == html
    assert words is None or text(source) == words


def test_condition_keeps_its_place_when_it_is_within_a_line() -> None:
    source = "Dear {% if vip %}**friend**{% else %}{{ name }}{% endif %},"
    assert body(source) == "<p>Dear {% if vip %}<strong>friend</strong>{% else %}{{ name }}{% endif %},</p>"


def test_condition_is_around_paragraphs_when_it_is_alone_on_its_line() -> None:
    html, words = render("One\n{% if vip %}\ntwo\n{% endif %}\nthree", vip="")
    assert "two" not in html
    assert html.count("<p ") == 2
    assert words == "One\n\nthree"


def test_rows_become_items_of_one_list_when_a_loop_is_around_an_item() -> None:
    html, words = render("{% for row in rows %}\n- {{ row.a }}\n{% endfor %}", rows=[{"a": "x"}, {"a": "y"}], a="")
    assert html.count("<ul") == 1
    assert html.count("<li") == 2
    assert words == "- x\n- y\n"


def test_condition_stays_in_its_item_when_it_is_indented() -> None:
    source = "- one\n  {% if a %}\n  - two\n\n  three\n{% endif %}\n- four"
    html, words = render(source, a="x")
    assert re.sub(r' style="[^"]*"|\s', "", html.partition("<ul")[2]).count("<ul") == 1
    assert words == "- one\n\n  - two\n  three\n\n- four"
    html, words = render(source, a="")
    assert html.count("<li") == 2
    assert words == "- one\n\n- four"


def test_rows_are_items_of_one_list_when_each_has_a_condition() -> None:
    source = "{% for row in rows %}\n- {{ row.a }}\n  {% if row.b %}\n  with {{ row.b }}\n  {% endif %}\n{% endfor %}"
    html, words = render(source, rows=[{"a": "x", "b": "y"}, {"a": "z", "b": ""}], a="", b="")
    assert (html.count("<ul"), html.count("<li")) == (1, 2)
    assert "with y" in words and words.count("with") == 1


@pytest.mark.parametrize(
    ("source", "lists", "items"),
    [
        ("1. a\n{% if x %}\n2. b\n{% endif %}\n3. c", 1, 3),
        ("{% if x %}\n- a\n{% endif %}\n- b", 1, 2),
        ("- a\n{% if x %}\n- b\n{% else %}\n- c\n{% endif %}", 1, 2),
        ("- a\n{% for row in rows %}\n- {{ row.a }}\n{% endfor %}\n- b", 1, 4),
        ("{% for row in rows %}\n{% if row.a %}\n- {{ row.a }}\n{% endif %}\n{% endfor %}", 1, 2),
        ("{% if x %}\n- a\n{% if x %}\n- b\n{% endif %}\n{% endif %}\n\nText", 1, 2),
        ("- a\n  1. b\n  {% if x %}\n  2. c\n  {% endif %}\n- d", 2, 4),
        # Not one list: without x, nothing would be in it, or the condition is about more than items.
        ("{% if x %}\n- a\n{% endif %}\n{% if x %}\n- b\n{% endif %}", 2, 2),
        ("- a\n{% if x %}\n- b\n\nText\n{% endif %}\n- c", 3, 3),
        ("- a\n{% if x %}\n1. b\n{% endif %}\n- c", 3, 3),
        ("- a\n{# note #}\n- b", 2, 2),
    ],
)
def test_items_are_in_one_list_when_statements_are_between_them(source: str, lists: int, items: int) -> None:
    html, _ = render(source, x="yes", rows=[{"a": "x"}, {"a": "y"}])
    assert (len(re.findall("<[ou]l", html)), html.count("<li")) == (lists, items)


@pytest.mark.parametrize(
    "value", ["*Anna* [x](http://evil)", "# A\n- b", "<b>&", "`c` _d_ ~~e~~ \\*", "{{ b }}", "| a |"]
)
def test_value_is_never_read_as_markdown(value: str) -> None:
    html, words = render("Dear **{{ a }}**,", a=value, b="secret")
    assert words == f"Dear {value},"
    assert unescape(body_of(html)) == f"<p>Dear <strong>{value}</strong>,</p>"
    assert "secret" not in html + words


def test_rows_become_rows_of_a_table_when_a_loop_is_between_them() -> None:
    source = "| Child |\n|---|\n{% for row in rows %}\n| {{ row.a }} |\n{% endfor %}\n\nEnd"
    html, words = render(source, rows=[{"a": "x"}, {"a": "y"}], a="")
    assert html.count("<tr>") == 3
    assert html.count("<table") == 1
    assert words == "Child\nx\ny\n\nEnd"


@pytest.mark.parametrize(
    ("source", "line"),
    [
        ("a\n\nb {% if x %}\nc\n{% endif %}", 5),
        ("**{% if x %}a** b{% endif %}", 1),
        ('a\n[b]({{ u }} "{{ title }}")', 2),
        ("a\n{% if x %}", 2),
        ("a\n\n{% macro m() %}x{% endmacro %}", 3),
        ("a\n{{ b", 2),
        ("x" * (SOURCE_MAX_CHARS + 1), 1),
        ("a\n" + "|" * 31, 2),
        ("a\n" + "|" * 30 + "\n" * 1000, 2),
        ("a\n\\{\\{ name \\}\\}", 2),
        ("{{ a }}\n&#123;&#123; b }}", 2),
        ("a\n{*{ b }*}", 2),
        ("a\n{**{{ a }}**", 2),
        ("a\n[x]({{ s }}:alert(1))", 2),
        ("a\n[x](ftp://x.org/{{ a }})", 2),
        ("a\n![x](cid:logo)", 2),
        ("a\n[x](localhost:8000)", 2),
        ("a\n[x](https://müller-{{ id }}.de)", 2),
        ("a\n{{ a }}{% if b %}\n\n{% endif %}c", 4),
    ],
)
def test_letter_is_refused_with_the_line_when_a_tag_cannot_keep_its_place(source: str, line: int) -> None:
    with pytest.raises(TagFault) as refusal:
        write_letter(source, PLAIN)
    assert find_line(source, refusal.value.offset) == line


def test_frame_is_around_the_words_and_its_footer_is_in_both_parts() -> None:
    frame = Frame(accent="#ffee00", logo_url="https://x.org/l.png", logo_words="School & Co", footer="School\nStreet 1")
    letter = write_letter("[a](https://x.org)", frame)
    assert '<img src="https://x.org/l.png" alt="School &amp; Co"' in letter.html
    assert "School<br>\nStreet 1" in letter.html
    assert "#ffee00" in letter.html
    assert "color:#ffee00" not in letter.html  # nobody could read yellow words on white
    assert letter.text.endswith("\n\nSchool\nStreet 1\n")


PIECES = st.sampled_from(
    [
        *(
            "{{ a }}",
            "{{ b|upper }}",
            "{% if a %}",
            "{% else %}",
            "{% endif %}",
            "{% for row in rows %}",
            "{% endfor %}",
        ),
        *(
            "{{ row.a }}",
            "{# c #}",
            "{% raw %}*{% endraw %}",
            '{{ a|default("](x)") }}',
            "\n",
            "\n\n",
            "- ",
            "1. ",
            "> ",
        ),
        *(
            "**",
            "*",
            "_",
            "~~",
            "`",
            "[",
            "](",
            ")",
            "![",
            "<",
            ">",
            "| ",
            "|\n|---|\n",
            "# ",
            "---\n",
            "word ",
            "zqab",
            "{",
            "}",
            "\\{",
            "&#123;",
            "xn--",
            "https://ü",
            "](https://x.org/%7B%7B",
        ),
        *("https://x.org/", "&amp;", "\\", "    ", "\t", "<!--", "-->", '"', "'", "é", "\u2028", "<b>", "</td>"),
    ]
)


@given(st.lists(PIECES, max_size=25).map("".join))
def test_tags_are_the_same_in_the_same_order_or_the_letter_is_refused(source: str) -> None:
    try:
        letter = write_letter(source, PLAIN)
    except TagFault as exc:
        assert 0 <= exc.offset <= len(source)
        return
    typed = tags_of(source)
    assert sorted(tags_of(letter.html)) == sorted(typed)
    statements = [tag for tag in typed if tag.startswith("{%")]
    assert sorted(tag for tag in tags_of(letter.html) if tag.startswith("{%")) == sorted(statements)
    assert [tag for tag in typed if tag in tags_of(letter.text)] == tags_of(letter.text)
    assert "zq" not in letter.html.replace("zqab", "")
    assert not set(tags_of(letter.html)) - set(typed)


@given(st.lists(PIECES, max_size=25).map("".join), st.booleans())
def test_elements_are_closed_whatever_the_conditions_say(source: str, is_true: bool) -> None:
    assume("{% raw" not in source)
    try:
        html, _ = render(source, a="x" if is_true else "", b="y", rows=[{"a": "1", "b": ""}] * (2 * is_true))
    except (TagFault, TemplateFault):
        return
    html = html.partition("<body")[2]
    for name in ("p", "ul", "ol", "li", "table", "tr", "td", "strong", "em", "blockquote", "a"):
        assert len(re.findall(rf"<{name}[ >]", html)) == html.count(f"</{name}>"), name


@pytest.mark.parametrize("footer", ["", "School\nStreet 1"])
@pytest.mark.parametrize("words", ["", "You get this because you asked. {{ unsubscribe_url }}"])
def test_link_to_unsubscribe_is_as_wide_as_the_letter_and_below_its_footer(footer: str, words: str) -> None:
    letter = write_letter("Dear all", Frame(footer=footer)).html
    html = add_to_html(letter, url="https://x.org/u/1", footer=words)
    opened, closed = (
        html.rpartition('<a href="https://x.org/u/1">')[0],
        html.partition('<a href="https://x.org/u/1">')[2],
    )
    assert opened.count("<div") - opened.count("</div>") == 1  # inside the ground, below the sheet
    assert closed.count("</div>") == 1
    assert opened.index("Dear all") < opened.index('<p style="margin:0;padding:16px 4px 0;text-align:left')
    assert "Street 1" in opened or not footer


def test_link_to_unsubscribe_is_at_the_end_of_html_that_has_no_frame() -> None:
    html = add_to_html("<body><div>Hi</div>\n</body>", url="https://x.org/u/1", footer="")
    assert html.startswith('<body><div>Hi</div>\n<p style="margin-top:2em')
