"""Tables and sentences on coding, samples needed, readable steps and late peaks, on cases worked out by hand."""

import numpy as np
import pytest
from made_results import AT_KEY, EARLY, KEY, LIMITS, control, result
from pandas import DataFrame

from pipeline.report import control_tables, place_tables, sentences
from pipeline.report.titles import SCORES
from pipeline.report.verdicts import CORRECT, LATE, SILENT
from pipeline.results.stage_files import NO_ATTENTION, OTHER_CODING, UNIFORM
from pipeline.settings.schema import Data

DATA = Data(100, 0.1, 4, 1, 2, "zero_one", 0, False)
SCORE = SCORES["balanced_accuracy"]
LATE_PEAK = [0.1, 0.1, 0.2, 0.6]


def with_steps(vector, **steps):
    """Return the result of one seed with a mean vector and values at each step."""
    made = result([EARLY, vector], [0.1, vector[2]])
    (attended,) = made.attended.values()
    columns = {name: np.array(values, float) for name, values in steps.items()}
    return made._replace(attended={3: attended._replace(steps={**attended.steps, **columns})})


def runs(verdicts, masses, **columns):
    names = [("before_shared", seed) for seed in range(len(verdicts))]
    table = DataFrame(names, columns=["variant", "seed"]).assign(verdict=verdicts, key_mass=masses, hit_rate=1.0)
    return table.assign(**columns)


def test_codings_are_compared_within_variant_and_seed():
    here = runs([CORRECT, CORRECT, SILENT], [0.4, 0.5, 0.3])
    other = runs([CORRECT, SILENT], [0.2, 0.1], control=OTHER_CODING)
    table = control_tables.coding(here, other, DATA)
    assert table[["coding", "seeds", "correct"]].to_numpy().tolist() == [["0 and 1", 3, 2], ["−1 and 1", 2, 1]]
    assert table["key_mass"].tolist() == pytest.approx([0.4, 0.15])
    assert "| before_shared | −1 and 1 | 1 of 2 | 0.150 | 1.000 |" in control_tables.coding_table(table)
    said = sentences.coding(here, other)
    assert said.startswith("Of 2 pairs of runs with the same variant and seed, 1 gets another verdict")
    assert said.endswith("before_shared 2 and 1 of 2.")
    assert control_tables.coding(here, other.assign(control=UNIFORM), DATA).empty


def test_samples_needed_are_those_of_the_first_point_that_reaches_the_limit():
    made = result([EARLY, AT_KEY], [0.1, 0.7])  # its accuracy reaches 0.96 after two batches
    (never,) = control(NO_ATTENTION, [0.5])
    (uniform,) = control(UNIFORM, [1.0])  # after two batches, too
    seed = {"seed": 3}
    controls = [uniform._replace(**seed), never._replace(**seed, curve=[(1, 0.5, 0.5), (2, 0.5, 0.94)])]
    table = control_tables.samples_needed([made], controls, 16, 0.95)
    assert table["attention"].tolist() == ["trained attention", UNIFORM, NO_ATTENTION]
    np.testing.assert_equal(table["samples"].to_numpy(), [32, 32, np.nan])
    text = control_tables.samples_table(table)
    assert "| after the LSTM | trained attention | 32 (32 to 32) |" in text
    assert "| after the LSTM | no attention | never, in 1 seed |" in text
    curves = control_tables.learning_curves([made], controls, 16)
    assert curves[curves["attention"] == UNIFORM][["samples", "score"]].to_numpy().tolist() == [[16, 0.5], [32, 1.0]]
    assert control_tables.samples_needed([made], [], 16, 0.95).empty


def test_steps_from_which_the_label_can_be_read():
    made = [with_steps(AT_KEY, readout=[0.5, 0.4, 1, 0.96]), with_steps(AT_KEY, readout=[0.5, 0.6, 1, 0.98])]
    (said,) = sentences.readable(made, LIMITS, SCORE)
    assert said == (
        "After the LSTM, attention weighs the states, of which a linear readout reads the label at steps 2 and 3 "
        "(balanced accuracy of at least 0.97, and at the others of at most 0.50, averaged over seeds)."
    )
    (said,) = sentences.readable([with_steps(AT_KEY, readout=[0.5] * 4)], LIMITS, SCORE)
    assert said.endswith("reads the label at no step (balanced accuracy below 0.95 everywhere).")


def test_a_late_peak_is_explained_by_what_stands_there():
    shares = {"readout": [0.5, 0.5, 0.9, 1.0], "gain": [0, 0, 1, 3]}
    late = with_steps(LATE_PEAK, logit_share=[0, 0, 0.25, 0.75], **shares)
    apart = with_steps(AT_KEY, logit_share=[0, 0, 0.4, 0.6])  # attends at the key, decides later
    places = place_tables.places([late, apart])
    assert places[["peak_step", "decided_at"]].to_numpy().tolist() == [[3, 3], [2, 3]]
    said = sentences.late_peaks(places, 2)
    assert said.startswith("In 1 of 2 runs whose output is a sum over time steps, the step with the most attention is")
    assert "1 of the 2 peaks away from step 2. There, a linear readout reads the label with a score of 1.00" in said
    assert "(at step 2: 0.90), the states of the two labels are further apart than at step 2 in 1 of 1" in said
    assert said.endswith("the step's share of the logit is 0.75 (at step 2: 0.25).")
    found = place_tables.late(places, [2])
    row = "| after_shared | 3 | 3 | 0.20 → 0.60 | 0.90 → 1.00 | 1.00 → 3.00 | 0.25 → 0.75 |"
    assert row in place_tables.late_table(found)
    assert place_tables.late(place_tables.places([apart]), [2]).empty
    assert "None of the 1 peaks away" in sentences.late_peaks(place_tables.places([apart]), 2)


def test_places_are_known_only_of_one_fixed_key():
    made = with_steps(AT_KEY)
    for key in ([0, 0, 0.5, 0.5], [0, 1.0, 1.0, 0], [0, 0, 0, 0]):
        (attended,) = made.attended.values()
        assert place_tables.places([made._replace(attended={3: attended._replace(key=np.array(key))})]).empty
    assert place_tables.places([made])["peak_step"].tolist() == [int(KEY.argmax())]


def test_a_verdict_that_is_the_same_changes_no_pair():
    same = runs([LATE], [0.4])
    said = sentences.coding(same, same.assign(control=OTHER_CODING))
    assert said.startswith("Of 1 pair of runs with the same variant and seed, 0 get another verdict")
