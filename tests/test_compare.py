"""Verdicts and effects on cases worked out by hand, and what the report says of them."""

import re

import numpy as np
import pytest

from pipeline import effects, report
from pipeline.config import Compare, Data, Model, Probe, Study, Thresholds, Train, UserError
from pipeline.verdicts import CORRECT, DIFFUSE, LATE, NOT_LEARNED, SILENT, VERDICTS, verdict

LIMITS = Thresholds(0.95, 2.0, 0.95, 0.5)
COMPARE = Compare(0.95, 500, 0, LIMITS)
KEY = np.array([0, 0, 1.0, 0])


def judged(vector, accuracy=1.0, key=KEY):
    vector = np.array(vector)
    keys = np.flatnonzero(key)
    mass = float(vector[keys].sum())
    positive = vector[vector > 0]
    measures = {
        "key_mass": mass,
        "key_lift": mass * len(vector) / max(len(keys), 1),
        "late_mass": float(vector[keys[-1] + 1 :].sum()) if len(keys) else float("nan"),
        "entropy": float(-(positive * np.log(positive)).sum() / np.log(len(vector))),
    }
    return verdict(accuracy, measures, vector, key, LIMITS)


@pytest.mark.parametrize(
    ("vector", "accuracy", "expected"),
    [
        ([0.1, 0.1, 0.7, 0.1], 1.0, CORRECT),
        ([0.1, 0.1, 0.7, 0.1], 0.95, CORRECT),
        ([0.1, 0.1, 0.7, 0.1], 0.9499, NOT_LEARNED),
        ([0.1, 0.1, 0.2, 0.6], 1.0, LATE),
        ([0.0, 0.4, 0.0, 0.6], 1.0, LATE),
        ([0.6, 0.1, 0.2, 0.1], 1.0, SILENT),
        ([0.0, 0.6, 0.4, 0.0], 1.0, SILENT),
        ([0.25, 0.25, 0.25, 0.25], 1.0, DIFFUSE),
        ([0.2, 0.2, 0.4, 0.2], 1.0, DIFFUSE),
        ([0.05, 0.25, 0.25, 0.45], 1.0, DIFFUSE),
    ],
)
def test_verdicts(vector, accuracy, expected):
    assert judged(vector, accuracy) == expected


def test_without_a_key_a_peak_is_a_silent_failure():
    assert judged([0.7, 0.1, 0.1, 0.1], key=np.zeros(4)) == SILENT


def runs(cells, metric="key_mass"):
    """Make rows of runs: (placement, sharing) -> values of a metric for each seed, all other metrics 0.5."""
    return [
        {
            "variant": f"{placement}_{sharing}",
            "placement": placement,
            "sharing": sharing,
            "seed": seed,
            "verdict": CORRECT,
            **dict.fromkeys(effects.METRICS, 0.5),
            metric: value,
        }
        for (placement, sharing), values in cells.items()
        for seed, value in enumerate(values)
    ]


CELLS = {
    ("before", "shared"): [0.1, 0.2, 0.3, 0.1, 0.2],
    ("before", "unshared"): [0.1, 0.2, 0.3, 0.1, 0.2],
    ("after", "shared"): [0.7, 0.8, 0.9, 0.7, 0.8],
    ("after", "unshared"): [0.5, 0.4, 0.7, 0.5, 0.4],
}


def rows_of(cells, metric="key_mass"):
    rows = effects.effect_rows(runs(cells, metric), COMPARE)
    return {row["effect"]: row for row in rows if row["metric"] == metric}


def test_effects_by_hand():
    rows = rows_of(CELLS)
    # After: means (0.6, 0.6, 0.8, 0.6, 0.6); before: (0.1, 0.2, 0.3, 0.1, 0.2).
    assert rows["placement"]["mean_difference"] == pytest.approx(np.mean([0.5, 0.4, 0.5, 0.5, 0.4]))
    assert rows["placement"]["iqm"] == pytest.approx((0.5 + 0.5 + 0.4) / 3)  # one of five is cut at either end
    assert rows["placement"]["p_a_over_b"] == 1
    assert rows["placement"]["p"] == rows["placement"]["smallest_p"] == 0.0625
    # Unsharing: before 0; after (-0.2, -0.4, -0.2, -0.2, -0.4).
    assert rows["sharing"]["mean_difference"] == pytest.approx(-0.14)
    assert rows["interaction"]["mean_difference"] == pytest.approx(-0.28)
    assert rows["sharing"]["p_a_over_b"] == rows["interaction"]["p_a_over_b"] == 0
    assert {row["p_holm"] for row in rows.values()} == {3 * 0.0625}
    assert {row["n"] for row in rows.values()} == {5}
    assert rows["placement"]["low"] <= rows["placement"]["iqm"] <= rows["placement"]["high"]


