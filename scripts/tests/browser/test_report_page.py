"""Opens the report as a reader would, on a phone and on a wide screen, and clicks through it."""

import time

import pytest
from network import requests_of
from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys

from reports import render
from reports.samples import make

SIZES = {"phone": (390, 844), "wide": (1440, 900)}


@pytest.fixture(scope="module")
def pages(tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs")
    return {kind: render.render(make.write(kind, folder / kind)) for kind in ("pass", "fail", "unknown")}


@pytest.fixture(params=SIZES)
def show(request, driver, pages):
    """show(kind) opens that page at this size; afterwards the console must be clean and nothing fetched."""
    width, height = SIZES[request.param]
    opened = []

    def open_page(kind: str):
        driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride",
                               {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 500})
        driver.get_log("browser"), requests_of(driver)
        driver.get(f"file://{pages[kind]}")
        opened.append(f"file://{pages[kind]}")
        until(lambda: driver.find_elements(By.CSS_SELECTOR, "#chart svg"))
        driver.execute_script("document.documentElement.style.scrollBehavior = 'auto'")  # clicks must not race an animation
        return driver

    yield open_page
    assert [e for e in driver.get_log("browser") if e["level"] in ("SEVERE", "WARNING")] == []
    asked = {url.split("#")[0] for url in requests_of(driver)}
    assert asked <= set(opened), f"the page fetched {asked - set(opened)}"


def until(ready, seconds: float = 15.0):
    end = time.monotonic() + seconds
    while not ready():
        assert time.monotonic() < end, "the page did not get there"
        time.sleep(0.05)


def visible_range(driver) -> list[float]:
    return driver.execute_script("return Timeline.range()")


def text_of(driver, selector: str) -> str:
    return driver.find_element(By.CSS_SELECTOR, selector).text


@pytest.mark.parametrize(("kind", "word"), [("pass", "PASS"), ("fail", "FAIL"), ("unknown", "UNKNOWN")])
def test_the_verdict_stands_first_and_nothing_overflows(show, kind, word):
    driver = show(kind)
    assert word in text_of(driver, ".verdict .word")
    assert driver.execute_script("return document.documentElement.scrollWidth <= innerWidth"), "the page scrolls sideways"
    sentence = driver.find_element(By.ID, "sentence")
    assert sentence.location["y"] < SIZES["phone"][1] and sentence.text
    rows = driver.find_elements(By.CSS_SELECTOR, ".guarantees tbody tr")
    assert len(rows) == 10 and all(row.is_displayed() for row in rows)


def test_a_violation_moves_the_axis_to_itself(show):
    driver = show("fail")
    assert visible_range(driver) == [0, 66]
    button = driver.find_element(By.CSS_SELECTOR, "#violation-1 .locate")
    driver.execute_script("arguments[0].scrollIntoView({block: 'center', behavior: 'instant'})", button)
    button.click()
    begin, end = visible_range(driver)
    assert 19 < begin < 22.5 and 32 < end < 36
    link = driver.find_element(By.CSS_SELECTOR, "tr.violated .jump[data-violation='1']")
    driver.execute_script("arguments[0].scrollIntoView({block: 'center', behavior: 'instant'})", link)
    link.click()
    until(lambda: driver.current_url.endswith("#violation-2"))
    assert visible_range(driver)[0] > 30
    driver.find_element(By.ID, "zoom-all").click()
    assert visible_range(driver) == [0, 66]


def test_a_flag_on_the_axis_leads_to_its_story(show):
    driver = show("fail")
    flag = driver.find_element(By.CSS_SELECTOR, ".violation-flag")
    driver.execute_script("arguments[0].scrollIntoView({block: 'center', behavior: 'instant'})", flag)
    flag.click()
    until(lambda: driver.current_url.endswith("#violation-1"))


def test_dragging_zooms_and_hovering_reads_values(show):
    driver = show("fail")
    chart = driver.find_element(By.ID, "chart")
    driver.execute_script("arguments[0].scrollIntoView({block: 'start', behavior: 'instant'})", chart)
    ActionChains(driver).move_to_element_with_offset(chart, -40, 0).click_and_hold().move_by_offset(80, 5).release().perform()
    begin, end = visible_range(driver)
    assert 5 < begin < end < 61 and end - begin < 40
    ActionChains(driver).move_to_element_with_offset(chart, 10, -60).perform()
    tip = driver.find_element(By.ID, "tooltip")
    assert tip.is_displayed() and "acknowledged" in tip.text


def test_the_keyboard_reaches_the_timeline(show):
    driver = show("fail")
    chart = driver.find_element(By.ID, "chart")
    driver.execute_script("arguments[0].focus()", chart)
    chart.send_keys(Keys.ARROW_RIGHT)
    said = driver.find_element(By.ID, "said").get_attribute("textContent")
    assert "acknowledged" in said and "No fault active" in said or "Active" in said
    chart.send_keys("+")
    begin, end = visible_range(driver)
    assert end - begin < 40
    chart.send_keys("0")
    assert visible_range(driver) == [0, 66]


def test_series_partitions_and_theme_toggle(show):
    driver = show("pass")
    lines = lambda: len(driver.find_elements(By.CSS_SELECTOR, "#chart path.series"))  # noqa: E731
    before = lines()
    button = driver.find_element(By.CSS_SELECTOR, "#legend [data-series='p99']")
    driver.execute_script("arguments[0].scrollIntoView({block: 'center', behavior: 'instant'})", button)
    button.click()
    assert lines() == before - 1 and button.get_attribute("aria-pressed") == "false"
    more = driver.find_element(By.CSS_SELECTOR, "#more-partitions button")
    names = lambda: [t.text for t in driver.find_elements(By.CSS_SELECTOR, "#chart .rowname")]  # noqa: E731
    assert "t/11" not in names()
    driver.execute_script("arguments[0].click()", more)
    assert "t/11" in names()
    colour = "return getComputedStyle(document.body).backgroundColor"
    light = driver.execute_script(colour)
    driver.find_element(By.ID, "theme").click()
    assert driver.execute_script(colour) != light


def test_raw_events_open_and_print_opens_them_all(show):
    driver = show("fail")
    summary = driver.find_element(By.CSS_SELECTOR, "#violation-1 summary")
    driver.execute_script("arguments[0].scrollIntoView({block: 'center', behavior: 'instant'})", summary)
    summary.click()
    assert "partition.truncate" in text_of(driver, "#violation-1 pre")
    driver.execute_script("dispatchEvent(new Event('beforeprint'))")
    assert all(d.get_attribute("open") for d in driver.find_elements(By.CSS_SELECTOR, "details"))


def test_the_page_is_quick(show):
    driver = show("fail")
    took = driver.execute_script("const n = performance.getEntriesByType('navigation')[0]; return n.loadEventEnd - n.startTime")
    assert took < 3000, f"{took} ms"
