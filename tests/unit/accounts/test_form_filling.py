"""Values are put into the right form of a page, and nothing else of it changes: batches/accounts/form_filling.py."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batches.accounts.form_filling import add_notice, fill_form

NOTICE = "<p>NOTICE</p>"


def fill(form: str, *, path: str = "/here/", **values: list[str]) -> str | None:
    return fill_form(f'<main id="content">\n{form}</main>', page="/here/", path=path, values=values, notice=NOTICE)


def test_each_kind_of_field_is_filled_when_it_was_typed() -> None:
    filled = fill(
        '<form method="post"><input name="a" value="old"><input type="email" name="b"><textarea name="c">old</textarea>'
        '<select name="d"><option value="1" selected>One</option><option value="2">Two</option></select>'
        '<input type="radio" name="e" value="x" checked><input type="radio" name="e" value="y">'
        '<input type="checkbox" name="f" checked><input type="checkbox" name="g"></form>',
        a=['"1" & <2>'],
        b=["eva@example.com"],
        c=["</textarea><b>"],
        d=["2"],
        e=["y"],
        g=["on"],
    )
    assert filled == (
        f'<main id="content">{NOTICE}\n'
        '<form method="post"><input name="a" value="&quot;1&quot; &amp; &lt;2&gt;">'
        '<input type="email" name="b" value="eva@example.com">'
        '<textarea name="c">\n&lt;/textarea&gt;&lt;b&gt;</textarea>'
        '<select name="d"><option value="1">One</option><option value="2" selected>Two</option></select>'
        '<input type="radio" name="e" value="x"><input type="radio" name="e" value="y" checked>'
        '<input type="checkbox" name="f"><input type="checkbox" name="g" checked></form></main>'
    )


@pytest.mark.parametrize(
    "control",
    [
        '<input type="password" name="a">',
        '<input type="file" name="a">',
        '<input type="hidden" name="a" value="old">',
        '<button name="a" value="old">Go</button>',
        '<input name="a" disabled>',
    ],
)
def test_field_stays_as_it_is_when_nobody_types_into_it(control: str) -> None:
    filled = fill(f'<form method="post"><input name="b">{control}</form>', a=["new"], b=["typed"])
    assert filled and control in filled and "new" not in filled


def test_hidden_field_is_filled_when_the_page_allows_it() -> None:
    filled = fill('<form method="post"><input type="hidden" data-kept name="a" value="2"></form>', a=["1"])
    assert filled and 'name="a" value="1"' in filled


def test_values_keep_their_order_when_fields_share_a_name() -> None:
    filled = fill('<form method="post"><input name="a"><input name="a"><input name="a"></form>', a=["1", "2"])
    assert filled and '<input name="a" value="1"><input name="a" value="2"><input name="a">' in filled


@pytest.mark.parametrize(
    "form",
    [
        '<form method="post" action="/there/"><input name="a"></form>',
        '<form method="post" action="../there/"><input name="a"></form>',
        '<form method="post" action="/x/"><input name="a"><button formaction="/there/">Go</button></form>',
        '<input name="a" form="f"><form method="post" id="f" action="/there/"></form>',
    ],
)
def test_form_is_found_when_it_or_its_button_posts_to_the_path(form: str) -> None:
    filled = fill(form, path="/there/", a=["typed"])
    assert filled and 'value="typed"' in filled


@pytest.mark.parametrize(
    "form",
    [
        '<form method="get"><input name="a"></form>',
        '<form method="post" action="/there/"><input name="a"></form>',
        '<form method="post"><input name="b"></form>',
        '<input name="a">',
    ],
)
def test_page_is_refused_when_it_has_no_such_form(form: str) -> None:
    assert fill(form, a=["typed"]) is None


def test_closed_part_is_opened_when_it_has_a_filled_field() -> None:
    filled = fill('<details class="more"><form method="post"><input name="a"></form></details>', a=["typed"])
    assert filled and '<details class="more" open>' in filled


def test_notice_is_at_the_top_when_there_is_no_form() -> None:
    assert add_notice('<main id="content">x</main>', NOTICE) == f'<main id="content">{NOTICE}x</main>'


@pytest.mark.parametrize("sign", ["\x0b", "\x0c", "\x1c", "\x85", "\u2028", "\u2029", "\r", "\r\n", "\n"])
def test_rest_of_the_page_stays_when_it_has_signs_that_end_lines_elsewhere(sign: str) -> None:
    before = f"<p>A letter{sign}of two{sign}lines</p>\n\n"
    filled = fill(f'{before}<form method="post"><input name="a"></form>', a=["typed"])
    assert filled == (
        f'<main id="content">{NOTICE}\n{before}<form method="post"><input name="a" value="typed"></form></main>'
    )


def test_typed_time_stays_when_a_script_would_show_the_stored_one() -> None:
    filled = fill('<form method="post"><input name="a" data-at="2026-03-31T09:00+00:00"></form>', a=["typed"])
    assert filled and 'value="typed"' in filled and "data-at" not in filled


@given(text=st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=50))
def test_text_adds_no_element_when_it_is_put_into_a_page(text: str) -> None:
    """A browser would read what follows as the page's own, so nothing of the text may end the field."""
    filled = fill('<form method="post"><input name="a"><textarea name="b"></textarea></form>', a=[text], b=[text])
    assert filled and filled.count("<") == 9  # main, notice, form, input and textarea
