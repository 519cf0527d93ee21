"""Verdicts, effects, tables and report, on cases computed by hand."""

import base64
import dataclasses
import io
import re

import numpy as np
import pytest
from conftest import one_sentence
from made_results import AT_KEY, CELLS, COMPARE, EARLY, KEY, LIMITS, control, result, runs
from pandas import DataFrame, concat
from pandas.testing import assert_frame_equal

from pipeline.measures import attention_measures
from pipeline.report import (
    comparison,
    effects,
    figures,
    html_page,
    markdown_tables,
    render,
    sentences,
    tables,
    terminal,
)
from pipeline.report.tables import Tables, VariantResult
from pipeline.report.verdicts import CORRECT, DIFFUSE, LATE, NOT_LEARNED, SILENT, UNJUDGED, VERDICTS, verdict
from pipeline.results.stage_files import NO_ATTENTION, NULL_KEY, UNIFORM
from pipeline.settings.schema import Controls, Data, Explain, Model, Probe, Study, Train, Variant


def judged(vector, accuracy=1.0, key=KEY):
    measures = attention_measures.summarize(np.array([vector]), key[None] > 0, np.ones(1)) | {"readout_at_peak": 1}
    return verdict(accuracy >= LIMITS.balanced_accuracy, measures, True, LIMITS)


def test_verdicts():
    for accuracy, expected in ((1.0, CORRECT), (0.95, CORRECT), (0.9499, NOT_LEARNED)):
        assert judged([0.1, 0.1, 0.7, 0.1], accuracy) == expected
    assert judged([0.1, 0.1, 0.2, 0.6]) == judged([0.0, 0.4, 0.0, 0.6]) == LATE
    assert judged([0.6, 0.1, 0.2, 0.1]) == judged([0.0, 0.6, 0.4, 0.0]) == SILENT
    for vector in ([0.25, 0.25, 0.25, 0.25], [0.24, 0.26, 0.25, 0.25], [0.2, 0.2, 0.28, 0.32]):
        assert judged(vector) == DIFFUSE
    assert judged([0.7, 0.1, 0.1, 0.1], key=np.zeros(4)) == UNJUDGED  # no key is known


def test_effects_by_hand():
    found = effects.estimate(runs(CELLS), COMPARE).to_dict("records")
    rows = {row["effect"]: row for row in found if row["metric"] == "key_mass"}
    # After: means (0.6, 0.6, 0.8, 0.6, 0.6); before: (0.1, 0.2, 0.3, 0.1, 0.2).
    assert rows["placement"]["mean_difference"] == pytest.approx(np.mean([0.5, 0.4, 0.5, 0.5, 0.4]))
    assert rows["placement"]["iqm"] == pytest.approx((0.5 + 0.5 + 0.4) / 3)  # one of five is cut at either end
    assert rows["placement"]["p_a_over_b"] == 1
    assert rows["placement"]["p"] == rows["placement"]["smallest_p"] == 0.0625
    # Unsharing: before 0; after (-0.2, -0.4, -0.2, -0.2, -0.4).
    assert rows["sharing"]["mean_difference"] == pytest.approx(-0.14)
    assert rows["interaction"]["mean_difference"] == pytest.approx(-0.28)
    assert rows["sharing"]["p_a_over_b"] == rows["interaction"]["p_a_over_b"] == 0
    assert rows["unsharing before"]["mean_difference"] == 0
    assert rows["unsharing before"]["p_a_over_b"] == 0.5
    assert rows["unsharing after"]["mean_difference"] == pytest.approx(-0.28)
    assert rows["unsharing after"]["p_a_over_b"] == 0
    assert {effect: row["p_holm"] for effect, row in rows.items()} == {
        **dict.fromkeys(["placement", "sharing", "interaction", "unsharing after"], 5 * 0.0625),
        "unsharing before": 1,
    }
    assert {row["n"] for row in rows.values()} == {5}
    assert rows["placement"]["low"] <= rows["placement"]["iqm"] <= rows["placement"]["high"]


