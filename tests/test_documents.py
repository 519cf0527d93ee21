"""What is written down agrees with what is there."""

import ast
import re
from pathlib import Path

import pytest
import yaml

from pipeline import markdown, published, report
from pipeline.config import Compare
from pipeline.formats import read_rows

ROOT = Path(__file__).resolve().parents[1]
SOURCE = ROOT / "src/pipeline"
# They refuse values, show results, track them or carry them, and never make them: a change to them reruns nothing.
WITHOUT_RESULTS = {"command", "interrupt", "provenance", "ranges", "safety", "terminal", "ui"}
WITHOUT_RESULTS |= {"cluster", "connection", "live", "tracker", "tracking"}

DRAWING = {"dataset", "controls"}  # the stages that draw samples, by generators that conf/task/ names


def imports(module):
    """Return the modules of the package that a module names in an import statement, wherever it stands."""
    found = set()
    for node in ast.walk(ast.parse((SOURCE / f"{module}.py").read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.module == "pipeline":
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and node.module.startswith("pipeline."):
            found.add(node.module.removeprefix("pipeline."))
    return found - WITHOUT_RESULTS


def all_imports(module):
    found, new = set(), {module}
    while new:
        found |= new
        new = set().union(*(imports(name) for name in new)) - found
    return found | {"__init__"}


@pytest.mark.parametrize("stage", ["dataset", "train", "analyze", "controls", "compare"])
def test_each_stage_depends_on_the_modules_that_make_its_results(stage):
    stages = yaml.safe_load((ROOT / "dvc.yaml").read_text(encoding="utf-8"))["stages"]
    named = {Path(dep).name for dep in stages[stage]["deps"] if dep.startswith("src/")}
    modules = all_imports(stage) | (all_imports("own_data") if stage in DRAWING else set())
    templates = {path.name for path in SOURCE.glob("*.j2") if path.name.split(".")[0] in modules}
    assert named == {f"{module}.py" for module in modules} | templates


def test_each_module_is_one_purpose_and_no_larger():
    for path in SOURCE.glob("*.py"):
        assert len(path.read_text(encoding="utf-8").splitlines()) <= 200, path


def table(name):
    return read_rows(ROOT / "comparison" / name)


def test_the_readme_states_the_numbers_of_the_comparison():
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    params = yaml.safe_load((ROOT / "params.yaml").read_text(encoding="utf-8"))
    settings = Compare(**params["compare"])
    runs, summary = table("runs.csv"), table("summary.csv")
    for expected in (
        markdown.results_table(summary),
        markdown.peaks_table(runs, params["data"]["key_step"]),
        published.published_table(summary),
        published.one_feature_table(table("controls.csv")),
        markdown.verdicts_table(summary),
        markdown.controls_table(table("controls.csv")),
        markdown.learning_table(table("learning.csv")),
        report.answer(runs, table("effects.csv"), settings),
    ):
        assert expected in readme
        assert expected in (ROOT / "comparison/report.md").read_text(encoding="utf-8")


def test_the_readme_states_what_came_of_the_published_figures():
    assert published.figures_table(ROOT / "docs/results") in (ROOT / "README.md").read_text(encoding="utf-8")


def test_a_key_at_the_first_step_is_what_the_readme_says_of_it():
    runs = [run for run in read_rows(ROOT / "docs/results/key_step/runs.csv") if run["data.key_step"] == 0]
    before, after = ([run for run in runs if run["placement"] == where] for where in ("before", "after"))
    assert len(before) == len(after) == 20
    assert all(run["accuracy"] >= 0.95 and run["verdict"] == "late-shifted" for run in after)
    assert {run["peak_step"] for run in after} == {4, 5, 6, 7, 8}
    learned = [run for run in before if run["verdict"] != "not learned"]
    assert len(learned) == 14
    assert {run["verdict"] for run in learned} == {"correct"}


def test_the_committed_study_found_what_the_article_claims():
    runs, summary = table("runs.csv"), table("summary.csv")
    assert len(runs) == 40
    assert min(run["accuracy"] for run in runs) >= 0.99
    assert {row["variant"]: row["peak_step"] for row in summary} == dict.fromkeys(
        ("before_shared", "before_unshared", "after_shared", "after_unshared"), 10
    )


@pytest.mark.parametrize("name", ["requirements.lock", "requirements-services.lock"])
def test_the_lock_names_hashes_and_no_address(name):
    lock = (ROOT / name).read_text(encoding="utf-8")
    assert "--hash=sha256:" in lock
    assert not re.search(r"https?://|file:|--index|--find-links", lock)


def test_links_of_the_readme_lead_somewhere():
    for link in re.findall(r"\]\(([^)#:]+)\)", (ROOT / "README.md").read_text(encoding="utf-8")):
        assert (ROOT / link).exists(), link
