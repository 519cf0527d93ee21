"""What MLflow shows: one finished run for each result, added from the files where it is missing."""

import dataclasses
import json
import os
import re
import shlex
import shutil
import sqlite3
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest
from conftest import error_of, kept
from services import runs_of, serve, stored

from pipeline.execution import machine
from pipeline.models import build  # noqa: F401 (starts TensorFlow, before anything else does)
from pipeline.results import folders
from pipeline.results.stage_files import read_training
from pipeline.settings.schema import Tracking
from pipeline.settings.study import load_variant, params
from pipeline.tracking import answer, descriptions, live_runs, provenance, sync, views
from pipeline.tracking.connection import tracker_of
from pipeline.tracking.mlflow_client import Tracker

pytestmark = pytest.mark.slow
MADE_HERE = {name: machine.description()[name] for name in ("processor", "caches", "tensorflow", "XLA_FLAGS")}


@pytest.fixture(scope="module")
def settings(tmp_path_factory):
    """An empty store."""
    folder = tmp_path_factory.mktemp("store")
    return Tracking(f"sqlite:///{folder}/mlflow.db", str(folder), "attention")


def test_one_finished_run_for_each_result(project):
    client, runs = runs_of(f"sqlite:///{project.root}/mlruns/mlflow.db")
    assert {run.info.status for run in runs} == {"FINISHED"}
    assert len(stored(project)) == len(runs)  # they differ in their hashes
    seeds = [run for run in runs if run.data.tags["kind"] == "seed"]
    study = [run for run in seeds if run.data.params["train.epochs"] == "1"]
    variants = ("before_shared", "before_unshared", "after_shared", "after_unshared")
    found = {(run.data.tags["variant"], run.data.tags["seed"]) for run in study}
    assert found >= {(variant, seed) for variant in variants for seed in "07"}
    for run in seeds:
        tags, run_id = run.data.tags, run.info.run_id
        assert tags["variant"] == f"{tags['placement']}_{tags['sharing']}" or tags["sharing"] == "shared"
        assert "git_commit" in tags
        assert MADE_HERE.items() <= tags.items()
        assert run.data.metrics["accuracy"] <= 1
        curve = client.get_metric_history(run_id, "train_loss")
        assert [point.step for point in curve] == sorted({point.step for point in curve})
        assert curve[-1].step == 45 * int(run.data.params["train.epochs"])
        assert run.inputs.dataset_inputs[0].dataset.name == "planted_key"
        assert run.outputs.model_outputs
        if "attention_hash" in tags:
            vector = client.get_metric_history(run_id, "attention")
            assert [point.step for point in vector] == list(range(6))
            assert sum(point.value for point in vector) == pytest.approx(1, abs=1e-5)
            files = {file.path for file in client.list_artifacts(run_id, "attention")}
            assert files == {"attention/vector.csv", "attention/vector.png"}
            assert MADE_HERE.items() <= {name.removeprefix("attention_"): value for name, value in tags.items()}.items()
        assert tags["mlflow.source.name"] == "pipeline.train"
        assert tags["mlflow.source.type"] == "LOCAL"
    controls = [run for run in runs if run.data.tags["kind"] == "control"]
    of_each = {(control, variant) for control in ("null key", "other coding") for variant in variants}
    of_shared = {
        (control, f"{where}_shared") for control in ("frozen uniform", "no attention") for where in ("before", "after")
    }
    of_unshared = {("one feature", f"{where}_unshared") for where in ("before", "after")}
    found = {(run.data.tags["control"], run.data.tags["variant"]) for run in controls}
    assert found == of_each | of_shared | of_unshared
    uniform = next(run for run in controls if run.info.run_name == "frozen uniform: after_shared, seed 0")
    assert uniform.data.metrics["key_mass"] == pytest.approx(1 / 6)
    assert "*frozen uniform*" in uniform.data.tags[descriptions.NOTE]
    assert not any("comparison" in run.data.tags for run in controls)  # so no view of the study shows them
    comparison = next(run for run in runs if run.data.tags["kind"] == "comparison")
    assert comparison.data.tags["mlflow.source.name"] == "pipeline.compare"
    assert "`report.html`" in comparison.data.tags[descriptions.NOTE]
    assert "after_unshared.key_mass" in comparison.data.metrics
    assert MADE_HERE.items() <= comparison.data.tags.items()
    logged = Path(comparison.info.artifact_uri.removeprefix("file://"))
    files, there = (
        {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}
        for folder in (logged, project.root / "comparison")
    )
    assert files == there
    assert len([name for name in files if name.startswith("figures/")]) == 7
    page = (logged / "report.html").read_text(encoding="utf-8")
    assert f"Logged from commit {comparison.data.tags['git_commit']}" in page
    assert page.count("data:image/png;base64,") == 7 - 1  # the small study has no published numbers beside it


