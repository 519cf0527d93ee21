"""Make the pictures of MLflow's pages in README.md from the full study, with `make ui` running elsewhere.

`python docs/images/make.py http://127.0.0.1:5000` needs Chromium and what `make test-services` installs.
"""

import shutil
import sys
from contextlib import suppress
from pathlib import Path

from playwright.sync_api import Error, Page, sync_playwright

PAGE = "#/experiments/1/runs?viewStateShareKey="
VIEWS = {"mlflow-runs.png": "attention-variants", "mlflow-attention.png": "attention-steps&compareRunsMode=CHART"}
SIZE = {"width": 1600, "height": 900}
WAIT = 60_000  # milliseconds for a page


def main() -> None:
    """Take a picture of each view."""
    address = sys.argv[1].rstrip("/")
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
        for name, view in VIEWS.items():
            page = chromium.new_page(viewport=SIZE, color_scheme="light")
            page.goto(f"{address}/{PAGE}{view}")
            take(page, Path(__file__).with_name(name))
        chromium.close()


def take(page: Page, path: Path) -> None:
    """Wait until a view is complete, close what covers it, and take the picture."""
    page.get_by_text("after_unshared").first.wait_for(timeout=WAIT)
    page.wait_for_timeout(3000)
    for label in ("Hide banner", "Close"):  # the notice of a shared view, and the assistant
        with suppress(Error):
            page.get_by_label(label, exact=True).first.click(timeout=20_000)
    page.wait_for_timeout(3000)  # charts are drawn with an animation
    page.screenshot(path=path)


if __name__ == "__main__":
    main()