def test_a_against_a_is_nothing():
    same = {key: [0.3, 0.4, 0.1] for key in CELLS}
    for row in effects.estimate(runs(same), COMPARE).to_dict("records"):
        assert (row["mean_difference"], row["iqm"], row["p_a_over_b"], row["p"], row["p_holm"]) == (0, 0, 0.5, 1, 1)


def test_of_variants_in_the_same_cell_the_first_is_compared_with_the_same_digits_again():
    both = concat([runs(CELLS), runs(CELLS)[:5].assign(variant="other", key_mass=0.9)], ignore_index=True)
    for table in (both, runs(CELLS)):
        assert_frame_equal(effects.estimate(table, COMPARE), effects.estimate(runs(CELLS), COMPARE), check_exact=True)


def test_without_all_four_combinations_no_effects_are_reported():
    three = runs({cell: values for cell, values in CELLS.items() if cell != ("after", "shared")})
    assert effects.estimate(three, COMPARE).empty
    assert answer(three).startswith("Of 15 runs 15 learned the task")
    assert "lacement" not in answer(three)


def test_what_cannot_be_compared_is_named():
    with one_sentence("needs at least two seeds."):
        effects.estimate(runs({cell: values[:1] for cell, values in CELLS.items()}), COMPARE)
    with one_sentence("key_mass of before_shared is NaN or infinite for some seeds"):
        effects.estimate(runs({**CELLS, ("before", "shared"): [np.nan] * 5}), COMPARE)


def answer(table):
    no_controls = DataFrame(columns=["control", "verdict"])
    made = Tables(*[DataFrame()] * len(Tables._fields))._replace(runs=table, controls=no_controls)
    return " ".join(sentences.answer(made._replace(effects=effects.estimate(table, COMPARE)), study()))


def test_the_answer_follows_the_numbers():
    said = answer(runs(CELLS))
    names = "before_shared, before_unshared, after_shared and after_unshared"
    found = f"attention finds the planted step (verdict *correct*) in 5 of 5 seeds of {names}"
    assert f"Of 20 runs 20 learned the task, and {found} (exact 95% interval 48% to 100%)." in said
    assert "Placement after the LSTM instead of before it changes the key mass by +0.467 (95% interval " in said
    means = "from 0.180 to 0.780 shared and from 0.180 to 0.500 unshared"
    assert f"P(after > before) = 1.00, p = 0.31, not to be told from chance), {means}; unsharing" in said
    before, after = said.split("unsharing changes it by ")[1].split(" before the LSTM, and by ")
    assert before.startswith("+0.000 (95% interval +0.000 to +0.000, P(unshared > shared) = 0.50, p = 1,")
    assert after.startswith("-0.267 (95% interval -0.")
    assert said.count("not to be told from chance") == 3  # five seeds can never reach 0.05
    turned = {("after" if p == "before" else "before", s): values for (p, s), values in CELLS.items()}
    assert "changes the key mass by -0.467" in answer(runs(turned))
    many = {cell: np.tile(values, 2) for cell, values in CELLS.items()}
    assert answer(runs(many)).count("chance") == 1  # unsharing before the LSTM changes nothing


def test_the_share_of_correct_runs_is_over_all_seeds_of_a_variant():
    table = runs({cell: [*values, *values] for cell, values in CELLS.items()})
    table.loc[(table["seed"] == 4) & (table["placement"] == "after"), "verdict"] = LATE
    table.loc[(table["seed"] == 3) & (table["variant"] == "after_unshared"), "verdict"] = NOT_LEARNED
    said = answer(table)
    assert "Of 40 runs 39 learned the task" in said
    assert (
        "in 10 of 10 seeds of before_shared and before_unshared (exact 95% interval 69% to 100%), "
        "9 of 10 seeds of after_shared (55% to 100%) and 8 of 10 seeds of after_unshared (44% to 97%)."
    ) in said
    said = answer(table.assign(verdict=NOT_LEARNED))
    assert "Of 40 runs 0 learned the task, and attention finds the planted step (verdict *correct*) in 0 of 10" in said
    one = runs({cell: values[:1] for cell, values in CELLS.items()})[:1]
    assert "in 1 of 1 seed of before_shared (exact 95% interval 3% to 100%)." in answer(one)