def test_the_logged_model_is_the_trained_one(project):
    import mlflow
    import numpy as np

    from pipeline.attention import StepAttention

    _, runs = runs_of(f"sqlite:///{project.root}/mlruns/mlflow.db")
    run = next(run for run in runs if (tags := run.data.tags)["kind"] == "seed" and tags["variant"] == "before_shared")
    mlflow.set_tracking_uri(f"sqlite:///{project.root}/mlruns/mlflow.db")
    model_id = run.outputs.model_outputs[0].model_id
    linked = {(found.key, found.dataset_name) for found in mlflow.get_logged_model(model_id).metrics}
    assert linked == {(name, "planted_key") for name in ("loss", "accuracy", "balanced_accuracy")}
    model = mlflow.tensorflow.load_model(f"models:/{model_id}")
    assert isinstance(model.get_layer("attention"), StepAttention)
    name = f"models/before_shared/weights/seed-{run.data.tags['seed']}.npz"
    with np.load(project.root / name) as weights:
        np.testing.assert_array_equal(model.get_layer("attention").kernel, weights["attention/kernel"])
    signature = mlflow.models.get_model_info(f"models:/{model_id}").signature
    assert signature.inputs.inputs[0].shape == (-1, 6, 2)


def experiment_tags(project):
    return dict(project.query("SELECT key, value FROM experiment_tags"))


def test_a_comparison_is_shown_on_the_pages_of_the_experiment_and_its_runs(project):
    project.stage("compare")  # after comparisons with other values, by the tests of the pipeline
    _, runs = runs_of(f"sqlite:///{project.root}/mlruns/mlflow.db")
    content = sync.hash_of_folder(project.root / "comparison")
    assert content in {run.data.tags["comparison_hash"] for run in runs if run.data.tags["kind"] == "comparison"}
    compared = {(run.data.tags["variant"], run.data.tags["seed"]): run for run in runs if "comparison" in run.data.tags}
    rows = project.rows("comparison/runs.csv")
    assert sorted(compared) == sorted((row["variant"], str(row["seed"])) for row in rows)
    for row in rows:
        run = compared[row["variant"], str(row["seed"])]
        assert run.data.tags["verdict"] == row["verdict"]
        assert run.data.tags["comparison"] == content
        assert run.data.metrics["key_mass"] == pytest.approx(float(row["key_mass"]))
        assert f"Verdict: **{row['verdict']}**." in run.data.tags[descriptions.NOTE]
        assert f"dvc repro analyze@{row['variant']}" in run.data.tags[descriptions.NOTE]
    tags, report = experiment_tags(project), project.read("comparison/report.md")
    for part in tags[descriptions.NOTE].split("\n\n")[1:-1]:
        assert part in report  # nothing is written twice
    assert "| before_shared |" in tags[descriptions.NOTE]
    assert f"runs?viewStateShareKey={views.VARIANTS.removeprefix(views.VIEW)}" in tags[descriptions.NOTE]
    for tag, view in views.VIEWS.items():
        saved = json.loads(tags[tag])
        wrong = " AND tags.verdict != 'correct'" if tag == views.WRONG else ""
        shown = f"tags.comparison = '{content}'{wrong}"
        assert (saved["name"], json.loads(saved["state"])["searchFilter"]) == (view.title, shown)


