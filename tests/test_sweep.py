"""Sweeps: each combination is run once and collected in one table; an interrupted sweep resumes."""

import signal

import numpy as np
import pytest
from conftest import error_of
from hydra import compose, initialize_config_dir
from pandas import DataFrame

from pipeline.execution import command_line  # noqa: F401 (registers what conf/config.yaml calls)
from pipeline.report import sweep_figures, sweep_tables
from pipeline.results import stage_files
from pipeline.settings.project import ROOT, names_in
from pipeline.settings.schema import Data
from pipeline.settings.study import load_task, load_variant
from pipeline.tasks import lookup

VARIANTS = ("before_unshared", "after_unshared")
WORDS = (f"+variant={','.join(VARIANTS)}", "data.key_step=0,4")


def titles(out):
    """Return the combinations that a sweep printed."""
    return [line.split(": ")[1] for line in out.splitlines() if line.startswith("== ")]


@pytest.mark.long  # takes half a minute
def test_an_interrupted_sweep_resumes(fresh):
    with fresh.started("python", "-m", "pipeline.sweep", *WORDS) as process:
        next(line for line in process.stdout if line.startswith("== 3 of 4: "))
        process.send_signal(signal.SIGINT)
        _, error = process.communicate(timeout=60)
    assert process.returncode == 130
    assert error.splitlines()[-1] == "error: interrupted; what was finished before is as it was."
    out = fresh.stage("sweep", *WORDS).stdout
    (fresh.root / "outputs/multirun.yaml").unlink()  # Hydra's, about the last sweep
    before = fresh.bytes("outputs")
    again = fresh.stage("sweep", *WORDS, "results=kept").stdout
    points = [f"variant={v} data.key_step={k}" for v in VARIANTS for k in (0, 4)]
    assert titles(out) == [f"{points[0]} (made before)", f"{points[1]} (made before)", *points[2:]]
    folder = fresh.root / out.splitlines()[-1].split()[3].rstrip(".")
    summary, runs = fresh.rows(folder / "summary.csv"), fresh.rows(folder / "runs.csv")
    found = [(row["variant"], row["data.key_step"], row["seeds"]) for row in summary]
    assert found == [(variant, step, 2) for variant in VARIANTS for step in (0, 4)]
    assert len(runs) == 8
    for row in summary:
        point = [run for run in runs if all(run[name] == row[name] for name in ("variant", "data.key_step"))]
        assert row["key_mass_mean"] == pytest.approx(sum(run["key_mass"] for run in point) / 2)
        assert row["correct"] == sum(run["verdict"] == "correct" for run in point)
    assert (folder / "measures.png").stat().st_size > 10_000
    assert len(fresh.query("SELECT * FROM tags WHERE key = 'kind' AND value = 'sweep'")) == 1
    assert set(fresh.query("SELECT value FROM params WHERE key = 'data.key_step'")) == {("0",), ("4",)}
    assert titles(again) == [f"{point} (made before)" for point in points]
    assert {path: content for path, content in fresh.bytes("outputs").items() if path in before} == before
    assert (fresh.root / "kept/summary.csv").read_bytes() == (folder / "summary.csv").read_bytes()


@pytest.mark.slow
def test_each_seed_trains_on_samples_of_its_own(fresh):
    out = fresh.stage("sweep", "+variant=before_one_step", "variant.attention.step=3", "data.per_seed=true").stdout
    (folder,) = fresh.root.glob("outputs/*/models/before_one_step")
    hashes = (folder / "data.txt").read_text(encoding="utf-8").split()
    assert len(set(hashes)) == 2
    (common,) = fresh.root.glob("outputs/*/data/train/sha256.txt")
    assert common.read_text(encoding="utf-8").strip() not in hashes
    assert [result.data for result in stage_files.read_training(folder).values()] == hashes
    assert list(fresh.root.glob("outputs/parts/*/scratch/*")) == []
    assert "variant=before_one_step" in out


@pytest.mark.slow
def test_an_error_in_any_combination_is_reported_before_the_first_is_run(fresh):
    words = ("+variant=after_unshared", "data.key_step=0,6")
    assert "data.key_step is 6: it must be 0 to 5." in error_of(fresh.stage, "sweep", *words)
    assert "This stage needs +variant=NAME" in error_of(fresh.stage, "sweep", "data.key_step=0,1")
    sentence = f"experiment is nix: it must be one of {', '.join(names_in('experiment'))}."
    assert sentence in error_of(fresh.stage, "sweep", "+experiment=nix")
    assert not list(fresh.root.glob("outputs/*/"))


@pytest.mark.parametrize("name", names_in("experiment"))
def test_each_experiment_names_samples_that_can_be_drawn_and_variants(name, monkeypatch):
    monkeypatch.setenv("PROJECT_ROOT", str(ROOT))
    with initialize_config_dir(str(ROOT / "conf"), version_base="1.3"):
        composed = compose("config", [f"+experiment={name}"], return_hydra_config=True)
    swept, task = composed.hydra.sweeper.params, composed.hydra.runtime.choices["task"]
    for chosen in swept.get("task", task).split(","):
        lookup.check_task(load_task(chosen), Data(**composed.data))
    for variant in swept["+variant"].split(","):
        assert load_variant(variant).placement
    assert list(composed.seeds) == list(range(3 if name == "one_step" else 10))


def row(**values):
    return {"correct": 1, "seeds": 2, "key_mass_mean": 0.5, "key_mass_sd": 0.1, "balanced_accuracy_mean": 1.0} | values


def test_two_settings_are_tabulated_crosswise():
    found = {  # (variant, task) -> correct seeds, seeds that did not learn, key mass
        ("a", "x"): (3, 1, 0.5),
        ("a", "y"): (0, 4, 0.1),
        ("b", "x"): (0, 0, np.nan),
    }
    rows = [
        {"variant": v, "task": t, "seeds": 4, "correct": c, "not learned": n, "key_mass_mean": m}
        for (v, t), (c, n, m) in found.items()
    ]
    assert sweep_tables.crosswise(DataFrame(rows), "variant", "task").splitlines() == [
        "| variant \\ task | x | y |",
        "| --- | --- | --- |",
        "| a | 3 of 3 correct, 0.50 | not learned |",
        "| b | unjudged |  |",
    ]


def test_the_setting_with_the_most_numbers_is_the_x_axis():
    rows = [row(variant=v, **{"data.key_step": k, "task": t}) for v in "ab" for k in (0, 5, 19) for t in "xy"]
    figure = sweep_figures.measures(DataFrame(rows), ["variant", "task", "data.key_step"])
    assert {ax.get_xlabel() for ax in figure.axes} == {"data.key_step"}
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["a, x", "a, y", "b, x", "b, y"]
    (line,) = (line for line in figure.axes[0].lines if line.get_label() == "b, x")
    assert (line.get_xdata().tolist(), line.get_ydata().tolist()) == ([0, 5, 19], [0.5, 0.5, 0.5])


def test_without_a_mask_no_share_of_correct_seeds_is_drawn():
    rows = [row(**{"task.path": "a", "correct": 0, "unjudged": 2}), row(**{"task.path": "b"})]
    figure = sweep_figures.measures(DataFrame(rows), ["task.path"])
    assert figure.axes[0].lines[0].get_ydata().tolist() == pytest.approx([np.nan, 0.5], nan_ok=True)


def test_names_are_drawn_side_by_side():
    figure = sweep_figures.measures(DataFrame([row(variant="luong"), row(variant="none")]), ["variant"])
    assert [text.get_text() for text in figure.axes[0].get_xticklabels()] == ["luong", "none"]
    assert not figure.legends
