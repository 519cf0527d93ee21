"""A file of three classes through all stages: dataset, train, analyze, controls and compare, one seed each."""

import dataclasses
import re

import numpy as np
import pytest
from conftest import one_sentence

from pipeline.measures import read_model
from pipeline.models import fit
from pipeline.report import comparison, figures, markdown_tables, tables
from pipeline.report.tables import VariantResult
from pipeline.results import folders, splits, stage_files
from pipeline.settings.schema import Controls, Data, Explain, Model, Probe, Train
from pipeline.settings.study import load_task, load_variant, params
from pipeline.tasks import control_samples, lookup

NAMES = ("run", "sit", "walk")


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    """A study of a file: the class is in feature 0 at step 2, as -3, 0 or 3; one of the classes is rare."""
    rng = np.random.default_rng(0)
    y, x = rng.choice(3, 700, p=[0.45, 0.45, 0.1]), rng.standard_normal((700, 5, 2))
    x[:, 2] = 3.0 * (y[:, None] - 1) + 0.1 * x[:, 2]
    path = tmp_path_factory.mktemp("file") / "mine.npz"
    np.savez(path, x=x, y=np.array(NAMES)[y], mask=np.tile(np.arange(5) == 2, (700, 1)))
    return dataclasses.replace(
        params(),
        task=load_task("file") | {"path": str(path)},
        data=Data(600, 0.2, 5, 2, 0, "zero_one", 0),
        model=Model(4, "lstm"),
        train=Train(16, 16, 0.02, 30, 2, "balanced"),
        probe=Probe(60),
        explain=Explain(2, 1, 60, 0.01, 0),
        controls=Controls([0], 500, 60),
        variants=["after_unshared"],
        variant=load_variant("after_unshared"),
        seeds=[0],
    )


@pytest.fixture(scope="module")
def result(study, tmp_path_factory):
    """What the stages write and read again: the splits, the variant's results, and a run of the null key."""
    root = tmp_path_factory.mktemp("root")
    with pytest.MonkeyPatch.context() as patch:
        for module in (folders, splits):
            patch.setattr(module, "ROOT", root)
        splits.write_all(study, lookup.draw_of(study.task), lookup.meaning_of(study.task, study.data))
        train, validation, probe = (splits.load(study, name) for name in splits.SPLITS)
        trained = fit.train_seed(study, 0, train, validation, lambda points: None)
        stage_files.write_training(root / "models", {0: trained})
        again = stage_files.read_training(root / "models")
        analyzed = read_model.analyze_seed(study, probe, train, 0, again[0])
        stage_files.write_attention(root / "attention", {0: analyzed.attended})
        stage_files.write_explanations(root / "attention", {0: analyzed.explained})
        read = stage_files.read_attention(root / "attention"), stage_files.read_explanations(root / "attention")
        (null,) = (control for control in control_samples.planned(study) if control.unrelated)
        drawn = control_samples.samples_of(study, null, (train, validation), root)
        changed = (null.name, null.variant, null.data)
        stage_files.write_controls(
            root / "controls", [read_model.control_seed(study, changed, 0, drawn, lambda points: None)]
        )
        controls = stage_files.read_controls(root / "controls")
    return VariantResult(study.variant, trained.data, again, *read), controls, (train, probe, root)


def test_a_result_without_its_weights_is_known_by_their_hash(result):
    one, _, (*_, root) = result
    (without,) = stage_files.read_training_without_weights(root / "models").values()
    assert (without.weights, without.snapshots.weights) == ({}, {})
    assert without.weights_hash() == one.trained[0].weights_hash()
    assert (without.scores, without.curve, without.classes) == (one.trained[0].scores, one.trained[0].curve, NAMES)


def test_three_classes_are_learned_and_a_null_key_is_not(result):
    one, (null,), _ = result
    assert one.classes() == NAMES
    assert one.trained[0].scores["balanced_accuracy"] > 0.95
    assert one.trained[0].weights["output/kernel"].shape[1] == 3
    assert null.scores["balanced_accuracy"] < 0.6  # 1/3 is chance
    assert null.loss > 0.8


def test_measures_of_three_classes(result):
    one, _, _ = result
    measures, steps = one.attended[0].measures, one.attended[0].steps
    for name in ("key_mass", "value_weighted_mass", "comprehensiveness", "sufficiency"):
        by_class = [measures[f"{name}_y{label}"] for label in range(3)]
        assert min(by_class) <= measures[name] <= max(by_class)
    assert steps["readout"][2] > 0.95  # the state at the key tells the class
    assert steps["readout"][1] < 0.7
    assert steps["logit_share"].sum() == pytest.approx(1)
    occlusion = one.explained[0].scores["occlusion"]
    assert occlusion["key_mass"] > 0.8
    assert min(occlusion[f"key_mass_y{label}"] for label in range(3)) > 0.5
    assert one.explained[0].scores["integrated gradients from the mean"]["key_mass"] > 0.5


def test_the_report_names_the_classes(study, result, tmp_path):
    one, controls, _ = result
    comparison.write(tmp_path, study, [one], controls)
    report = (tmp_path / "report.md").read_text(encoding="utf-8")
    for words in (
        "classes run, sit, walk, of which guessing reaches a balanced accuracy of 1/3",
        "| key mass, run | key mass, sit | key mass, walk |",
        "Explained are the log-odds of each sample's own class.",
        "twice the standard deviation of the mean values of the classes",
    ):
        assert words in report
    assert not re.search(r"label [01]|\bnan\b", report)
    assert "kendall_tau_y2_mean" in (tmp_path / "explanations.csv").read_text(encoding="utf-8")


def test_many_classes_are_shown_together(result):
    one, _, _ = result
    table = tables.explanations([one])
    for names, titles in ((NAMES, 3), ((*NAMES, "d", "e", "f"), 0)):
        header = markdown_tables.explanations_table(table, names).splitlines()[0]
        assert header.count("key mass, ") == titles
        figure = figures.explanations(table, 0.2, names)
        assert len(figure.axes[0].containers) == max(titles, 1)


def test_one_class_can_be_explained_in_all_samples(study, result):
    one, _, (train, probe, root) = result

    def explained(target):
        chosen = dataclasses.replace(study, explain=dataclasses.replace(study.explain, target=target))
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(splits, "ROOT", root)
            return read_model.analyze_seed(chosen, probe, train, 0, one.trained[0]).explained.scores["gradient x input"]

    walk, run = explained("walk"), explained("run")
    own = one.explained[0].scores["gradient x input"]
    assert walk["key_mass_y2"] == pytest.approx(own["key_mass_y2"])
    assert run["key_mass_y0"] == pytest.approx(own["key_mass_y0"])
    assert walk["key_mass_y0"] != pytest.approx(own["key_mass_y0"])
    with one_sentence("explain.target is jump: it must be null, or one of run, sit, walk."):
        explained("jump")