def test_a_seed_is_shown_with_its_files_and_its_run_and_a_run_with_the_same(project):
    out = project.stage("show", "+variant=after_shared", "seed=7").stdout
    first, *lines, last = out.splitlines()
    assert first == "after_shared, seed 7: models/after_shared, attention/after_shared"
    assert [line.split()[0] for line in lines] == ["step", *"012345"]
    assert [line for line in lines if line.endswith("<- key")] == [lines[4]]  # of step 3
    assert out.isascii()
    run = re.fullmatch(r"Run (\w{32}) in MLflow: http://127.0.0.1:5000/#/experiments/1/runs/\1", last)[1]
    assert project.stage("show", f"run={run[:12]}").stdout == out
    assert project.stage("show", "+variant=after_shared", "seed=7", "tracking=off").stdout == out.rpartition("Run")[0]
    [(comparison,)] = project.query(
        "SELECT run_uuid FROM tags WHERE key = 'comparison_hash'"
        f"AND value = '{sync.hash_of_folder(project.root / 'comparison')}'"
    )
    assert project.stage("show", f"run={comparison}").stdout.startswith("comparison: comparison\nRun ")
    [(control,)] = project.query("SELECT run_uuid FROM runs WHERE name = 'null key: after_shared, seed 0'")
    shown = project.stage("show", f"run={control}").stdout
    assert shown.startswith("null key: after_shared, seed 0: controls\nstep ")


def test_what_cannot_be_shown_is_told_with_what_exists(project):
    assert error_of(project.stage, "show", "+variant=after_shared", "seed=8") == (
        "error: seed is 8: with +variant=after_shared, it must be one of 0, 7.\n"
    )
    assert "This stage needs +variant=NAME, where NAME is one of: " in error_of(project.stage, "show", "seed=0")
    assert "run is nix: it is no run; there are " in error_of(project.stage, "show", "run=nix")
    assert "there are no finished runs in MLflow" in error_of(project.stage, "show", "run=nix", "tracking=off")


@pytest.mark.long  # explains twice
def test_samples_are_explained_by_the_model_of_a_run(project):
    np.save(project.root / "new.npy", np.random.default_rng(0).normal(size=(3, 6, 2)))
    words = ("+variant=luong", "seeds=[3]", "task=moving_key", "data.samples=400")
    with kept(project.root / "mlruns"):
        for stage in ("dataset", "train"):
            project.stage(stage, *words)
        [(run,)] = project.query("SELECT run_uuid FROM runs WHERE name = 'luong, seed 3'")
        out = project.stage("explain", f"run={run[:12]}", "samples=new.npy").stdout
        assert out == "3 samples are explained in outputs/explained/luong/index.html and explained.npz.\n"
        by_run = project.bytes("outputs/explained/luong")
        shutil.rmtree(project.root / "outputs/explained")
        project.stage("explain", *words, "samples=new.npy")
        assert project.bytes("outputs/explained/luong") == by_run
        assert "Which step, which feature: luong, seed 3" in by_run["outputs/explained/luong/index.html"].decode()
        for folder in project.root.glob("outputs/*/models"):
            shutil.rmtree(folder)
        shutil.rmtree(project.root / "outputs/explained")
        project.stage("explain", f"run={run}", "samples=new.npy")  # by the model in MLflow
        assert project.bytes("outputs/explained/luong") == by_run
        shutil.rmtree(project.root / "outputs")
        error = error_of(project.stage, "explain", f"run={run}", "samples=new.npy")
        assert f"run is {run}: the samples that luong, seed 3 was trained on are not here; its page says how" in error
        [(comparison, *_), *_] = project.query("SELECT run_uuid FROM tags WHERE value = 'comparison' AND key = 'kind'")
        error = error_of(project.stage, "explain", f"run={comparison}", "samples=new.npy")
        assert error.endswith(" is not the run of a seed, so it has no model.\n")
    (project.root / "new.npy").unlink()


def test_the_key_mass_is_drawn_over_the_batches(project):
    client, runs = runs_of(f"sqlite:///{project.root}/mlruns/mlflow.db")
    run = next(run for run in runs if run.data.tags.get("variant") == "after_shared" and "verdict" in run.data.tags)
    points = client.get_metric_history(run.info.run_id, views.KEY_MASS_LEARNED)
    rows = project.rows("comparison/learning/after_shared.csv")
    course = [(row["batch"], row["key_mass"]) for row in rows if str(row["seed"]) == run.data.tags["seed"]]
    assert [(point.step, point.value) for point in points] == course


def test_processes_that_log_the_same_new_data_at_once_all_succeed(settings):
    """MLflow checks whether it has a data set and then adds it; of two processes at once, it refuses one."""
    tracker = Tracker(settings)
    ready = threading.Barrier(8)

    def log(number):
        from mlflow.entities import Dataset, DatasetInput

        with tracker.run(f"run {number}", {}) as run_id:
            ready.wait()
            tracker._log_dataset(run_id, DatasetInput(Dataset("planted_key", "digest", "local", "{}")))
        return tracker.client.get_run(run_id)

    with ThreadPoolExecutor(8) as pool:
        runs = list(pool.map(log, range(8)))
    assert {run.info.status for run in runs} == {"FINISHED"}
    assert {run.inputs.dataset_inputs[0].dataset.digest for run in runs} == {"digest"}


