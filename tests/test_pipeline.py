"""The complete study at a small size, run by DVC: which change reruns which stages, and the same bytes twice."""

import csv
import json
import re
import shlex
import shutil
import time
from contextlib import ExitStack

import numpy as np
import pytest
from conftest import REPOSITORY, kept

from pipeline.results import splits

pytestmark = pytest.mark.slow
VARIANTS = ["before_shared", "before_unshared", "after_shared", "after_unshared"]
AFTER = "after_unshared"
TRAINS = [f"train@{name}" for name in VARIANTS]
DEFINITIONS = [f"define@{name}" for name in VARIANTS]
ANALYSES = [f"analyze@{name}" for name in VARIANTS]


def test_every_stage_runs_once_and_then_none(project):
    assert sorted(project.first_stages) == sorted(ALL)
    start = time.monotonic()
    out = project.run("dvc", "repro").stdout
    assert time.monotonic() - start < 60
    assert project.ran(out) == []
    assert "up to date" in out
    shown = project.stage("show").stdout
    assert all(name in shown for name in VARIANTS)
    assert shown.endswith("Results are in comparison. Browse the runs: make ui\n")


def test_output_that_nobody_reads_to_its_end_is_no_error(project):
    assert project.run("sh", "-c", "python -m pipeline.show | true").stderr == ""


@pytest.mark.long  # takes as long as the stages that it runs again
def test_a_forced_rerun_gives_the_same_bytes(project):
    before = project.results()
    stages = ["dataset", f"train@{AFTER}", f"analyze@{AFTER}", "compare"]  # controls: in test_resume.py
    assert project.repro("-f", "-s", *stages) == stages
    assert project.results() == before
    assert project.run("git", "status", "--porcelain").stdout == ""


@pytest.mark.long  # DVC takes half a minute
def test_an_experiment_runs_what_it_changes_and_is_shown(restored):
    out = restored.run("dvc", "exp", "run", "-n", "wider", "-S", "compare.confidence=0.99").stdout
    assert restored.ran(out) == ["compare"]
    shown = list(csv.DictReader(restored.run("dvc", "exp", "show", "--csv").stdout.splitlines()))
    wider = next(row for row in shown if row["Experiment"] == "wider")
    assert wider["compare.confidence"] == "0.99"
    assert 0 <= float(wider[f"{AFTER}.key_mass"]) <= 1
    assert "compare.confidence" in restored.run("dvc", "params", "diff").stdout
    line = next(line for line in (REPOSITORY / "Makefile").read_text("utf-8").splitlines() if "dvc exp show" in line)
    table = restored.run(*shlex.split(line.replace("$$", "$").replace("--only-changed", "")), "--md").stdout
    columns = [column.strip() for column in table.splitlines()[0].split("|") if column.strip()]
    assert columns[:2] == ["Experiment", "Created"]
    assert f"{AFTER}.key_mass" in columns
    assert "compare.confidence" in columns
    assert not [column for column in columns if column.endswith("hit_rate") or column.startswith(("src/", "models"))]


def test_another_probe_retrains_nothing(restored):
    restored.change({"probe": {"samples": 30}})
    assert restored.repro("dataset") == ["dataset"]
    found = restored.status()
    assert found.keys() >= set(ANALYSES)
    assert not found.keys() & {*TRAINS, "controls"}


def test_other_training_draws_no_data(restored):
    restored.change({"train": {"epochs": 2}})
    assert restored.repro(f"train@{AFTER}") == [f"train@{AFTER}"]
    assert max(row["batch"] for row in restored.rows(f"models/{AFTER}/history.csv")) == 90


def test_a_variants_file_retrains_that_variant_only(restored):
    restored.replace(f"conf/variant/{AFTER}.yaml", "unshared", "shared")
    assert set(restored.status()) == {f"{stage}@{AFTER}" for stage in ("define", "train", "analyze")}
    run = [f"define@{AFTER}", f"train@{AFTER}"]
    assert sorted(restored.repro(*run)) == run
    assert set(restored.status()) == {f"analyze@{AFTER}", "controls", "compare"}


def test_a_comment_reruns_nothing(restored):
    for name in ("params.yaml", f"conf/variant/{AFTER}.yaml"):
        restored.write(name, restored.read(name) + "\n# a comment\n")
    assert restored.repro() == []


ALL = ["dataset", *DEFINITIONS, *TRAINS, *ANALYSES, "controls", "compare"]
ROOMS = {
    "settings": ALL,
    "results": ALL,
    "tasks": ["dataset", *TRAINS, "controls"],
    "models": [*TRAINS, *ANALYSES, "controls"],
    "measures": [*ANALYSES, "controls"],
    "report": ["compare"],
}  # room -> the stages whose results its code can change


