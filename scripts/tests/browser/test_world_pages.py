"""Pages of simulated worlds as a reader uses them: the messages of a world, a sweep, the known bugs."""

import json
import re
import time

import pytest
from network import requests_of
from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys

from reports import corpus, render, simulation
from reports.samples import world

SIZES = {"phone": (390, 844), "wide": (1440, 900)}
BUGS = [
    {"id": "A1", "group": "A", "name": "repl.truncate_to_hw", "source": "KIP-101 scenario 1", "summary": "a new follower cuts its log to its own high watermark",
     "property": "lost-write", "code": "caught", "caught": True, "named": "lost-write", "ran": 12, "again": "./ordeal sim --scenario repl.truncate_to_hw --mutate repl.truncate_to_hw",
     "off": {"outcome": "pass"}, "on": {"outcome": "fail", "violations": [{"property": "lost-write", "text": "3 records are gone"}]},
     "search": {"searches": 3, "found": 3, "cap_s": 120, "named": ["lost-write"], "seeds_tried": 20, "median_seeds": 6, "median_cpu_s": 9.5},
     "real": {"tried": True, "caught": True, "plan": "double-failover", "seed": 1, "seeds": 1, "again": "./ordeal run --plan double-failover"}},
    {"id": "F5", "group": "F", "name": "raft.no_check_quorum", "source": "KAFKA-15489", "summary": "never steps down", "property": "OneActiveController",
     "code": "MISSED", "why": "its branch never ran", "again": "./ordeal sim --scenario raft.no_check_quorum"},
    {"id": "E12", "group": "E", "name": "disk.stale_offset_map", "source": "RP", "code": "not applicable", "why": "no offset map"},
]


@pytest.fixture(scope="module")
def pages(tmp_path_factory):
    folder = tmp_path_factory.mktemp("worlds")
    page = render.render(world.write(folder / "world"))
    facts = {"versions": {"commit": "4f2c91d"}, "machine": {"processors": 2}}
    rows = [{"seed": n, "exit": 0, "outcome": "pass", "simulated_s": 60, "real_ms": 900, "sends_ok": 400, "operations": 900, "faults": 3} for n in range(1, 40)]
    rows.append({"seed": 40, "exit": 1, "outcome": "fail", "digest": "4f2c91d0a17b3e58", "violations": [{"property": "lost-write", "text": "3 records are gone"}],
                 "again": "./ordeal replay runs/x/seed-40", "report": str(page), "sends_ok": 2, "faults": 1})
    sweep = simulation.render_sweep(folder, {**facts, "command": "./ordeal sim --seeds 40", "worlds": rows,
                                             "marks": {"raft.vote_refused": 7, "log.tail_cut": 2, "replica.never_seen": 0}})
    bugs = corpus.render(folder, {**facts, "command": "./ordeal corpus", "bugs": json.loads(json.dumps(BUGS))}, folder / "no-scripts")
    return {"world": page, "sweep": sweep, "corpus": bugs}


@pytest.fixture(params=SIZES)
def show(request, driver, pages):
    """show(name) opens that page at this size; afterwards the console must be clean and nothing fetched."""
    width, height = SIZES[request.param]
    opened = []

    def open_page(name: str):
        driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 500})
        driver.get_log("browser"), requests_of(driver)
        driver.get(f"file://{pages[name]}")
        opened.append(f"file://{pages[name]}")
        driver.execute_script("document.documentElement.style.scrollBehavior = 'auto'")
        assert driver.execute_script("return document.documentElement.scrollWidth <= innerWidth"), "the page scrolls sideways"
        return driver

    yield open_page
    assert [e for e in driver.get_log("browser") if e["level"] in ("SEVERE", "WARNING")] == []
    asked = {url.split("#")[0] for url in requests_of(driver)}
    assert asked <= set(opened), f"the page fetched {asked - set(opened)}"


def view(driver) -> list[float]:
    return driver.execute_script("return Messages.range()")


def canvas(driver):
    found = driver.find_element(By.CSS_SELECTOR, "#message-lanes canvas")
    driver.execute_script("arguments[0].scrollIntoView({block: 'center', behavior: 'instant'})", found)
    return found


def click(driver, selector: str):
    driver.execute_script("arguments[0].click()", driver.find_element(By.CSS_SELECTOR, selector))


def test_the_messages_open_around_the_violation_and_are_drawn(show):
    driver = show("world")
    begin, end = view(driver)
    assert begin < 1_590_000 < end and end - begin < 200_000, "24.190 s, in microseconds since 22.600"
    assert 20 <= driver.execute_script("return Messages.shown()") <= 120
    picture = canvas(driver)
    painted = driver.execute_script("const c = arguments[0], d = c.getContext('2d').getImageData(0, 0, c.width, c.height).data; "
                                    "let n = 0; for (let i = 3; i < d.length; i += 4) n += d[i] > 0; return n / (d.length / 4)", picture)
    assert 0.02 < painted < 0.9
    assert picture.size["height"] > 300