def test_the_verdict_table_shows_failures():
    row = {"variant": "x", "seeds": 4, **dict.fromkeys(VERDICTS, 0), CORRECT: 3, SILENT: 1}
    assert "| x | 3 of 4 | 0 of 4 | 0 of 4 | 1 of 4 | 0 of 4 |" in markdown_tables.verdicts_table(DataFrame([row]))
    row |= {"correct_low": 0.194, "correct_high": 0.994}
    assert "| x | 3 of 4 [19%, 99%] | 0 of 4 |" in markdown_tables.verdicts_table(DataFrame([row]))


def test_doubling_the_probe_samples_by_repetition_changes_no_interval():
    """The seed is the unit: a seed's samples are averaged first, so that more of them narrow nothing."""
    rng = np.random.default_rng(0)
    probes = {cell: rng.dirichlet(np.ones(4), (6, 30)) for cell in CELLS}  # six seeds of thirty samples
    mask, y = np.tile(KEY > 0, (30, 1)), rng.integers(0, 2, 30)

    def measured(times):
        def key_mass(a):
            repeated = np.tile(a, (times, 1)), np.tile(mask, (times, 1)), np.tile(y, times)
            return attention_measures.summarize(*repeated)["key_mass"]

        return effects.estimate(runs({cell: map(key_mass, seeds) for cell, seeds in probes.items()}), COMPARE)

    assert_frame_equal(measured(1), measured(2), rtol=0, atol=1e-12)


def rendered(uniform=(1.0, 0.99), null=(0.5, 0.51), coding="zero_one", without=()):
    """Render the report of a fictitious study of two seeds."""
    kinds = {Variant(*cell, name="_".join(cell)): values for cell, values in CELLS.items()}
    results = [_of_seeds(kind, [result([EARLY, AT_KEY], [0.1, mass]) for mass in kinds[kind][:2]]) for kind in kinds]
    config = dataclasses.replace(study(coding), variants=[kind.name for kind in kinds])
    controls = control(UNIFORM, uniform) + control(NO_ATTENTION, without) + control(NULL_KEY, null)
    computed = comparison.tabulate(config, results, controls)
    return render.render(config, computed, results)


def _of_seeds(variant, results):
    """Return the result of a variant whose seeds are those of results with one seed each."""
    fields = ("trained", "attended", "explained")
    parts = ({seed: getattr(one, field)[3] for seed, one in enumerate(results)} for field in fields)
    return VariantResult(variant, "", *parts)


def test_the_report_says_which_curve_is_first_or_that_there_is_only_one():
    text = rendered()
    assert "Before the LSTM (2 runs), the curve that is first in more runs is key mass at 10% (2 to 0)" in text
    assert "No run has both curves" not in text
    unmasked = result([EARLY, AT_KEY], [np.nan, np.nan])
    attended = {3: unmasked.attended[3]._replace(key=np.zeros(4))}
    results = [unmasked._replace(attended=attended)]
    config = dataclasses.replace(study(), seeds=[3])
    computed = comparison.tabulate(config, results, control(NULL_KEY, [0.5]))
    text = render.render(config, computed, results)
    assert "No run has both curves, so neither is first: without a mask, there is no key mass." in text


def study(coding="zero_one"):
    return Study(
        variants=["after_shared"],
        seeds=[0, 1],
        data=Data(100, 0.1, 4, 2, 2, coding, 0),
        model=Model(4, "lstm"),
        train=Train(1, 8, 0.1, 4, 4),
        probe=Probe(10),
        explain=Explain(4, 2, 10, 0.01, 0),
        controls=Controls([0, 1], 80, 10),
        compare=COMPARE,
        task=render.TASK | {"name": "planted_key"},
    )


