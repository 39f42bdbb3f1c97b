"""Times are in the zone of the browser, and move, with a real Chromium: static/js/times.js."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest
from django.contrib.auth.models import User
from django.utils import timezone
from playwright.sync_api import Browser, Page, expect

from batches.models import Batch, BatchStatus, EmailTemplate, JobStatus
from tests.acceptance.browser import running_site
from tests.conftest import MakeBatch, MakeJob

PASSWORD = "a long one 42"


@pytest.fixture(scope="module")
def site(django_db_setup: None) -> Iterator[str]:
    with running_site() as url:
        yield url


@pytest.fixture(params=["America/New_York", "Asia/Kolkata"])
def page(request: pytest.FixtureRequest, chromium: Browser, site: str, transactional_db: None) -> Iterator[Page]:
    User.objects.create_superuser("maria", password=PASSWORD)
    context = chromium.new_context(base_url=site, timezone_id=request.param, locale="en-GB")
    page = context.new_page()
    page.goto("/accounts/login/")
    page.fill('[name="username"]', "maria")
    page.fill('[name="password"]', PASSWORD)
    page.keyboard.press("Enter")
    expect(page.get_by_role("button", name="Sign out")).to_be_visible()
    yield page
    context.close()


def zone_of(page: Page) -> str:
    return str(page.evaluate("Intl.DateTimeFormat().resolvedOptions().timeZone"))


def test_time_is_in_the_zone_of_the_browser_when_scripts_run(page: Page, make_batch: MakeBatch) -> None:
    batch = make_batch(BatchStatus.COMPLETED, sent=1, owner=User.objects.get(username="maria"))
    Batch.objects.filter(pk=batch.pk).update(created_at=datetime(2026, 3, 8, 6, 30, tzinfo=UTC))
    page.goto(f"/batches/{batch.pk}/")
    there = {
        "America/New_York": "8 March 2026 at 01:30",
        "Asia/Calcutta": "8 March 2026 at 12:00",
    }  # Chromium's name for Kolkata
    expect(page.locator('time[data-moment="minutes"]').first).to_have_text(there[zone_of(page)])
    expect(page.locator(".zone")).to_contain_text(f"Times are in your time zone, {zone_of(page).replace('_', ' ')}.")


def test_time_in_a_live_sentence_is_in_the_zone_of_the_browser(
    page: Page, make_batch: MakeBatch, make_job: MakeJob
) -> None:
    batch = make_batch(BatchStatus.SCHEDULED, pending=1, owner=User.objects.get(username="maria"))
    make_job(batch, JobStatus.SCHEDULED, scheduled_at=datetime(2099, 3, 31, 22, 30, tzinfo=UTC))
    page.goto(f"/batches/{batch.pk}/")
    there = {
        "America/New_York": "on Tuesday 31 March 2099 at 18:30",
        "Asia/Calcutta": "on Wednesday 1 April 2099 at 04:00",
    }
    sentence = page.locator("#waiting-for")
    expect(sentence).to_have_text(f"The emails go out {there[zone_of(page)]}.")
    # Another snapshot draws it again.
    say = """async ([name, snapshot]) => (await import(name)).draw(document.getElementById("progress"), snapshot)"""
    now = page.evaluate(
        "fetch(`/api/batches/${document.getElementById('progress').dataset.batch}`).then(a => a.json())"
    )
    now = {**now, "sequence": 9e15, "waitingFor": f"Again {now['moments'][0]['words']}.", "total": 1, "processed": 0}
    page.evaluate(say, ["/static/js/counts.js", now])
    expect(sentence).to_have_text(f"Again {there[zone_of(page)]}.")


def test_typed_time_stays_when_a_button_of_the_list_loads_the_page_again(page: Page, make_batch: MakeBatch) -> None:
    EmailTemplate.objects.create(key="news", name="News", subject="News", text="Dear {{ name }}", is_default=True)
    batch = make_batch(BatchStatus.DRAFT, pending=1, owner=User.objects.get(username="maria"))
    page.goto(f"/batches/{batch.pk}/review/")
    page.fill('[name="scheduled_at"]', "2099-03-31T09:00")
    page.reload()
    expect(page.locator('[name="scheduled_at"]')).to_have_value("2099-03-31T09:00")
    page.fill('[name="scheduled_at"]', "")
    page.click("#show")
    expect(page.locator('[name="scheduled_at"]')).to_have_value("")


def test_relative_time_moves_when_the_page_stays_open(page: Page, make_batch: MakeBatch) -> None:
    batch = make_batch(BatchStatus.COMPLETED, sent=1, owner=User.objects.get(username="maria"))
    Batch.objects.filter(pk=batch.pk).update(created_at=timezone.now() - timedelta(minutes=3, seconds=20))
    page.clock.install()
    page.goto("/batches/")
    ago = page.locator('time[data-moment="ago"]').first
    expect(ago).to_have_text("3 min ago")
    page.clock.fast_forward("05:00")
    expect(ago).to_have_text(re.compile("^8 min ago$"))
    page.clock.fast_forward("25:00:00")
    expect(ago).to_have_text(re.compile(r"^\d+ \w+,? \d\d:\d\d$"))


def test_typed_time_is_read_in_the_zone_of_the_browser_when_it_is_sent(page: Page, make_batch: MakeBatch) -> None:
    EmailTemplate.objects.create(key="news", name="News", subject="News", text="Dear {{ name }}", is_default=True)
    batch = make_batch(BatchStatus.DRAFT, pending=1, owner=User.objects.get(username="maria"))
    page.goto(f"/batches/{batch.pk}/review/")
    expect(page.locator('[name="scheduled_at_zone"]')).to_have_value(zone_of(page))
    expect(page.get_by_text(f"Your time, {zone_of(page).replace('_', ' ')}")).to_be_visible()