@pytest.mark.filterwarnings("ignore:.*Any type hint is inferred as AnyType")  # MLflow's, about its classes
def test_another_result_of_the_same_values_gets_another_run(project, settings):
    """As after a change of the code. Its seed then trains without a live run, because there is a finished one."""
    folder = project.root / "models/after_shared"
    values, trained = json.loads((folder / "params.json").read_text("utf-8")), read_training(folder)[7]
    other = trained._replace(weights={path: array + 1 for path, array in trained.weights.items()})
    for result in (trained, trained, other, other):
        with live_runs.run_of(settings, values, 7) as run:
            run.log_curve(result.curve)
            run.finish(result)
    runs = tracker_of(settings).find(variant="after_shared", seed="7")
    assert {run.data.tags["weights_hash"] for run in runs} == {trained.weights_hash(), other.weights_hash()}
    assert len(runs) == 2
    assert all(run.data.metrics["train_loss"] == pytest.approx(trained.curve[-1][1]) for run in runs)


def test_only_runs_of_this_project_whose_process_is_gone_are_closed(settings):
    tracker, me = tracker_of(settings), provenance.process_identity()
    name, namespace = me.split()[0].split("/")
    long_ago, now = 90 * 60, time.time()
    runs = {  # what it is -> seconds since its start, its tags
        "a run of another program": (long_ago, {}),
        "a run with another program's tags": (long_ago, {"kind": "x", "process": "worker 7"}),
        "mine": (long_ago, {"kind": "seed", "process": me}),
        "one whose process has died": (0, {"kind": "seed", "process": f"{name}/{namespace} 999999999 1.5"}),
        "one whose process number another has": (0, {"kind": "seed", "process": f"{me.rpartition(' ')[0]} 1.5"}),
        "one of another machine": (0, {"kind": "seed", "process": f"other/{namespace} 1 1.5"}),
        "one of another container of this machine": (0, {"kind": "seed", "process": f"{name}/pid:[1] 1 1.5"}),
        "an old one of another machine": (long_ago, {"kind": "seed", "process": "other 1 1.5", "alive": f"{now}"}),
        "a silent one of another machine": (long_ago, {"kind": "seed", "process": "other 1 1.5"}),
        "one whose sign of life is old": (0, {"kind": "seed", "process": "other 1 1.5", "alive": f"{now - long_ago}"}),
        "one of my workers elsewhere": (0, {"kind": "seed", "process": "other 1 1.5", "started_by": me}),
    }
    started = {
        tracker.client.create_run(tracker.experiment_id, int((now - age) * 1000), tags).info.run_id: what
        for what, (age, tags) in runs.items()
    }

    def closed(*words):
        tracker.close_left_open(*words)
        return [what for run_id, what in started.items() if tracker.client.get_run(run_id).info.status == "KILLED"]

    gone = [*list(runs)[3:5], *list(runs)[8:10]]
    assert closed() == gone
    assert closed(me) == [*gone, "one of my workers elsewhere"]
    for run_id in started:
        tracker.delete(run_id)


def test_a_live_run_gives_signs_of_life(settings):
    tracker, values = tracker_of(settings), {"task": {"kind": "classification"}}
    with tracker.run("live", {"kind": "seed"}) as run_id:
        tracker.log_curve(run_id, values, [(1, 0.5, 0.5)])
        assert float(tracker.client.get_run(run_id).data.tags["alive"]) == pytest.approx(time.time(), abs=60)


DAMAGES = {
    "models/no_values": lambda folder: (folder / "params.json").unlink(),
    "models/no_json": lambda folder: (folder / "params.json").write_text("{", encoding="utf-8"),
    "models/no_section": lambda folder: (folder / "params.json").write_text("{}", encoding="utf-8"),
    "models/empty_weights": lambda folder: (folder / "weights/seed-7.npz").write_bytes(b""),
    "models/cut_table": lambda folder: os.truncate(folder / "history.csv", 40),
    "attention/cut_table": lambda folder: os.truncate(folder / "metrics.csv", 60),
}