@pytest.mark.filterwarnings("ignore:Degrees of freedom")
def test_a_study_of_one_seed_is_reported_without_effects_and_deviations(capsys):
    kinds = [Variant(placement, sharing, name=f"{placement}_{sharing}") for placement, sharing in CELLS]
    results = [result([EARLY, AT_KEY], [0.1, 0.7])._replace(variant=kind) for kind in kinds]
    config = dataclasses.replace(study(), variants=[kind.name for kind in kinds], seeds=[3])
    computed = comparison.tabulate(config, results, control(UNIFORM, [1.0]) + control(NULL_KEY, [0.5]))
    text = render.render(config, computed, results)
    assert "| after_shared | 0.700 | 1.000 | step 2 |" in text
    assert "that takes variants of all four combinations and at least two seeds." in text
    assert "1 seed for each variant" in text
    assert "1 of 1 seed learns the task" in text
    assert not re.search(r"\bnan\b|\b1 (seeds|runs)\b", text)
    terminal.show_attention({"a": results[0].attended})
    assert "over 1 seed)" in capsys.readouterr().out
    for figure in (
        figures.attention({r.variant.name: r.attended for r in results[:3]}),
        figures.explanations(computed.explanations[computed.explanations["variant"] != "after_shared"], 0.25),
    ):
        figure.canvas.draw()
        assert [ax.axison for ax in figure.axes[:4]] == [True, True, True, False]  # no empty fourth panel


def test_the_report_says_where_attention_was_not_needed():
    needless = " So the task can be learned without a peak."
    for uniform, without, sentence in (
        ((1.0, 0.99), (), f"2 of 2 seeds learn the task.{needless}"),
        ((1.0, 0.6), (1.0,), f"1 of 2 seeds learn the task; without the attention layer, 1 of 1 do.{needless}"),
        ((0.5, 0.6), (1.0,), f"0 of 2 seeds learn the task; without the attention layer, 1 of 1 do.{needless}"),
        ((0.5, 0.6), (0.5,), "0 of 2 seeds learn the task; without the attention layer, 0 of 1 do.\n"),
    ):
        expected = f"**Without attention to train, after the LSTM**: with every weight fixed at 1/4, {sentence}"
        assert expected in rendered(uniform=uniform, without=without)


def test_the_report_says_what_is_so_and_nothing_else():
    fine = rendered()
    assert "balanced accuracy lies between 0.5000 and 0.5100, and 2 of 2 runs are *not learned*." in fine
    assert "something other than the key" not in fine
    assert "1 of 2 runs are *not learned*. The others should be, too" in rendered(null=(0.5, 0.96))
    assert "has a key **equal to zero**" in fine
    assert "equal to zero" not in rendered(coding="plus_minus")
    assert "published" not in fine  # numbers for other settings
    assert "So few seeds can never reach 0.05." in fine
    assert "data.key_step: 2" in fine


def test_the_report_prints_all_that_is_tested_and_says_what_the_test_can_show():
    text = rendered()
    table = effects.estimate(runs({cell: values[:2] for cell, values in CELLS.items()}), COMPARE)
    for family in effects.FAMILIES:
        printed = markdown_tables.effects_table(table, family)
        assert printed in text
        assert len(printed.splitlines()) == 2 + (table["family"] == family).sum()
    assert "over the 5 tests of this table, so that with 2 pairs of seeds the smallest corrected p is 1." in text
    assert "symmetric around 0" in text
    assert "exploratory" in text


