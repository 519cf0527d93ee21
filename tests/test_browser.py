"""What a reader sees of the runs in MLflow's pages, in a real browser."""

import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest
from services import free_port, listening

from pipeline.tracking import views

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


@pytest.fixture(scope="module")
def chromium():
    """A browser."""
    from playwright.sync_api import sync_playwright

    path = shutil.which("chromium") or shutil.which("google-chrome")
    assert path, "this test needs the Debian package chromium"
    with sync_playwright() as playwright:
        yield playwright.chromium.launch(executable_path=path, args=["--no-sandbox"])


@pytest.fixture
def page(chromium, request):
    """An empty page of a browser that has seen none before, of which a picture is kept."""
    shown = chromium.new_context(viewport={"width": 2400, "height": 1000}).new_page()
    shown.set_default_timeout(WAIT)
    yield shown
    SHOTS.mkdir(parents=True, exist_ok=True)
    shown.screenshot(path=SHOTS / f"{request.node.name}.png")
    shown.context.close()


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
        controls = 3 if "unshared" in variant else 4  # one feature; frozen uniform and no attention
        assert str(2 + controls) in group.inner_text().split()  # two seeds, and controls


def test_the_chart_of_attention_shows_all_seeds(page, ui):
    page.goto(f"{ui}/#/experiments/1/runs?compareRunsMode=CHART")
    page.get_by_placeholder("Search metric charts").fill("^attention$")
    page.locator(".scatterlayer .trace").nth(7).wait_for()  # four variants, two seeds
    assert page.locator(".js-plotly-plot").count() == 1


@pytest.fixture(scope="module")
def swept(project):
    """The tag with the view of a sweep."""
    project.stage("sweep", "+variant=after_shared", "train.epochs=1,2")
    [(tag,)] = project.query(f"SELECT key FROM experiment_tags WHERE key LIKE '{views.SWEEP}%'")
    return tag


def view_of(page, ui, project, tag, text="Group: after_unshared"):
    """Open a view by the link that the UI prints; return what the browser asked of other machines."""
    asked = []
    page.on("request", lambda request: asked.append(request.url))
    [(saved,)] = project.query(f"SELECT value FROM experiment_tags WHERE key = '{tag}'")
    page.goto(views.links(f"{ui}/", "1", {tag: saved})[json.loads(saved)["name"]])
    page.get_by_text(text or "matching run").first.wait_for()
    page.get_by_role("button", name=json.loads(saved)["name"]).first.wait_for()  # the menu of views names the open one
    return [url for url in asked if not url.startswith((ui, "data:", "blob:"))]


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_view_of_the_variants_has_their_measures_and_verdicts(page, ui, project, scheme):
    page.emulate_media(color_scheme=scheme)
    assert view_of(page, ui, project, views.VARIANTS) == []
    names = ["key_mass", "hit_rate", "balanced_accuracy", "verdict"]
    headers = [page.get_by_role("columnheader", name=name, exact=True).first for name in names]
    headers[-1].wait_for()
    places = [header.bounding_box()["x"] for header in headers]
    assert places == sorted(places)
    groups = [text for text in page.get_by_text(re.compile("^Group: ")).all_inner_texts() if text.strip()]
    assert groups == sorted(groups)
    assert len(groups) == 4
    verdicts = page.get_by_role("gridcell").filter(
        has_text=re.compile("^(correct|diffuse|not learned|silent failure)$")
    )
    assert verdicts.count() == 8


@pytest.mark.parametrize(
    ("tag", "metrics"), [(views.STEPS, ["attention"]), (views.LEARNING, views.VIEWS[views.LEARNING][1])]
)
def test_the_views_of_curves_draw_a_line_for_each_variant(page, ui, project, tag, metrics):
    assert view_of(page, ui, project, tag) == []
    page.locator(".js-plotly-plot").nth(len(metrics) - 1).wait_for()
    for metric in metrics:
        page.get_by_text(f"after_unshared ({metric})").first.wait_for()
    assert page.locator(".js-plotly-plot").count() == len(metrics)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_view_of_seeds_that_went_wrong_lists_those_that_are_not_correct(page, ui, project, scheme):
    page.emulate_media(color_scheme=scheme)
    assert view_of(page, ui, project, views.WRONG, "") == []
    wrong = [row for row in project.rows("comparison/runs.csv") if row["verdict"] != "correct"]
    page.get_by_text(f"{len(wrong)} matching run").first.wait_for()
    for row in wrong:
        page.get_by_text(f"{row['variant']}, seed {row['seed']}", exact=True).first.wait_for()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_view_of_a_sweep_has_the_swept_value_along_x(page, ui, project, swept, scheme):
    page.emulate_media(color_scheme=scheme)
    assert view_of(page, ui, project, swept, "") == []
    for measure in ("key_mass", "balanced_accuracy"):
        page.get_by_text(f"train.epochs vs. {measure}", exact=True).first.wait_for()
    page.locator(".js-plotly-plot").nth(1).wait_for()
    assert page.locator(".js-plotly-plot").count() == 2
    page.get_by_text("4 matching runs").first.wait_for()  # two values, two seeds


def test_two_runs_side_by_side_show_the_setting_in_which_they_differ(page, ui, project, swept):
    name = swept.removeprefix(views.OWN)
    runs = dict(project.query(f"SELECT value, run_uuid FROM tags WHERE key = '{name}'"))
    assert sorted(runs) == ["train.epochs=1", "train.epochs=2"]
    page.goto(f"{ui}/#/compare-runs?runs={json.dumps(sorted(runs.values()))}&experiments=%5B%221%22%5D")
    page.get_by_text("Show diff only").nth(0).click()
    page.get_by_text("train.epochs", exact=True).first.wait_for()
    page.get_by_text("data.samples", exact=True).first.wait_for(state="hidden")


def test_the_pages_say_what_was_found(page, ui, runs):
    runs.get_by_text("after_unshared, seed 7").first.click()
    runs.get_by_text("Verdict:").first.wait_for()
    assert runs.get_by_text("pipeline.train").count()
    page.goto(f"{ui}/#/experiments/1/runs")
    page.locator("[data-component-id='mlflow.experiment.metadata_editor.expand_button']").click()
    page.get_by_text("Key mass is the attention on").first.wait_for()
    with page.context.expect_page() as opened:
        page.get_by_role("link", name="Attention over the time steps").first.click()
    opened.value.get_by_text("after_unshared (attention)").first.wait_for(timeout=WAIT)


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
    page.locator("canvas.marks").nth(12).wait_for()  # three plots of each of four variants, and that of all seeds
    assert page.locator("canvas.marks").count() == 13
    assert [url for url in asked if not url.startswith(("file:", "data:", "blob:"))] == []