def test_mouse_and_keyboard_zoom_and_read_messages(show):
    driver = show("world")
    picture = canvas(driver)
    click(driver, "#message-all")
    whole = view(driver)
    ActionChains(driver).move_to_element_with_offset(picture, -40, 0).click_and_hold().move_by_offset(80, 4).release().perform()
    begin, end = view(driver)
    assert whole[0] < begin < end < whole[1]
    picture.send_keys("0")
    assert view(driver) == whole
    picture.send_keys("+")
    assert view(driver)[1] - view(driver)[0] < 0.6 * (whole[1] - whole[0])
    before = view(driver)
    picture.send_keys(Keys.ARROW_LEFT)
    assert view(driver)[0] < before[0]
    picture.send_keys(Keys.HOME)
    picture.send_keys("n")
    first = driver.execute_script("return Messages.chosen()")
    said = driver.find_element(By.ID, "message-said").get_attribute("textContent")
    assert "→" in said and "sent 00:24." in said and driver.find_element(By.ID, "message-tip").is_displayed()
    picture.send_keys("n")
    assert driver.execute_script("return Messages.chosen()") > first


def test_filters_by_api_and_partition_and_hides_heartbeats(show):
    driver = show("world")
    click(driver, "#message-all")
    shown = lambda: driver.execute_script("return Messages.shown()")  # noqa: E731
    heartbeat = driver.find_element(By.CSS_SELECTOR, "[data-api='BrokerHeartbeat']")
    assert heartbeat.get_attribute("aria-pressed") == "false"
    quiet = shown()
    click(driver, "[data-api='BrokerHeartbeat']")
    assert shown() > quiet
    click(driver, "[data-api='BrokerHeartbeat']")
    click(driver, "[data-api='Fetch']")
    assert 0 < shown() < quiet
    click(driver, "[data-api='Fetch']")
    driver.execute_script("const s = document.getElementById('message-partition'); s.value = [...s.options].find(o => o.text === 't/5').value; "
                          "s.dispatchEvent(new Event('change'))")
    assert 0 < shown() < quiet


def test_the_violated_partition_is_chosen_and_arrows_are_labelled_without_overlap(show):
    driver = show("world")
    assert driver.execute_script("return Messages.partition()") == "t/0"
    options = driver.execute_script("return [...document.getElementById('message-partition').options].map(o => o.text)")
    assert options[0] == "all" and "t/0 (violated)" in options and "t/5" in options
    labels = driver.execute_script("return Messages.labels()")
    texts = [one["text"] for one in labels]
    assert any(re.fullmatch(r"produce t/0 1 record seq \d+ of producer 1000", t) for t in texts)
    assert any(re.fullmatch(r"fetch t/0 from \d+ in epoch 4 \+1", t) for t in texts), "of two partitions, the chosen one"
    assert "lost: the receiver was down: no power" in texts and "lost: held back by a cut" in texts
    boxes = [one["box"] for one in labels]
    over = [(a, b) for i, a in enumerate(boxes) for b in boxes[:i] if a[0] < b[1] and b[0] < a[1] and abs(a[2] - b[2]) < 12]
    assert len(boxes) >= 3 and not over


def test_a_lost_message_tells_its_reason_and_all_that_it_said(show):
    driver = show("world")
    canvas(driver).send_keys("n")
    tip = driver.find_element(By.ID, "message-tip")
    for _ in range(12):
        if "lost: held back by a cut" in tip.text:
            break
        canvas(driver).send_keys("n")
    assert "lost: held back by a cut" in tip.text
    lines = tip.text.splitlines()
    assert lines[0] == "Fetch" and lines[1].startswith("n1 → ") and re.match(r"t/0 from \d+ in epoch 4", lines[-2]) and re.match(r"t/3 from \d+ in epoch 2", lines[-1])


def test_thousands_of_messages_are_drawn_in_a_moment(show):
    driver = show("world")
    driver.execute_script("const s = document.getElementById('message-partition'); s.value = -1; s.dispatchEvent(new Event('change'))")
    click(driver, "#message-all")
    click(driver, "[data-api='BrokerHeartbeat']")
    assert driver.execute_script("return Messages.shown()") > 4000
    took = min(driver.execute_script("return Messages.drawTime()") for _ in range(5))
    assert took < 200, f"{took} ms"


def test_a_story_leads_to_its_messages(show):
    driver = show("world")
    click(driver, "#message-all")
    click(driver, "#violation-1 .locate-messages")
    begin, end = view(driver)
    assert begin < 1_590_000 < end and end - begin < 200_000


def test_a_sweep_names_its_failures_and_its_unreached_branches(show):
    driver = show("sweep")
    text = driver.find_element(By.TAG_NAME, "main").text
    assert "39 passed, 1 failed" in text and "replica.never_seen" in text and "./ordeal replay runs/x/seed-40" in text
    link = driver.find_element(By.CSS_SELECTOR, "#worlds a")
    assert link.text == "40" and link.get_attribute("href").endswith("/world/report.html")
    colour = "return getComputedStyle(document.body).backgroundColor"
    light = driver.execute_script(colour)
    driver.find_element(By.ID, "theme").click()
    assert driver.execute_script(colour) != light


def test_the_rows_of_the_corpus_open(show):
    driver = show("corpus")
    assert "1 of 2 known bugs are caught" in driver.find_element(By.ID, "sentence").text
    summary = driver.find_element(By.CSS_SELECTOR, "#bug-A1 summary")
    driver.execute_script("arguments[0].scrollIntoView({block: 'center', behavior: 'instant'})", summary)
    summary.click()
    end = time.monotonic() + 5
    while not (text := driver.find_element(By.ID, "bug-A1").text).count("3 records are gone"):
        assert time.monotonic() < end, text
    assert "search 3/3, 6 seeds" in text and "plan double-failover, caught at seed 1" in text
    assert "its branch never ran" in driver.find_element(By.ID, "bug-F5").text
    assert "not applicable" in driver.find_element(By.ID, "bug-E12").text
