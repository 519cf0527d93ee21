"""Effects of placement and sharing: families of tests, what is left out, and what the report says of them."""

from itertools import product

import numpy as np
import pytest
from conftest import one_sentence
from hypothesis import given
from hypothesis import strategies as st
from made_results import CELLS, COMPARE, KEY, METRICS, VARIANT, result, runs
from pandas import DataFrame

from pipeline.report import effects, figures, markdown_tables, paired_tests, tables
from pipeline.report.effects import EXPLORATORY, FAMILIES, PRIMARY
from pipeline.report.verdicts import CORRECT, LATE, NOT_LEARNED, UNJUDGED
from pipeline.results import stage_files
from pipeline.results.file_formats import read_csv, read_rows, write_csv
from pipeline.results.stage_files import AttendedSeed

HITS = {  # of 300 samples: with nine digits, two patterns of signs no longer tie with that of the data
    ("before", "shared"): [245, 245, 243, 245, 244, 236],
    ("before", "unshared"): [245, 243, 249, 240, 244, 241],
    ("after", "shared"): [245, 250, 240, 238, 247, 237],
    ("after", "unshared"): [243, 240, 240, 245, 241, 240],
}


def placement_p(table):
    found = effects.estimate(table, COMPARE)
    return markdown_tables.effect_row(found, "placement", "hit_rate")["p"]


def test_ties_stay_ties_from_the_files_of_a_stage_to_the_test(tmp_path):
    kept_of = {}
    for cell, counts in HITS.items():
        measures = {seed: {"key_mass": 0.5, "hit_rate": hits / 300} for seed, hits in enumerate(counts)}
        attended = {seed: AttendedSeed(KEY, KEY, values) for seed, values in measures.items()}
        stage_files.write_attention(tmp_path, attended)
        kept = stage_files.read_attention(tmp_path)
        assert {seed: one.measures for seed, one in kept.items()} == measures
        kept_of[cell] = [one.measures["hit_rate"] for one in kept.values()]
    table = runs(kept_of, "hit_rate")
    counts = np.array(list(HITS.values()))
    d = counts[2] + counts[3] - counts[0] - counts[1]
    exact = np.mean([abs(np.dot(d, signs)) >= abs(d.sum()) for signs in product((1, -1), repeat=len(d))])
    assert placement_p(table) == exact == 0.5
    printed = table.assign(hit_rate=[float(f"{hits:.9g}") for hits in table["hit_rate"]])
    assert placement_p(printed) == 0.25


@given(st.lists(st.floats(), min_size=1))
def test_what_a_stage_writes_comes_back_exactly(tmp_path_factory, values):
    path = tmp_path_factory.getbasetemp() / "floats.csv"
    write_csv(path, [{"seed": 7, "x": value, "y": np.float64(value), "name": "a"} for value in values])
    for row, also, value in zip(read_csv(path), read_rows(path), values, strict=True):
        np.testing.assert_array_equal([float(row["x"]), float(row["y"]), also["x"]], value)
        assert (also["seed"], also["name"]) == (7, "a")


def test_the_primary_measure_is_corrected_apart_from_the_exploratory_ones():
    table = effects.estimate(runs(CELLS), COMPARE)
    assert list(table.groupby("family", sort=False).groups) == [PRIMARY, EXPLORATORY]
    assert list(table["metric"].unique()) == METRICS
    assert list(table.groupby("metric").size()) == [5] * len(METRICS)
    rng = np.random.default_rng(0)
    noise = runs(CELLS).assign(**{name: rng.random(20) for name in METRICS})
    for family, own in effects.estimate(noise, COMPARE).groupby("family"):
        assert len(own) == 5 * len(FAMILIES[family])
        np.testing.assert_array_equal(own["p_holm"], paired_tests.holm(own["p"]))


def test_a_measure_that_no_run_has_is_left_out_and_one_that_some_lack_is_named():
    table = runs(CELLS)
    absent = table.drop(columns="value_weighted_mass").assign(late_mass=np.nan)
    assert list(effects.estimate(absent, COMPARE)["metric"].unique()) == ["key_mass", "hit_rate"]
    alone = table[["variant", "placement", "sharing", "seed", "key_mass"]]
    assert list(effects.estimate(alone, COMPARE)["family"].unique()) == [PRIMARY]
    table.loc[0, "late_mass"] = np.nan
    with one_sentence("late_mass of before_shared is NaN or infinite for some seeds"):
        effects.estimate(table, COMPARE)


def test_without_a_mask_nothing_is_estimated():
    assert effects.estimate(runs(CELLS).assign(key_mass=np.nan), COMPARE).empty


@given(st.lists(st.floats(0, 1), min_size=8, max_size=20).filter(lambda x: len(x) % 4 == 0))
def test_the_simple_effects_make_up_the_others(values):
    cells = np.reshape(values, (2, 2, -1))
    d = {effect: a - b for effect, (a, b) in effects.contrasts(cells).items()}
    before, after = d["unsharing before"], d["unsharing after"]
    np.testing.assert_allclose(d["sharing"], (before + after) / 2, atol=1e-12)
    np.testing.assert_allclose(d["interaction"], after - before, atol=1e-12)


def test_the_figure_labels_what_is_exploratory():
    figure = figures.forest(effects.estimate(runs(CELLS), COMPARE).query("metric != 'late_mass'"), 0.05)
    titles = [ax.get_title() for ax in figure.axes]
    assert titles == ["key mass\n(primary)", "hit rate\n(exploratory)", "value-weighted mass\n(exploratory)"]
    assert len(figure.axes[0].get_yticklabels()) == 5


@pytest.mark.parametrize(
    ("verdicts", "interval"),
    [([CORRECT] * 8 + [LATE, NOT_LEARNED], (0.4439, 0.9748)), ([LATE] * 10, (0, 0.3085)), ([CORRECT], (0.025, 1))],
)
@pytest.mark.filterwarnings("ignore:Degrees of freedom")
def test_the_summary_holds_the_exact_interval_of_the_share_of_correct_seeds(verdicts, interval):
    row = {"variant": VARIANT.name, "placement": "after", "sharing": "shared", "key_mass": 0.5}
    table = DataFrame([row | {"seed": seed, "verdict": verdict} for seed, verdict in enumerate(verdicts)])
    made = [result([KEY], [0.7])]
    (found,) = tables.summary(made, table, 0.95).to_dict("records")
    assert (found["correct_low"], found["correct_high"]) == pytest.approx(interval, abs=5e-5)
    (wider,) = tables.summary(made, table, 0.99).to_dict("records")
    assert wider["correct_low"] <= found["correct_low"]
    unmasked = {3: made[0].attended[3]._replace(key=np.zeros(4))}
    (unjudged,) = tables.summary([made[0]._replace(attended=unmasked)], table, 0.95).to_dict("records")
    assert np.isnan([unjudged["correct_low"], unjudged["correct_high"]]).all()
    assert UNJUDGED in unjudged
    assert f"| {found[CORRECT]} of {len(table)} |" in markdown_tables.verdicts_table(DataFrame([unjudged]))