def outdated(project, *paths):
    """Return the stages that DVC would rerun if some source files were changed."""
    with ExitStack() as restored:
        for path in paths:
            restored.enter_context(kept(path))
            path.write_text(path.read_text(encoding="utf-8") + "\n# a change\n", encoding="utf-8")
        return sorted(project.status())


@pytest.mark.parametrize("room", ROOMS)
def test_a_change_in_a_room_reruns_the_stages_whose_results_it_can_change(project, room):
    assert outdated(project, min((project.root / "src/pipeline" / room).glob("*.py"))) == sorted(ROOMS[room])


def test_a_change_to_execution_tracking_or_a_stage_file_reruns_nothing(project):
    source = project.root / "src/pipeline"
    rooms = {path.name for path in source.iterdir() if (path / "__init__.py").exists()} - set(ROOMS)
    assert rooms == {"execution", "tracking"}
    stages = [path for path in source.glob("*.py") if path.name != "__init__.py"]
    assert outdated(project, *stages, *(path for room in rooms for path in (source / room).glob("*.py"))) == []


def test_metrics_and_plots(project, tmp_path):
    shown = json.loads(project.run("dvc", "metrics", "show", "--json").stdout)
    metrics = shown[""]["data"]["comparison/metrics.json"]["data"]
    assert set(metrics) == set(VARIANTS)
    assert set(metrics[AFTER]) == {"key_mass", "hit_rate", "late_mass", "balanced_accuracy"}
    project.run("dvc", "plots", "show", "-o", str(tmp_path))
    page = (tmp_path / "index.html").read_text(encoding="utf-8")
    for name in (f"{kind}/{variant}" for kind in ("training", "attention") for variant in VARIANTS):
        assert f"comparison/{name}.csv" in page.replace("\\\\", "/")


def test_tables_contain_every_run(project):
    runs, summary, effects = (project.rows(f"comparison/{name}.csv") for name in ("runs", "summary", "effects"))
    assert [(row["variant"], row["seed"]) for row in runs] == [(v, s) for v in VARIANTS for s in (0, 7)]
    assert [row["variant"] for row in summary] == VARIANTS
    for row in summary:
        for name in ("key_mass", "hit_rate", "mean_hit", "late_mass", "entropy", "accuracy"):
            numbers = [other[name] for other in runs if other["variant"] == row["variant"]]
            assert row[f"{name}_mean"] == pytest.approx(sum(numbers) / 2)
    mean = {row["variant"]: row["key_mass_mean"] for row in summary}
    placement = (mean[VARIANTS[2]] + mean[VARIANTS[3]] - mean[VARIANTS[0]] - mean[VARIANTS[1]]) / 2
    (effect,) = (row for row in effects if (row["effect"], row["metric"]) == ("placement", "key_mass"))
    assert effect["mean_difference"] == pytest.approx(placement)
    assert f"{mean[AFTER]:.3f}" in project.read("comparison/report.md")
    assert (project.root / "comparison/figures/attention.png").stat().st_size > 10_000


def test_controls_and_explanations_are_reported(project):
    controls, explanations, learning = (
        project.rows(f"comparison/{name}.csv") for name in ("controls", "explanations", "learning")
    )
    assert {(row["control"], row["variant"]) for row in controls} == {
        *((name, kind) for name in ("frozen uniform", "no attention") for kind in ("before_shared", "after_shared")),
        *(("other coding", name) for name in VARIANTS),
        *(("one feature", name) for name in ("before_unshared", "after_unshared")),
        *(("null key", name) for name in VARIANTS),
    }
    assert {row["seed"] for row in controls} == {0}
    for row in controls:
        if row["control"] == "frozen uniform":
            assert (row["key_mass"], row["entropy"]) == pytest.approx((1 / 6, 1))
    explained = {(row["variant"], row["explanation"]): row for row in explanations}
    for variant in VARIANTS:
        assert explained[variant, "attention"]["kendall_tau_mean"] == 1
        for name in ("gradient x input", "integrated gradients from zero"):
            assert explained[variant, name]["key_mass_y0_mean"] == 0  # where the key is 0
            assert explained[variant, name]["key_mass_y1_mean"] > 0
        assert explained[variant, "integrated gradients from the mean"]["key_mass_y0_mean"] > 0
    curves = ("key mass", "accuracy")
    expected = [(v, c, s, part) for v in VARIANTS for c in curves for s in (0, 7) for part in (0.1, 0.5, 0.9)]
    assert [(row["variant"], row["curve"], row["seed"], row["part"]) for row in learning] == expected
    with np.load(project.root / "models" / AFTER / "snapshots/seed-7.npz") as snapshots:
        assert list(snapshots["batches"]) == [0, 8, 16, 24, 32, 40, 45]
    with np.load(project.root / "attention" / AFTER / "learning.npz") as points:
        vectors = points["vectors"]
    assert vectors.shape == (2, 7, 6)
    np.testing.assert_allclose(vectors.sum(axis=2), 1, atol=1e-5)
    last = [row["attention"] for row in project.rows(f"comparison/attention/{AFTER}.csv")]
    np.testing.assert_allclose(vectors[:, -1].ravel(), last, rtol=1e-6)
    assert "http" not in project.read("comparison/report.html")