@pytest.mark.filterwarnings("ignore:.*Any type hint is inferred as AnyType")  # MLflow's, about its classes
def test_damaged_results_are_named_and_the_others_are_added(project, settings, tmp_path, monkeypatch, capsys):
    for module in (sync, folders):
        monkeypatch.setattr(module, "ROOT", tmp_path)
    for kind in ("models", "attention"):
        shutil.copytree(project.root / kind / "after_shared", tmp_path / kind / "after_shared")
    for name, damage in DAMAGES.items():
        shutil.copytree(tmp_path / Path(name).parent / "after_shared", tmp_path / name)
        damage(tmp_path / name)
    shutil.copytree(project.root / "comparison", tmp_path / "comparison")
    (tmp_path / "comparison/metrics.json").write_text("{", encoding="utf-8")
    settings = Tracking(settings.uri, settings.artifacts, "damaged")
    assert sync.fill_from_files(settings) == 2
    lines = capsys.readouterr().err.splitlines()
    assert sorted(line.split()[0] for line in lines) == sorted([*DAMAGES, "comparison"])
    assert all("is damaged, so its runs are left out; make it again (" in line for line in lines)
    tracker = tracker_of(settings)
    runs = tracker.client.search_runs([tracker.experiment_id])
    assert [run.info.status for run in runs] == ["FINISHED", "FINISHED"]


FILL_IN = """
from pipeline.settings.schema import Tracking
from pipeline.tracking import sync
print(sync.fill_from_files(Tracking("sqlite:///mlruns/mlflow.db", "mlruns/artifacts", "attention")))
"""


@pytest.mark.service  # serves it, too
def test_a_lost_store_is_filled_in_again_from_the_files_and_served(project):
    shutil.rmtree(project.root / "outputs", ignore_errors=True)  # results of stages that were run by hand
    before, store = stored(project), project.root / "mlruns"
    with kept(store):
        shutil.rmtree(store)
        store.mkdir()
        assert serve(project) == "Runs added from the result files: 23."
        after = stored(project)
        assert after <= before
        assert sorted(run["kind"] for run in map(dict, after)) == ["comparison", *["control"] * 14, *["seed"] * 8]
        assert project.run("python", "-c", FILL_IN).stdout == "0\n"
        assert stored(project) == after
        assert project.query("SELECT * FROM tags WHERE key LIKE '%processor'") == []  # nobody knows who made the files


def test_a_store_that_cannot_be_used_is_named_without_the_password(project):
    for uri, sentence in {
        "http://u:secret@127.0.0.1:1": "MLflow cannot use it ([Errno 111] Connection refused)",
        "mysql+pymysql://u:secret@127.0.0.1/x": "that takes pymysql, which is not",
    }.items():
        error = error_of(project.stage, "train", "+variant=after_unshared", f"tracking.uri='{uri}'")
        assert error.startswith(f"error: tracking.uri is {uri.replace('secret', '***')}: {sentence}")


CONTENT = "SELECT key, value, run_uuid FROM tags UNION ALL SELECT key, value, experiment_id FROM experiment_tags"
FIRST, SECOND = (f"SELECT run_uuid FROM runs WHERE name = 'after_shared, seed {seed}'" for seed in "07")
EDITS = (
    f"UPDATE experiment_tags SET value = 'Mine.' WHERE key = '{descriptions.NOTE}'",
    f"INSERT INTO experiment_tags (key, value, experiment_id) VALUES ('{views.VIEW}mine', '{{}}', 1)",
    f"UPDATE experiment_tags SET value = 'outdated' WHERE key = '{views.STEPS}'",
    f"DELETE FROM experiment_tags WHERE key = '{views.LEARNING}'",
    f"UPDATE tags SET value = 'Mine, too.' WHERE key = '{descriptions.NOTE}' AND run_uuid IN ({FIRST})",
    f"DELETE FROM tags WHERE run_uuid IN ({SECOND}) AND (key IN ('verdict', 'comparison') OR key LIKE 'mlflow.%')",
)


