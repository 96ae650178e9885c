"""Takes the README's picture of a report, from the top to the end of the timeline: `python -m reports.picture RUN OUT.png`.

Needs what the browser tests need (chromium, chromium-driver, selenium).
"""

import base64
import sys
from pathlib import Path

WIDTH = 1240


def take(page: Path, out: Path) -> None:
    from selenium import webdriver
    from selenium.webdriver.chrome.service import Service
    from selenium.webdriver.support.wait import WebDriverWait

    options = webdriver.ChromeOptions()
    options.binary_location = "/usr/bin/chromium"
    for argument in ("--headless=new", "--no-sandbox", "--hide-scrollbars"):
        options.add_argument(argument)
    driver = webdriver.Chrome(options=options, service=Service("/usr/bin/chromedriver"))
    try:
        driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", {"width": WIDTH, "height": 900, "deviceScaleFactor": 1, "mobile": False})
        driver.get(f"file://{page.resolve()}")
        WebDriverWait(driver, 10).until(lambda d: d.find_elements("css selector", "#chart svg"))
        bottom = driver.execute_script("return document.querySelector('#timeline').getBoundingClientRect().bottom + scrollY")
        clip = {"x": 0, "y": 0, "width": WIDTH, "height": bottom + 20, "scale": 1}
        shot = driver.execute_cdp_cmd("Page.captureScreenshot", {"captureBeyondViewport": True, "clip": clip})
        out.write_bytes(base64.b64decode(shot["data"]))
    finally:
        driver.quit()


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit("usage: python -m reports.picture RUN OUT.png")
    take(Path(sys.argv[1]) / "report.html", Path(sys.argv[2]))