def results_of(project, out):
    """Return the folder that a stage by hand names in what it prints."""
    folder = project.root / out.split("Results are in ")[1].split(". ")[0]
    assert folder.is_relative_to(project.root / "outputs")
    return folder


def test_by_hand_other_values_give_the_same_and_leave_the_study_alone(project):
    before = project.results()
    words = (f"+variant={AFTER}", "seeds=[3,7]")
    folder, name = results_of(project, project.stage("train", *words, "workers=2").stdout), "weights/seed-7.npz"
    assert project.results() == before
    assert (folder / name).read_bytes() == (project.root / "models" / AFTER / name).read_bytes()
    out = project.stage("analyze", *words).stdout
    assert re.search(r"after_unshared +[▁▂▃▄▅▆▇█]{6}  key mass 0\.\d{3} \(0\.\d{3} to 0\.\d{3} over 2 seeds\)\n", out)
    error = project.stage("compare", "seeds=[3,7]", code=1).stderr
    assert f"run `python -m pipeline.train +variant={VARIANTS[0]} 'seeds=[3,7]'`." in error


@pytest.mark.long  # trains a variant of each control
def test_controls_by_hand_of_one_variant_give_the_same(project):
    before = project.results()
    with kept(project.root / "mlruns"):
        folder = results_of(project, project.stage("controls", f"variants=[{AFTER}]").stdout)
    found = project.rows(folder / "controls.csv")
    same = [row for row in project.rows("controls/controls.csv") if row["variant"] == AFTER]
    others = ("frozen uniform", "no attention")  # those are made of the first variant of a placement
    assert [row for row in found if row["control"] not in others] == same
    assert project.results() == before
    shutil.rmtree(folder.parent)


def test_a_variant_outside_the_study_leaves_the_study_clean(project):
    before = project.results()
    project.stage("define", "+variant=none")
    assert project.results() == before
    assert project.run("dvc", "status").stdout.strip() == "Data and pipelines are up to date."


@pytest.mark.long  # trains controls
def test_a_removed_and_an_added_variant(restored):
    restored.change({"variants": VARIANTS[:3]})
    assert restored.repro() == ["controls", "compare"]
    assert restored.status() == {}
    assert {path.parent.name for path in restored.root.glob("*/*/params.json")} == {*VARIANTS[:3], *splits.SPLITS}
    for variant in (AFTER, "luong"):
        restored.stage("train", f"+variant={variant}", "tracking=off")
    assert restored.status() == {}
    restored.change({"variants": VARIANTS})
    assert restored.repro() == ["compare"]  # the rest comes from DVC's cache


@pytest.mark.parametrize("name", ["history.csv", "metrics.csv", "weights/seed-7.npz"])
@pytest.mark.parametrize("damage", ["cut off", "foreign", "missing"])
def test_damaged_results_are_named(project, name, damage):
    path = project.root / "models" / AFTER / name
    with kept(path):
        if damage == "missing":
            path.unlink()
        else:
            path.write_bytes(path.read_bytes()[: path.stat().st_size // 3] if damage == "cut off" else b"a,b\n1,2\n")
        error = project.stage("compare", code=1).stderr
    assert f"models/{AFTER} is damaged: run `python -m pipeline.train +variant={AFTER}`." in error or (
        f"does not hold seeds [0, 7]: run `python -m pipeline.analyze +variant={AFTER}`." in error
    )


def test_a_comparison_needs_its_controls_the_same_data_and_every_seed(project):
    with kept(project.root / "controls"):
        shutil.rmtree(project.root / "controls")
        assert (
            "controls does not exist yet: run `python -m pipeline.controls`." in project.stage("compare", code=1).stderr
        )
    with kept(project.root / "models" / AFTER / "data.txt"):
        project.write(f"models/{AFTER}/data.txt", "0" * 64)
        assert f"models/{AFTER} was trained on other data than" in project.stage("compare", code=1).stderr
    with kept(project.root / "attention" / AFTER):
        for name in (f"attention/{AFTER}/{table}.csv" for table in ("vectors", "metrics")):
            project.write(name, re.sub("^7,.*\n", "", project.read(name), flags=re.MULTILINE))
        error = project.stage("compare", code=1).stderr
    assert f"attention/{AFTER} does not hold seeds [0, 7]: run `python -m pipeline.analyze" in error