def test_what_a_user_wrote_stays_and_all_else_is_written_once(project):
    """Also in a store without descriptions, as earlier versions of the project filled one in."""
    with kept(project.root / "mlruns"):
        before = dict(project.query(f"SELECT key, value FROM tags WHERE run_uuid IN ({SECOND})"))
        with closing(sqlite3.connect(project.root / "mlruns/mlflow.db")) as store:
            for edit in EDITS:
                assert store.execute(edit).rowcount
            store.commit()
        assert project.run("python", "-c", FILL_IN).stdout == "0\n"
        tags = experiment_tags(project)
        assert (tags[descriptions.NOTE], tags[f"{views.VIEW}mine"]) == ("Mine.", "{}")
        assert json.loads(tags[views.STEPS])["name"] == "Attention over the time steps"
        assert json.loads(tags[views.LEARNING])["name"] == "Learning"
        notes = f"SELECT value FROM tags WHERE key = '{descriptions.NOTE}' AND run_uuid IN ({FIRST})"
        assert project.query(notes) == [("Mine, too.",)]
        after = dict(project.query(f"SELECT key, value FROM tags WHERE run_uuid IN ({SECOND})"))
        assert before.keys() - after.keys() <= {"mlflow.runName"}
        assert (after["verdict"], after["comparison"]) == (before["verdict"], before["comparison"])
        assert f"Verdict: **{before['verdict']}**." in after[descriptions.NOTE]
        content = sorted(project.query(CONTENT))
        assert project.run("python", "-c", FILL_IN).stdout == "0\n"
        assert sorted(project.query(CONTENT)) == content


def test_a_comparison_by_hand_does_not_replace_the_verdicts_of_the_study(project):
    with kept(project.root / "mlruns"):
        before = sorted(project.query("SELECT * FROM tags WHERE key IN ('verdict', 'comparison')"))
        project.stage("compare", "compare.thresholds.balanced_accuracy=0.01")
        after = sorted(project.query("SELECT * FROM tags WHERE key IN ('verdict', 'comparison')"))
        [path] = project.root.glob("outputs/*/comparison")
        verdicts = {row["verdict"] for row in project.rows(path.relative_to(project.root) / "runs.csv")}
        assert "not learned" not in verdicts
        assert after == before
        shutil.rmtree(path.parent)


def commands_in(project, name):
    """Return the commands that the description of the first run of a name gives."""
    of_run = f"SELECT value FROM tags JOIN runs USING (run_uuid) WHERE key = '{descriptions.NOTE}' AND name = '{name}'"
    note, *_ = project.query(f"{of_run} ORDER BY start_time")[0]
    return re.search("```console\n(.*)\n```", note, re.DOTALL)[1].splitlines()


def hashes_of(project, name):
    """Return the hashes of the results of all runs of a name."""
    runs = f"SELECT run_uuid FROM runs WHERE name = '{name}'"
    return set(project.query(f"SELECT key, value FROM tags WHERE run_uuid IN ({runs}) AND key LIKE '%_hash'"))


@pytest.mark.long  # trains and analyzes again
def test_the_commands_of_a_run_make_it_again_in_a_fresh_clone(project, tmp_path):
    words = ("+variant=luong", "seeds=[3]", "train.epochs=2", "task=moving_key", "data.samples=400")
    with kept(project.root / "mlruns"):
        for stage in ("dataset", "train", "analyze"):
            project.stage(stage, *words)
        by_hand, of_study = commands_in(project, "luong, seed 3"), commands_in(project, "after_shared, seed 7")
        assert by_hand[0] == f"git checkout {project.run('git', 'rev-parse', 'HEAD').stdout.strip()}"
        assert by_hand[2] == (
            "python -m pipeline.train +variant=luong seeds='[3]' task=moving_key data.samples=400 train.epochs=2"
        )
        assert of_study == ["dvc repro analyze@after_shared"]  # there was no commit yet
        clone = project.clone(tmp_path / "clone")
        for line in (*by_hand, *of_study):
            clone.run(*shlex.split(line))
        for name in ("luong, seed 3", "after_shared, seed 7"):
            assert hashes_of(clone, name)
            assert hashes_of(clone, name) <= hashes_of(project, name)
        shutil.rmtree(project.root / "outputs")


def test_a_server_that_refuses_descriptions_is_named_once_and_nothing_is_lost(settings, monkeypatch, capsys):
    from mlflow.exceptions import MlflowException
    from mlflow.protos.databricks_pb2 import PERMISSION_DENIED

    tracker = tracker_of(settings)

    def refuse(*_):
        raise MlflowException("Permission denied", PERMISSION_DENIED)

    tracker.client.delete_experiment_tag(tracker.experiment_id, views.STEPS)
    monkeypatch.setattr(tracker.client, "set_experiment_tag", refuse)
    answer.offer_views(tracker)
    assert capsys.readouterr().err == (
        "MLflow refused the experiment's description and views (Permission denied); the runs are complete.\n"
    )


