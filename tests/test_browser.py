"""What a reader sees of the runs in MLflow's pages, in a real browser."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest
from services import free_port, listening

pytestmark = pytest.mark.service
WAIT = 60_000  # milliseconds for a page on a busy machine
SHOTS = Path(__file__).resolve().parents[1] / "outputs/screenshots"  # kept when a test fails


@pytest.fixture(scope="module")
def ui(project):
    """The address of the MLflow UI of a study."""
    port = free_port()
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    with project.started("python", "-m", "pipeline.ui", f"port={port}", **quiet) as server:
        listening(f"http://127.0.0.1:{port}/health", server)
        yield f"http://127.0.0.1:{port}"


@pytest.fixture
def page(request):
    """An empty page of a browser, of which a picture is kept."""
    from playwright.sync_api import sync_playwright

    browser = shutil.which("chromium") or shutil.which("google-chrome")
    assert browser, "this test needs the Debian package chromium"
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=browser, args=["--no-sandbox"])
        shown = chromium.new_page(viewport={"width": 2400, "height": 1000})
        shown.set_default_timeout(WAIT)
        yield shown
        SHOTS.mkdir(parents=True, exist_ok=True)
        shown.screenshot(path=SHOTS / f"{request.node.name}.png")
        chromium.close()


@pytest.fixture
def runs(page, ui):
    """The page of all runs."""
    page.goto(f"{ui}/#/experiments/1/runs")
    page.get_by_text("after_unshared, seed 7").first.wait_for()
    return page


def test_the_list_of_runs_has_columns_for_variant_and_seed(runs):
    runs.get_by_role("button", name="Columns", exact=True).click()
    for name in ("variant", "seed"):
        runs.get_by_placeholder("Search columns").fill(name)
        entry = runs.locator("[class*=treenode]").filter(has_text=re.compile(f"^{name}$")).first
        entry.locator("[class*=tree-checkbox]:not([class*=inner])").click()
    runs.keyboard.press("Escape")
    for name in ("variant", "seed"):
        runs.get_by_role("columnheader", name=name, exact=True).first.wait_for()


def test_runs_are_grouped_by_variant(runs):
    runs.get_by_role("button", name="Group by").click()
    runs.get_by_role("menuitemcheckbox", name="variant", exact=True).first.click()
    runs.keyboard.press("Escape")
    for variant in ("before_shared", "before_unshared", "after_shared", "after_unshared"):
        group = runs.get_by_role("row").filter(has_text=f"Group: {variant}").first
        group.wait_for()
        assert "2" in group.inner_text().split()


def test_the_chart_of_attention_shows_all_seeds(page, ui):
    page.goto(f"{ui}/#/experiments/1/runs?compareRunsMode=CHART")
    page.get_by_placeholder("Search metric charts").fill("^attention$")
    page.locator(".scatterlayer .trace").nth(7).wait_for()  # four variants, two seeds
    assert page.locator(".js-plotly-plot").count() == 1


def test_the_comparison_has_its_report_and_figures(runs):
    runs.get_by_text("comparison", exact=True).first.click()
    runs.get_by_role("tab", name="Artifacts").click()
    runs.get_by_text("report.html").first.click()
    report = runs.frame_locator("iframe").first
    report.get_by_role("heading", name="Does attention capture the key feature?").wait_for()
    assert report.locator("img").count() >= 4
    runs.get_by_text("figures", exact=True).first.click()
    runs.get_by_text("attention.png").first.click()
    runs.locator("img[src^='blob:']").first.wait_for()


def test_the_plots_of_dvc_are_drawn_without_a_network(project, page, tmp_path):
    project.run("dvc", "plots", "show", "-o", str(tmp_path))
    asked = []
    page.on("request", lambda request: asked.append(request.url))
    page.context.set_offline(True)
    page.goto((tmp_path / "index.html").as_uri())
    page.locator("canvas.marks").nth(11).wait_for()  # three plots of each of four variants
    assert page.locator("canvas.marks").count() == 12
    assert [url for url in asked if not url.startswith(("file:", "data:", "blob:"))] == []
