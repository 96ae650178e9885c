"""What a page asked the network for."""

import json


def requests_of(driver) -> list[str]:
    """Addresses the page asked for since the last call, data: excepted."""
    found = []
    for entry in driver.get_log("performance"):
        message = json.loads(entry["message"])["message"]
        if message["method"] == "Network.requestWillBeSent":
            url = message["params"]["request"]["url"]
            found += [] if url.startswith("data:") else [url]
    return found