def test_the_page_holds_the_images_and_leads_nowhere(tmp_path):
    (tmp_path / "figures").mkdir()
    (tmp_path / "figures/a.png").write_bytes(b"not a picture")
    text = "# Does it?\n\n![a](figures/a.png)\n\n[runs.csv](runs.csv) says *so*: a < b\n\n| x |\n| --- |\n| 1 |\n"
    page = html_page.with_note(html_page.html(text, tmp_path), "A note.")
    assert f"data:image/png;base64,{base64.b64encode(b'not a picture').decode()}" in page
    assert "<title>Does it?</title>" in page
    assert "<td>1</td>" in page
    assert "runs.csv says <em>so</em>: a &lt; b" in page
    assert page.rstrip().endswith("<p>A note.</p>\n</body></html>")
    assert not re.search(r"(src|href)=.(?!data:)", page)


TABLE = DataFrame(
    {
        "variant": ["a", "null", "007"],
        "sharing": ["", "shared", ""],
        "seed": [0, 7, 12],
        "uniform": [True, False, True],
        "learned_at": [576.0, np.nan, 1 / 3],
        "unjudged": DataFrame([{"n": 2}, {}, {"n": 10}])["n"],  # an integer that one row lacks
    }
)


def test_a_table_as_csv_and_back_and_in_markdown(tmp_path):
    tables.write(path := tmp_path / "new/table.csv", TABLE)
    assert path.read_bytes() == (
        b"variant,sharing,seed,uniform,learned_at,unjudged\n"
        b"a,,0,True,576,2\n"
        b"null,shared,7,False,nan,nan\n"
        b"007,,12,True,0.333333333,10\n"
    )
    assert_frame_equal(tables.read(path), TABLE, rtol=1e-9)
    assert markdown_tables.markdown(TABLE.drop(columns="unjudged")) == (
        "| variant | sharing | seed | uniform | learned_at |\n"
        "| --- | --- | --- | --- | --- |\n"
        "| a |  | 0 | True | 576.0 |\n"
        "| null | shared | 7 | False | nan |\n"
        "| 007 |  | 12 | True | 0.3333333333333333 |"
    )


SUMMARY = """variant,seeds,correct,unjudged,key_mass_mean,hit_rate_mean,late_mass_mean,balanced_accuracy_mean
a_variant_with_a_long_name,10,8,nan,0.5,0.25,0.125,0.99999
[b],10,0,0,nan,nan,nan,1
"""
PRINTED = """
variant                     key mass  hit rate  late mass  balanced accuracy   correct
a_variant_with_a_long_name     0.500     0.250      0.125            0.99999   8 of 10
[b]                                -         -          -            1.00000  unjudged
a_variant_with_a_long_name  ▂▂█▂  key mass 0.250 (0.250 to 0.250 over 2 seeds)
                              ^
"""


@pytest.mark.parametrize("columns", ["20", "200"])
def test_printed_tables_keep_names_complete_and_have_no_colours(columns, tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", columns)
    (tmp_path / "summary.csv").write_text(SUMMARY, encoding="utf-8")
    terminal.show_summary(tmp_path, ["variant"])
    attended = {run.seed: run.attended._replace(vector=np.array(AT_KEY)) for run in control(UNIFORM, [1.0, 0.5])}
    terminal.show_attention({"a_variant_with_a_long_name": attended})
    assert capsys.readouterr().out == PRINTED.removeprefix("\n")


def test_a_long_vector_fits_the_terminal():
    """A block is the largest of some adjacent steps: no peak is lost."""
    vector = np.full(1000, 0.1)
    vector[505] = 0.8
    line = terminal.blocks(vector)
    assert line == "▁" * 29 + "█" + "▁" * 30


def test_a_character_that_the_terminal_lacks_is_replaced(monkeypatch):
    written = io.BytesIO()
    monkeypatch.setattr("sys.stdout", io.TextIOWrapper(written, encoding="ascii", write_through=True))
    terminal.show_training({3: result([AT_KEY], [0.7]).trained[3]._replace(scores={"r2": 1.0})}, "r2")
    assert written.getvalue() == b"seed  held-out loss  held-out R?\n   3       1.00e-01       1.0000\n"
