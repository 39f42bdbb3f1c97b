"""What is pressed and typed before one looks at a page of the catalogue, so that it is in the state of its name."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from playwright.sync_api import Page

from tests.catalogue.accounts import PASSWORD

Act = Callable[[Page], object]


@dataclass(frozen=True, kw_only=True, slots=True)
class Shown:
    """One page in one state."""

    name: str
    address: str
    """With ids of the world in braces."""
    who: str = "sender"
    """A role of ``world.World.cookies``, or ``nobody``."""
    act: Act | None = None
    """Brings the page into the state."""
    template: str = ""
    """For pages of faults that cannot be provoked here: the template that is shown at the address."""
    body: str = ""
    """The same for what is written before there is a template: the HTML itself."""
    is_alone: bool = False
    """The page is opened in a browser of its own, because its state changes who is signed in."""


def open_details(selector: str) -> Act:
    """Open what is folded away."""
    return lambda page: page.locator(selector).first.evaluate("element => { element.open = true }")


def press(name: str) -> Act:
    """Press a button that stays on the page, or leads to the next."""
    return lambda page: page.get_by_role("button", name=name).first.click()


def fill_and_press(fields: dict[str, str], name: str) -> Act:
    def act(page: Page) -> None:
        for selector, value in fields.items():
            page.fill(selector, value)
        press(name)(page)
        page.wait_for_load_state()

    return act


def wait_for(selector: str, act: Act) -> Act:
    """Do something, and wait for what it shows."""

    def do(page: Page) -> None:
        act(page)
        page.wait_for_selector(selector)

    return do


def sign_out_and(act: Act) -> Act:
    """Let the session end while the page is open, and then do something."""

    def do(page: Page) -> None:
        page.context.clear_cookies(name="sessionid")
        act(page)

    return do


def _choose_file(page: Page) -> None:
    page.set_input_files("#id_file", {"name": "a.csv", "mimeType": "text/csv", "buffer": b"email\na@example.org\n"})


def upload(page: Page) -> None:
    _choose_file(page)
    press("Upload")(page)


def upload_for_ever(page: Page) -> None:
    """Begin an upload whose answer never comes."""
    page.route("**/api/upload*", lambda route: None)
    page.route("**/api/upload/progress*", lambda route: None)
    upload(page)


def lose_letter(page: Page) -> None:
    """Write a letter, be signed out, and press the button."""
    page.fill("#id_name", "Autumn fair")
    page.fill("#id_subject", "Come and see us")
    sign_out_and(press("Save"))(page)
    page.wait_for_url("**/accounts/login/**")


def sign_in(username: str) -> Act:
    return fill_and_press({'[name="username"]': username, '[name="password"]': PASSWORD}, "Sign in")


def lose_letter_and_sign_in(page: Page) -> None:
    lose_letter(page)
    sign_in("approver")(page)
    page.wait_for_selector("#kept-form")


def type_and_come_back(page: Page) -> None:
    """Write a letter, leave the page without saving, and open it again."""
    page.on("dialog", lambda dialog: dialog.accept())
    page.fill("#id_source", "Dear all, this was not saved.")
    page.wait_for_function("document.getElementById('said').textContent")
    page.reload()
    page.wait_for_selector("#draft:not([hidden])")


def choose_action(action: str) -> Act:
    """Tick the first line of a list of the admin, and run an action on it."""

    def act(page: Page) -> None:
        page.locator("input.action-select").first.check()
        page.select_option('select[name="action"]', action)
        page.locator('button[name="index"]').first.click()
        page.wait_for_load_state()

    return act


def make_token(page: Page) -> None:
    page.fill('[name="name"]', "the shop")
    page.locator('main form.card input[type="checkbox"]').first.check()
    page.locator("main form.card button.primary").click()
    page.wait_for_selector(".token, .error")


def open_operation(page: Page) -> None:
    page.locator(".opblock-summary-control").first.click()
    page.wait_for_selector(".opblock-body")


def save_nothing(page: Page) -> None:
    page.locator('[name="_save"]').click()
    page.wait_for_selector(".errornote")
