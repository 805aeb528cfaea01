"""The page in a real browser, at the size of a desktop and of a phone: live values, incidents, evidence, languages.

By default it is opened on a line of its own (tests/api/line.py) to which live values are appended. With
EMITWATCH_PAGE=http://127.0.0.1:8080/ it is opened on whatever runs there, as a whole demo does.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, Request, Route, expect, sync_playwright

from collector.intake.events import What
from collector.intake.events import entry as noticed
from tests.api.line import Line, wait_until
from tests.api.test_marks import MINUTE_NS, Desk
from tests.api.test_run_all import address as address_of
from tests.api.test_run_all import answers, free_port, running, site_on

pytestmark = pytest.mark.system

ARGUMENTS = [
    "--no-sandbox", "--disable-quic", "--disable-background-networking", "--disable-component-update", "--disable-sync",
    "--disable-gpu", "--no-first-run",
]  # fmt: skip
DESKTOP = {"viewport": {"width": 1440, "height": 900}}
PHONE = {"viewport": {"width": 390, "height": 844}, "device_scale_factor": 2, "has_touch": True, "is_mobile": True}
SIZES = {"desktop": DESKTOP, "phone": PHONE}
WAIT_MS = 15_000
MARKUP = "<img src=x onerror=\"document.title='broken'\">"


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    given = os.environ.get("EMITWATCH_PAGE", "")
    if given:
        yield given
        return
    line = Line(tmp_path_factory.mktemp("page"))
    with line.client() as client:
        say(Desk(line, client))
    notice(line)
    line.go_live()
    yield line.url
    line.close()


def say(desk: Desk) -> None:
    """Marks of the fence: a note of all that is shown, a correction of some minutes, and one taken back."""
    end = desk.line.now_ns // MINUTE_NS * MINUTE_NS
    desk.take(end - 30 * 60 * MINUTE_NS, end - 60 * MINUTE_NS, kind="note", reason=MARKUP)
    told = {"kind": "correction", "parameter": "LAeq", "offset": -1.5, "reason": "calibrator 1.5 dB too high"}
    desk.take(end - 40 * MINUTE_NS, end - 25 * MINUTE_NS, **told)
    desk.revoke(desk.take(end - 15 * MINUTE_NS, end - 10 * MINUTE_NS))


def notice(line: Line) -> None:
    """More events than a page of them holds, two of which may mean tampering; a gateway whose clock is wrong."""
    kinds = [What.MONTH_SEALED] * 9 + [What.BAD_SIGNATURE, What.GAP, What.STRANGER]
    line.journal.append([
        noticed(what, "" if what is What.MONTH_SEALED else "riverside-gw", b"", line.now_ns, f"{what} {MARKUP}")
        for what in kinds
    ])  # fmt: skip
    line.clock_wrong = True


@pytest.fixture(scope="module")
def browser(chromium: str) -> Iterator[Browser]:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=ARGUMENTS)
        yield browser
        browser.close()


@pytest.fixture
def trouble() -> list[str]:
    """What the browser complains about; must stay empty."""
    return []


def opened(browser: Browser, address: str, trouble: list[str], **options: object) -> tuple[BrowserContext, Page]:
    context = browser.new_context(locale="en-GB", **options)  # type: ignore[arg-type]
    context.set_default_timeout(WAIT_MS)
    page = context.new_page()

    def asked(request: Request) -> None:
        if not request.url.startswith(address):
            trouble.append(f"asks elsewhere: {request.url}")

    page.on("request", asked)
    page.on("pageerror", lambda error: trouble.append(f"error: {error}"))
    page.on("console", lambda said: trouble.append(f"console: {said.text}") if said.type == "error" else None)
    page.goto(address)
    expect(page.locator(".card").first).to_be_visible(timeout=WAIT_MS)
    return context, page


@pytest.fixture(params=SIZES, ids=list(SIZES))
def page(request: pytest.FixtureRequest, browser: Browser, address: str, trouble: list[str]) -> Iterator[Page]:
    context, page = opened(browser, address, trouble, **SIZES[request.param])
    yield page
    context.close()
    assert trouble == []


def go(page: Page, part: str) -> None:
    """On a phone one part of the page shows at a time."""
    tab = page.locator(f"[data-go={part}]")
    if tab.is_visible():
        tab.click()


def wide(page: Page) -> int:
    """By how many pixels the page is wider than the window."""
    return int(page.evaluate("document.documentElement.scrollWidth - innerWidth"))


def test_plants_and_points_with_their_state(page: Page) -> None:
    expect(page.locator(".plant-head").first).to_contain_text("Riverside heating plant")
    north = page.locator('.card[data-point="riverside/fence-north"]')
    expect(north.locator(".state")).to_have_text("Exceeded")
    expect(north.locator(".cell").first).to_contain_text("dB(A)")
    assert wide(page) <= 0


def test_live_values_change(page: Page) -> None:
    expect(page.locator("#link")).to_have_attribute("data-state", "live", timeout=WAIT_MS)
    number = page.locator('.card[data-point="riverside/fence-north"] .cell .number').first
    seen = {number.inner_text()}
    page.wait_for_function(
        "([selector, before]) => document.querySelector(selector).textContent !== before",
        arg=['.card[data-point="riverside/fence-north"] .cell .number', seen.pop()],
        timeout=WAIT_MS,
    )


def test_the_chart_follows_live_values(page: Page) -> None:
    page.locator('.card[data-point="riverside/fence-north"] .card-head').click()
    go(page, "chart")
    page.get_by_role("button", name="1h", exact=True).click()
    expect(page.locator(".uplot canvas")).to_be_visible()
    expect(page.locator(".u-over .now")).to_be_visible()
    expect(page.locator(".legend")).to_contain_text("Limit")
    before = page.locator(".readout").inner_text()
    page.wait_for_function("text => document.querySelector('.readout').innerText !== text", arg=before, timeout=WAIT_MS)
    assert wide(page) <= 0


def test_every_range_is_drawn(page: Page) -> None:
    go(page, "chart")
    for range in ("6h", "24h", "48h"):
        page.get_by_role("button", name=range, exact=True).click()
        expect(page.get_by_role("button", name=range, exact=True)).to_have_attribute("aria-pressed", "true")
        expect(page.locator(".uplot canvas")).to_be_visible()
        expect(page.locator(".canvas-message")).to_be_empty()
        assert page.url.endswith(f"/{range}")


def test_what_a_person_chooses_while_the_page_loads_stays(browser: Browser, address: str) -> None:
    context = browser.new_context(**SIZES["phone"])  # type: ignore[arg-type]
    page = context.new_page()
    held: list[Route] = []
    page.route("**/api/v1/incidents*", lambda route: held.append(route))
    page.goto(address)
    expect(page.locator(".card").first).to_be_visible(timeout=WAIT_MS)
    page.locator("[data-go=incidents]").click()
    for route in held:
        route.continue_()
    page.unroute("**/api/v1/incidents*")
    expect(page.locator("#incident-filter button").last).to_be_visible(timeout=WAIT_MS)
    expect(page.locator("#link")).to_have_attribute("data-state", "live", timeout=WAIT_MS)
    expect(page.locator("#main")).to_have_attribute("data-view", "incidents")
    context.close()


def test_an_incident_leads_to_its_evidence(page: Page) -> None:
    go(page, "incidents")
    page.locator("#incident-filter button").last.click()
    incident = page.locator(".incident", has_text="Night level").first
    expect(incident).to_contain_text("over")
    incident.locator("[data-evidence]").click()
    drawer = page.locator("#evidence")
    expect(drawer.locator("h2")).to_contain_text("Night level")
    steps = drawer.locator(".step")
    expect(steps).to_have_count(6)
    expect(steps.nth(1)).to_contain_text("GB 12348-2008")
    expect(steps.nth(2)).to_contain_text("Coverage")
    expect(steps.nth(3)).to_contain_text("measurements")
    expect(steps.nth(3).locator("canvas")).to_be_visible()
    expect(steps.nth(3).locator(".mark-list")).to_contain_text(MARKUP)
    expect(steps.nth(4).locator("tbody tr").first).to_contain_text("LAeq")
    expect(steps.nth(4)).to_contain_text(re.compile(r"0x[0-9A-F]{4}"))
    expect(steps.nth(5)).to_contain_text("Source")
    assert wide(page) <= 0
    page.keyboard.press("Escape")
    expect(drawer).to_be_hidden()


def test_marks_stand_beside_what_was_measured(page: Page) -> None:
    page.locator('.card[data-point="riverside/fence-north"] .card-head').click()
    go(page, "chart")
    page.get_by_role("button", name="1h", exact=True).click()
    expect(page.locator(".legend")).to_contain_text("corrected")
    said = page.locator(".mark-list li")
    expect(said).to_have_count(2)
    expect(said.first).to_contain_text("Taken back by li.na")
    expect(said.nth(1)).to_contain_text("calibrator 1.5 dB too high")
    expect(said.nth(1)).to_contain_text(re.compile(r"LAeq · − 1.5 · li.na \(plant\) · made"))
    expect(page.locator(".said")).to_have_text("Marks in this range: 2")
    box = page.locator(".u-over").first.bounding_box()
    assert box is not None
    before = page.locator(".canvas").bounding_box()
    page.mouse.move(box["x"] + box["width"] * 0.45, box["y"] + box["height"] / 2)
    expect(page.locator(".said")).to_contain_text(re.compile(r"Correctionas measured \d+\.\dcorrected \d+\.\d"))
    assert page.locator(".canvas").bounding_box() == before
    page.get_by_role("button", name="24h", exact=True).click()
    expect(page.locator(".mark-list li")).to_have_count(3)
    expect(page.locator(".mark-list")).to_contain_text(MARKUP)
    expect(page.locator(".legend")).to_contain_text("corrected")
    assert page.title() == "emitwatch"
    assert wide(page) <= 0


def test_what_the_collector_noticed(page: Page) -> None:
    gateway = page.locator('[data-gateway="riverside-gw"]')
    expect(gateway).to_contain_text("heard")
    expect(gateway.locator(".wrong")).to_have_text("clock wrong")
    go(page, "incidents")
    events = page.locator("#events")
    expect(events.locator("summary")).to_contain_text("2 security")
    expect(events.locator(".event")).to_have_count(10)
    expect(events.locator(".event").first).to_contain_text(f"stranger {MARKUP}")
    expect(events.locator(".event[data-security]")).to_have_count(2)
    events.get_by_role("button", name="Show older").press("Enter")
    expect(events.locator(".event")).to_have_count(12)
    events.get_by_role("button", name="Security").press("Enter")
    expect(events.locator(".event")).to_have_count(2)
    expect(events.get_by_role("button", name="Security")).to_be_focused()
    events.locator("summary").press("Enter")
    expect(events.locator(".event").first).to_be_hidden()
    page.reload()
    expect(events.locator("summary")).to_contain_text("Events10+")
    expect(events.locator(".event").first).to_be_hidden()
    assert page.title() == "emitwatch"
    assert wide(page) <= 0


def test_notices_are_shown(page: Page) -> None:
    go(page, "incidents")
    notice = page.locator(".notice").first
    expect(notice).to_contain_text("sent")
    notice.locator("summary").click()
    expect(notice.locator("pre")).to_contain_text("limit")


def test_both_languages(page: Page) -> None:
    page.get_by_role("button", name="中文").click()
    expect(page.locator("html")).to_have_attribute("lang", "zh-CN")
    expect(page.locator(".plant-head").first).to_contain_text("河畔热电厂")
    go(page, "incidents")
    expect(page.locator("#incidents-title")).to_have_text("超标事件")
    assert wide(page) <= 0
    page.get_by_role("button", name="EN").click()
    expect(page.locator("#incidents-title")).to_have_text("Incidents")


def test_what_is_on_show_is_in_the_address(browser: Browser, address: str, trouble: list[str]) -> None:
    context, page = opened(browser, address, trouble, **DESKTOP)
    page.locator('.card[data-point="riverside/stack-1"] .cell', has_text="NO").first.click()
    page.get_by_role("button", name="6h", exact=True).click()
    assert page.url.endswith("#riverside/stack-1/NOx/6h")
    other = context.new_page()
    other.goto(page.url)
    expect(other.locator("#point-name")).to_have_text("Stack 1, boiler 1")
    expect(other.locator('.tile[aria-pressed="true"]')).to_contain_text("NO")
    context.close()
    assert trouble == []


def test_an_address_that_is_none_shows_the_page_all_the_same(
    browser: Browser, address: str, trouble: list[str]
) -> None:
    context, _ = opened(browser, address, trouble, **DESKTOP)
    other = context.new_page()
    other.goto(f"{address}#%/x")
    expect(other.locator("#link")).to_have_attribute("data-state", "live", timeout=WAIT_MS)
    expect(other.locator("#point-name")).not_to_be_empty()
    context.close()


def test_keyboard_alone_reaches_the_evidence(browser: Browser, address: str, trouble: list[str]) -> None:
    context, page = opened(browser, address, trouble, **DESKTOP)
    expect(page.locator("[data-evidence]").first).to_be_visible()
    page.locator("[data-evidence]").first.focus()
    page.keyboard.press("Enter")
    expect(page.locator("#evidence .step")).to_have_count(6)
    page.keyboard.press("Escape")
    expect(page.locator("#evidence")).to_be_hidden()
    context.close()
    assert trouble == []


def test_every_control_has_a_name(browser: Browser, address: str, trouble: list[str]) -> None:
    context, page = opened(browser, address, trouble, **DESKTOP)
    nameless = page.evaluate(
        """() => [...document.querySelectorAll("button, input, [role=img], dialog[open], nav, section")]
            .filter((e) => e.checkVisibility() && !(e.innerText.trim() || e.getAttribute("aria-label")
                || e.getAttribute("aria-labelledby") || e.title)).map((e) => e.outerHTML)"""
    )
    assert nameless == []
    context.close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_texts_stand_out(browser: Browser, address: str, trouble: list[str], scheme: str) -> None:
    """WCAG 2.1 contrast of 4.5 : 1 for every text on its ground, in both colour schemes."""
    context, page = opened(browser, address, trouble, color_scheme=scheme, **DESKTOP)
    expect(page.locator(".incident").first).to_be_visible()
    weak = page.evaluate(CONTRAST)
    assert weak == []
    context.close()


def test_acknowledging(browser: Browser, address: str, trouble: list[str]) -> None:
    context, page = opened(browser, address, trouble, **DESKTOP)
    open_ones = page.locator('.incident[data-state="open"]')
    expect(open_ones.first).to_be_visible()
    id = open_ones.last.get_attribute("data-incident")
    open_ones.last.get_by_role("button", name="Acknowledge").click()
    page.get_by_label("Your name").fill("Officer 7")
    page.get_by_label("Note").fill("fan 3 is switched off")
    page.locator("#ask").get_by_role("button", name="Acknowledge").click()
    done = page.locator(f'.incident[data-incident="{id}"]')
    expect(done).to_contain_text("Acknowledged by Officer 7", timeout=WAIT_MS)
    expect(done).to_contain_text("fan 3 is switched off")
    context.close()
    assert trouble == []


def test_the_token_is_asked_for_once(browser: Browser, trouble: list[str], tmp_path: Path) -> None:
    """Against `run all` as it is outside the demo, with nothing measured yet."""
    site = site_on(tmp_path, free_port())
    with running(site):
        url = address_of(site)
        wait_until(lambda: answers(url), 20, "does not answer")
        token = (tmp_path / "data" / "collector" / "api.token").read_text("utf-8").strip()
        page = browser.new_page(locale="en-GB")
        page.set_default_timeout(WAIT_MS)
        page.on("pageerror", lambda error: trouble.append(str(error)))
        page.goto(url)
        field = page.get_by_label("Access token")
        field.fill("not the token")
        page.keyboard.press("Enter")
        expect(page.locator("#ask")).to_contain_text("refused")
        field.fill(token)
        page.keyboard.press("Enter")
        expect(page.locator(".card .state").first).to_have_text("No data")
        expect(page.locator("#incidents")).to_contain_text("No incidents")
        page.reload()
        expect(page.locator(".card").first).to_be_visible()
        expect(page.locator("#ask")).to_be_hidden()
        page.close()
    assert trouble == []


def test_a_part_of_the_chart_can_be_seen_closer(browser: Browser, address: str, trouble: list[str]) -> None:
    context, page = opened(browser, address, trouble, **DESKTOP)
    expect(page.locator(".uplot canvas")).to_be_visible()
    box = page.locator(".u-over").first.bounding_box()
    assert box is not None
    middle = box["y"] + box["height"] / 2
    page.mouse.move(box["x"] + box["width"] * 0.4, middle)
    before = page.locator(".readout").inner_text()
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] * 0.45, middle, steps=5)
    page.mouse.up()
    back = page.get_by_role("button", name="Show the whole range")
    expect(back).to_be_visible()
    expect(page.locator(".legend")).to_contain_text("Measured, every")
    page.mouse.move(box["x"] + box["width"] * 0.7, middle)
    assert page.locator(".readout").inner_text() != before
    back.click()
    expect(back).to_be_hidden()
    context.close()
    assert trouble == []


CONTRAST = """() => {
  const canvas = document.createElement("canvas");
  canvas.width = canvas.height = 1;
  const brush = canvas.getContext("2d", { willReadFrequently: true });
  const rgba = (colour) => {
    brush.clearRect(0, 0, 1, 1);
    brush.fillStyle = colour;
    brush.fillRect(0, 0, 1, 1);
    return [...brush.getImageData(0, 0, 1, 1).data];
  };
  const over = (top, under) => [0, 1, 2].map((i) => top[i] * top[3] / 255 + under[i] * (1 - top[3] / 255)).concat(255);
  const ground = (element) => {
    const layers = [];
    for (let e = element; e; e = e.parentElement) layers.unshift(rgba(getComputedStyle(e).backgroundColor));
    return layers.reduce((under, top) => over(top, under), [255, 255, 255, 255]);
  };
  const light = (colour) => colour.slice(0, 3).map((c) => c / 255)
    .map((c) => (c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4))
    .reduce((sum, c, i) => sum + c * [0.2126, 0.7152, 0.0722][i], 0);
  const weak = new Set();
  for (const element of document.querySelectorAll("body *")) {
    const own = [...element.childNodes].some((n) => n.nodeType === 3 && n.textContent.trim());
    if (!own || !element.checkVisibility({ opacityProperty: true }) || element.closest(".skip, svg, dialog")) continue;
    const under = ground(element);
    const [a, b] = [light(over(rgba(getComputedStyle(element).color), under)), light(under)].sort((x, y) => y - x);
    const ratio = (a + 0.05) / (b + 0.05);
    if (ratio < 4.5) weak.add(`${element.className || element.tagName}: ${ratio.toFixed(2)}`);
  }
  return [...weak];
}"""