def test_a_against_a_is_nothing():
    same = {key: [0.3, 0.4, 0.1] for key in CELLS}
    for row in effects.effect_rows(runs(same), COMPARE):
        assert (row["mean_difference"], row["iqm"], row["p_a_over_b"], row["p"], row["p_holm"]) == (0, 0, 0.5, 1, 1)


def test_the_same_digits_again():
    assert effects.effect_rows(runs(CELLS), COMPARE) == effects.effect_rows(runs(CELLS), COMPARE)


def test_of_variants_in_the_same_cell_the_first_is_compared():
    other = [{**run, "variant": "other", "key_mass": 0.9} for run in runs(CELLS)[:5]]
    assert effects.effect_rows(runs(CELLS) + other, COMPARE) == effects.effect_rows(runs(CELLS), COMPARE)


def without(cell):
    return {name: values for name, values in CELLS.items() if name != cell}


@pytest.mark.parametrize(
    ("rows", "sentence"),
    [
        (runs(without(("after", "shared"))), "needs a variant with after and shared; none is there."),
        (runs({cell: values[:1] for cell, values in CELLS.items()}), "needs at least two seeds."),
        (runs({**CELLS, ("before", "shared"): [np.nan] * 5}), "key_mass of before_shared is not a number"),
    ],
)
def test_what_cannot_be_compared_is_named(rows, sentence):
    with pytest.raises(UserError, match=sentence.replace(".", r"\.")):
        effects.effect_rows(rows, COMPARE)


def answer(cells):
    made = runs(cells)
    return report.answer(made, effects.effect_rows(made, COMPARE), 0.95)


def test_the_answer_follows_the_numbers():
    said = answer(CELLS)
    assert "Of 20 runs 20 learned the task, and in 20 of these" in said
    assert re.search(r"After the LSTM, attention puts 0\.467 more of its weight on the planted step", said)
    assert re.search(r"Unshared, it puts 0\.133 less of its weight there than shared", said)
    assert said.count("cannot be told from chance") == 2  # five seeds can never reach 0.05
    turned = {("after" if p == "before" else "before", s): values for (p, s), values in CELLS.items()}
    assert "After the LSTM, attention puts 0.467 less of its weight" in answer(turned)


def test_many_seeds_all_one_way_are_told_from_chance():
    many = {cell: np.tile(values, 2) for cell, values in CELLS.items()}
    assert "chance" not in answer(many)


def test_the_verdict_table_shows_failures():
    row = {"variant": "x", "seeds": 4, **dict.fromkeys(VERDICTS, 0), CORRECT: 3, SILENT: 1}
    table = report.verdicts_table([row])
    assert "| x | 3 of 4 | 0 of 4 | 0 of 4 | 1 of 4 | 0 of 4 |" in table


def test_other_parameters_are_not_set_beside_published_numbers():
    study = Study(["x"], [0, 1], Data(100, 0.1, 6, 2, 3, 0), Model(4), Train(1, 8, 0.1, 4), Probe(10), COMPARE)
    made = runs(CELLS)
    for run in made:
        run["peak_step"] = 3
    summary = [
        {
            "variant": "x",
            "seeds": 5,
            "peak_step": 3,
            **dict.fromkeys(VERDICTS, 0),
            **{f"{name}_{kind}": 0.5 for name in effects.METRICS for kind in ("mean", "sd")},
        }
    ]
    said = report.render(study, made, summary, effects.effect_rows(made, COMPARE))
    assert "published" not in said
    assert "So few seeds can never reach 0.05." in said