@pytest.mark.parametrize(
    ("found", "words"),
    [
        ({"train": {"epochs": 2}}, ["train.epochs=2"]),
        (
            {"data": {"key_coding": "plus_minus", "per_seed": True}},
            ["data.key_coding=plus_minus", "data.per_seed=true"],
        ),
        ({"task": {"feature": 0}}, ["task.feature=0"]),
        ({"task": {"noise": "a b"}}, ["'task.noise='\"'\"'a b'\"'\"''"]),
        ({"variant": {"uniform": True}}, ["variant.uniform=true"]),
    ],
)
def test_words_name_the_settings_that_are_not_the_studys(found, words):
    study = folders.values(dataclasses.replace(params(), variant=load_variant("after_shared")), "attention")
    changed = {name: {**value, **found.get(name, {})} for name, value in study.items() if isinstance(value, dict)}
    assert descriptions.commands(study, 0, "none") == ["dvc repro analyze@after_shared"]
    assert descriptions.commands(changed, 0, "none")[1] == " ".join(
        ["python -m pipeline.train +variant=after_shared seeds='[0]'", *words]
    )


def test_a_run_whose_variant_is_gone_is_described_without_commands():
    values = folders.values(dataclasses.replace(params(), variant=load_variant("luong")), "attention")
    values["variant"]["name"] = "gone"
    note = descriptions.of_run(values, 3, "none")
    assert (
        note == "Attention after the recurrent layer (variant `gone`), trained with seed 3 on the task `planted_key`."
    )


def test_a_verdict_replaces_an_earlier_one_and_no_other_text():
    note = "Attention after the recurrent layer, trained with seed 1 on the task `x`.\n\nMine."
    judged = descriptions.with_verdict(note, "correct")
    assert judged == note.replace("`x`.", "`x`. Verdict: **correct**.")
    assert descriptions.with_verdict(judged, "diffuse") == judged.replace("correct", "diffuse")
    assert descriptions.with_verdict("Mine.", "correct") == "Mine."


def test_views_fit_into_tags_and_name_what_is_compared():
    for tag, value in views.tags("r2", 6, "0123456789ab").items():
        assert len(value) < 5000  # what an MLflow server of version 2 takes
        assert json.loads(value)["name"] == (views.VIEWS[tag].title if tag != views.VARIANTS else "The variants")
    state = json.loads(json.loads(views.tags("r2")[views.VARIANTS])["state"])
    assert state["selectedColumns"] == ["metrics.`key_mass`", "metrics.`hit_rate`", "metrics.`r2`", "tags.`verdict`"]
    assert views.links("http://x/", "1", {}) == {}
    assert views.links("http://x/", "1", views.of_sweep("sweep-0123", "data.key_step", "r2")) == {
        "Sweep of data.key_step (sweep-0123)": (
            "http://x/#/experiments/1/runs?viewStateShareKey=attention-sweep-0123&compareRunsMode=CHART"
        )
    }


def test_a_run_names_the_experiment_of_dvc_in_which_it_was_made(settings, monkeypatch):
    tracker = tracker_of(settings)
    monkeypatch.setenv("DVC_EXP_NAME", "longer")
    run = tracker.start("a", {"kind": "seed"})
    monkeypatch.delenv("DVC_EXP_NAME")
    other = tracker.start("b", {"kind": "seed"})
    assert tracker.client.get_run(run).data.tags["dvc_experiment"] == "longer"
    assert "dvc_experiment" not in tracker.client.get_run(other).data.tags
    for number in (run, other):
        tracker.delete(number)


def test_views_are_left_out_where_the_pages_are_of_another_version(settings, monkeypatch, capsys):
    tracker = tracker_of(settings)
    monkeypatch.setitem(vars(tracker), "version", "3.9.0")
    tracker.client.delete_experiment_tag(tracker.experiment_id, views.LEARNING)
    for _ in range(2):
        answer.offer_views(tracker)
    assert capsys.readouterr().err == (
        "MLflow's pages are not those of version 3.17.x, so the saved views are left out.\n"
    )
    assert views.LEARNING not in tracker.experiment_tags()
