"""Sweeps: every combination once, gathered in one table, and gone on with after an interruption."""

import signal
import sqlite3
from contextlib import closing

import pytest
from hydra import compose, initialize_config_dir

from pipeline.execution import command_line  # noqa: F401 (registers what conf/config.yaml calls)
from pipeline.report import sweep_figures
from pipeline.results.file_formats import read_rows
from pipeline.settings.project import ROOT, names_in
from pipeline.settings.schema import Data
from pipeline.settings.study import load_task, load_variant
from pipeline.tasks import lookup

WORDS = ("+variant=before_unshared,after_unshared", "data.key_step=0,4")


def told(out):
    """Return what a sweep said of its combinations."""
    return [line.split(": ")[1] for line in out.splitlines() if line.startswith("== ")]


@pytest.mark.slow
def test_a_sweep_goes_on_where_it_was_interrupted(fresh):
    with fresh.started("python", "-m", "pipeline.sweep", *WORDS) as process:
        for line in process.stdout:
            if line.startswith("== 3 of 4: "):
                process.send_signal(signal.SIGINT)
                break
        _, error = process.communicate(timeout=60)
    assert process.returncode == 130
    assert error.splitlines()[-1] == "error: interrupted; what was finished before is as it was."
    out = fresh.stage("sweep", *WORDS).stdout
    points = [f"variant={v} data.key_step={k}" for v in ("before_unshared", "after_unshared") for k in (0, 4)]
    assert told(out) == [f"{points[0]} (made before)", f"{points[1]} (made before)", *points[2:]]
    folder = fresh.root / out.splitlines()[-1].split()[3].rstrip(".")
    summary, runs = read_rows(folder / "summary.csv"), read_rows(folder / "runs.csv")
    assert [(row["variant"], row["data.key_step"], row["seeds"]) for row in summary] == [
        (variant, step, 2) for variant in ("before_unshared", "after_unshared") for step in (0, 4)
    ]
    assert len(runs) == 8
    for row in summary:
        own = [run for run in runs if (run["variant"], run["data.key_step"]) == (row["variant"], row["data.key_step"])]
        assert row["key_mass_mean"] == pytest.approx(sum(run["key_mass"] for run in own) / 2)
        assert row["correct"] == sum(run["verdict"] == "correct" for run in own)
    assert (folder / "measures.png").stat().st_size > 10_000
    with closing(sqlite3.connect(fresh.root / "mlruns/mlflow.db")) as database:
        kinds = database.execute("SELECT value, count(*) FROM tags WHERE key = 'kind' GROUP BY value").fetchall()
        steps = database.execute("SELECT DISTINCT value FROM params WHERE key = 'data.key_step'").fetchall()
    assert dict(kinds)["sweep"] == 1
    assert {value for (value,) in steps} == {"0", "4"}
    (fresh.root / "outputs/multirun.yaml").unlink()  # Hydra's own, of the last sweep
    before = fresh.bytes("outputs")
    assert all(line.endswith("(made before)") for line in told(fresh.stage("sweep", *WORDS, "results=kept").stdout))
    assert {path: content for path, content in fresh.bytes("outputs").items() if path in before} == before
    assert (fresh.root / "kept/summary.csv").read_bytes() == (folder / "summary.csv").read_bytes()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (("+variant=after_unshared", "data.key_step=0,6"), "data.key_step is 6: it must be 0 to 5."),
        (("data.key_step=0,1",), "This stage needs +variant=NAME"),
        (("+experiment=nix",), "experiment is nix: it must be one of add_two, dense, find_max, one_feature."),
    ],
)
def test_a_mistake_in_any_combination_is_told_before_the_first_is_run(fresh, words, sentence):
    error = fresh.stage("sweep", *words, code=1).stderr
    assert sentence in error
    assert error.count("\n") == 1
    assert not list(fresh.root.glob("outputs/*/"))


@pytest.mark.parametrize("name", names_in("experiment"))
def test_each_experiment_names_samples_that_can_be_drawn_and_variants(name, monkeypatch):
    monkeypatch.setenv("PROJECT_ROOT", str(ROOT))
    with initialize_config_dir(str(ROOT / "conf"), version_base="1.3"):
        composed = compose("config", [f"+experiment={name}"], return_hydra_config=True)
    task = composed.hydra.runtime.choices["task"]
    lookup.check_task(load_task(task), Data(**composed.data))
    for variant in composed.hydra.sweeper.params["+variant"].split(","):
        assert load_variant(variant).placement
    assert list(composed.seeds) == list(range(10))


def row(**values):
    return {"correct": 1, "seeds": 2, "key_mass_mean": 0.5, "key_mass_sd": 0.1, "accuracy_mean": 1.0} | values


def test_the_value_with_the_most_numbers_is_drawn_along():
    rows = [row(variant=v, **{"data.key_step": k, "task": t}) for v in "ab" for k in (0, 5, 19) for t in "xy"]
    figure = sweep_figures.measures(rows, ["variant", "task", "data.key_step"])
    for ax in figure.axes:
        assert ax.get_xlabel() == "data.key_step"
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["a, x", "a, y", "b, x", "b, y"]
    lines = [line for line in figure.axes[0].lines if line.get_label() == "b, x"]
    assert [(line.get_xdata().tolist(), line.get_ydata().tolist()) for line in lines] == [([0, 5, 19], [0.5, 0.5, 0.5])]


def test_names_are_drawn_beside_each_other():
    figure = sweep_figures.measures([row(variant="luong"), row(variant="none")], ["variant"])
    assert [text.get_text() for text in figure.axes[0].get_xticklabels()] == ["luong", "none"]
    assert not figure.legends
