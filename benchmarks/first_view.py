"""Requests and seconds until a plate is painted, on a running platform.

    python -m benchmarks.first_view URL USER PASSWORD EXPERIMENT_ID

The application's own files are loaded once before, as for a person who has been there; what is
counted is the opening of the View page: API, tiles, labels and values.
"""

from __future__ import annotations

import json
import statistics
import sys
import time
from typing import Any

from tests.e2e.conftest import FLAGS
from tissuemaps.cli.checks import chromium

READY = "window.__tissuemaps && window.__tissuemaps.ready()"


def main(url: str, user: str, password: str, experiment: str, repeat: int = 5) -> dict[str, Any]:
    """Return the median number of requests and seconds of `repeat` visits with an empty cache."""
    from playwright.sync_api import sync_playwright

    seconds, requests, sizes = [], [], []
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium(), args=FLAGS)
        for _ in range(repeat):
            context = browser.new_context(viewport={"width": 1440, "height": 860})
            page = context.new_page()
            page.goto(f"{url}/login/")
            page.get_by_label("User name").fill(user)
            page.get_by_label("Password").fill(password)
            page.get_by_role("button", name="Log in").click()
            page.get_by_role("heading", name="Experiments", exact=True).wait_for()
            seen: list[Any] = []
            page.on("response", lambda response, seen=seen: seen.append(response))
            started = time.perf_counter()
            page.goto(f"{url}/experiments/{experiment}/view")
            page.wait_for_function(READY, timeout=60_000)
            seconds.append(time.perf_counter() - started)
            data = [r for r in seen if "/static/" not in r.url]
            requests.append(len(data))
            sizes.append(sum(int(r.headers.get("content-length", 0)) for r in data))
            context.close()
        browser.close()
    return {
        "requests": statistics.median(requests),
        "seconds": round(statistics.median(seconds), 2),
        "megabytes": round(statistics.median(sizes) / 1e6, 2),
        "visits": repeat,
    }


if __name__ == "__main__":
    print(json.dumps(main(*sys.argv[1:5]), indent=1))
