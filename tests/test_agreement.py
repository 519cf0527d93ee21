"""How far two results agree, on small results made by hand."""

import json
from math import inf, nan

import numpy as np
import pytest
from conftest import one_sentence

from pipeline.report import agreement, certificate
from pipeline.report.revisions import Output, Results
from pipeline.results import made_on
from pipeline.results.file_formats import write_arrays, write_csv, write_text

LEVELS = ["bytes", "digits", "verdicts", "conclusions"]
SETTINGS = {"train": {"epochs": 1}, "seeds": [0, 3], "variants": [{"name": "luong", "placement": "after"}]}
RUNS = [{"variant": "luong", "seed": s, "verdict": "correct", "key_mass": m} for s, m in ((0, 0.25), (3, 0.5))]
EFFECT = {"effect": "placement", "metric": "key_mass", "iqm": 0.3, "p_holm": 0.01}
CONTROL = {"control": "frozen uniform", "variant": "luong", "placement": "after", "seed": 0, "verdict": "diffuse"}
WEIGHTS = {"lstm/kernel": np.ones((2, 2), "float32"), "lstm/bias": np.zeros(2, "float32")}


@pytest.fixture
def write(tmp_path):
    """Write results, with some of their parts changed, and return them."""

    def write(name, made=None, settings=SETTINGS, **changes):
        root = tmp_path / name
        write_text(root / "comparison/params.json", json.dumps(settings))
        write_text(root / "comparison/report.md", changes.get("report", "as before"))
        tables = {"runs": RUNS, "effects": [EFFECT], "controls": [CONTROL]}
        tables["summary"] = [{"variant": "luong", "peak_step": 10}]
        for table, rows in tables.items():
            write_csv(root / f"comparison/{table}.csv", changes.get(table, rows))
        for folder in ("models/luong", "attention/luong"):
            (root / folder).mkdir(parents=True, exist_ok=True)
        write_arrays(root / "models/luong/weights/seed-3.npz", WEIGHTS | changes.get("weights", {}))
        np.save(root / "attention/luong/attention.npy", changes.get("attention", np.full((2, 4), 0.25)))
        outputs = {}
        for output in ("attention/luong", "comparison", "models/luong"):
            files = made_on.files_in(root / output)
            content = made_on.content_hash(files)
            outputs[output] = Output(content, content, files, {"processor": made} if made else {})
        return Results(name, None, outputs)

    return write


@pytest.fixture
def told(write):
    """Return level, first line and details for results with some parts changed, compared with the same unchanged."""

    def told(**changes):
        here, there = write("here", "Intel", **changes), write("HEAD", "AMD")
        found = agreement.compare(here, there)
        lines = certificate.details(found, here, there)
        return found.level(6), certificate.first_line(found, here, there), "\n".join(lines)

    return told


def with_mass(value):
    return [RUNS[0], {**RUNS[1], "key_mass": value}]


@pytest.mark.parametrize(
    ("a", "b", "digits"),
    [
        (0.5, 0.5, 9),
        (0.5, 0.50000001, 7),
        (0.748, 0.7481, 3),
        (10, 11, 1),
        (1, -1, 0),
        (0.0, 1e-10, 9),
        (0.0, 1e-8, 0),
        (nan, nan, 9),
        (nan, 1.0, 0),
        (inf, inf, 9),
        (inf, 1.0, 0),
    ],
)
def test_agreeing_digits(a, b, digits):
    assert agreement.agreeing_digits(a, b) == agreement.agreeing_digits(b, a) == digits


def test_the_same_results_have_the_same_bytes(told):
    assert told() == ("bytes", "The same bytes in all 3 outputs; here was made on Intel, HEAD on AMD.", "")


def test_other_bytes_can_hold_the_same_numbers(told):
    level, line, details = told(report="in other words")
    assert level == "digits"
    assert line.startswith(
        "The same numbers in all tables, the same verdicts, the same conclusions; other bytes in 1 of 3"
    )
    assert details == "comparison: report.md."


def test_the_number_that_differs_most_is_named_with_its_variant_and_seed(told):
    level, line, details = told(runs=with_mass(0.50000001))
    assert level == "digits"
    assert line.startswith("The same to 7 digits, the same verdicts, the same conclusions; other bytes")
    assert "largest difference: key_mass of luong, seed 3 is 0.50000001, 0.5 at HEAD (runs.csv)" in line
    assert "7 digits agree: key_mass of luong, seed 3" in details
    assert told(runs=with_mass(0.501))[0] == "verdicts"
    assert "key_mass of luong, seed 3 is nan, 0.5 at HEAD" in told(runs=RUNS[:1])[1]


def test_a_verdict_that_differs_is_named(told):
    level, line, details = told(runs=[RUNS[0], {**RUNS[1], "verdict": "diffuse"}])
    assert level == "conclusions"
    assert "1 of 3 verdicts differ (luong, seed 3: diffuse, correct at HEAD), the same conclusions;" in line
    assert "verdict: luong, seed 3: diffuse, correct at HEAD." in details


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"effects": [{**EFFECT, "iqm": -0.3}]}, "effect of placement on key_mass: negative, positive at HEAD"),
        (
            {"effects": [{**EFFECT, "p_holm": 0.06}]},
            "effect of placement on key_mass: not significant, positive",
        ),
        ({"summary": [{"variant": "luong", "peak_step": 11}]}, "peak of luong: step 11, step 10 at HEAD"),
        (
            {"controls": [{**CONTROL, "verdict": "not learned"}]},
            "frozen uniform after the LSTM: none learns, all learn at HEAD",
        ),
    ],
)
def test_a_conclusion_that_differs_is_named_and_no_level_is_reached(told, changes, sentence):
    level, line, details = told(**changes)
    assert level is None
    assert f"1 of 3 conclusions differ ({sentence}" in line
    assert f"conclusion: {sentence}" in details


def test_the_sign_of_an_effect_that_cannot_be_told_from_chance_is_no_conclusion(write):
    effects = [[{**EFFECT, "p_holm": 0.5, "iqm": iqm}] for iqm in (0.01, -0.01)]
    found = agreement.compare(write("here", effects=effects[0]), write("HEAD", effects=effects[1]))
    assert found.level(6) == "verdicts"


def test_a_level_includes_those_after_it(write):
    found = agreement.compare(write("here", runs=with_mass(0.501)), write("HEAD"))
    assert [found.reaches(level, 6) for level in LEVELS] == [False, False, True, True]
    assert found.reaches("digits", 2)
    assert not found.reaches("digits", 3)


def test_results_of_other_settings_are_not_compared(told):
    other = SETTINGS | {"train": {"epochs": 2}, "variants": [{"name": "luong", "placement": "before"}]}
    level, line, details = told(settings=other, runs=with_mass(0.1))
    assert (level, details) == (None, "")
    assert line == "Not compared: train.epochs is 2, 1 at HEAD; variants.luong.placement is before, after at HEAD."


def test_arrays_that_differ_are_named_with_seed_and_difference(told):
    attention = np.full((2, 4), 0.25)
    attention[1, 2] += 0.125
    level, line, details = told(weights={"lstm/bias": np.full(2, 0.5, "float32")}, attention=attention)
    assert level == "digits"
    assert (
        "other bytes in 2 of 3 outputs (attention/luong, models/luong); for example attention/luong/attention" in line
    )
    assert "models/luong: weights/seed-3.npz up to 0.5 in lstm/bias." in details
    assert "attention/luong: attention.npy up to 0.12 (seed 3)." in details


def test_what_cannot_be_compared_is_said(write):
    here, there = write("here", weights={"lstm/bias": np.full(2, nan)}), write("HEAD")
    there.outputs["attention/luong"] = there.outputs["attention/luong"]._replace(files=None, hash="other")
    here.outputs["models/luong"] = here.outputs["models/luong"]._replace(locked="that of `dvc repro`")
    del there.outputs["comparison"].files["report.md"]
    found = agreement.compare(here, there)
    details = "\n".join(certificate.details(found, here, there))
    assert "attention/luong: its old files are not in DVC's cache, so only hashes are compared" in details
    assert "seed-3.npz up to inf in lstm/bias; not what `dvc repro` wrote, according to dvc.lock." in details


def test_damaged_tables_are_named(write):
    here, there = write("here", runs=[{"variant": "luong"}]), write("HEAD")
    for pair in ((here, there), (there, here)):
        with one_sentence("comparison of here is damaged: run `make repro`."):
            agreement.compare(*pair)


def test_the_certificate_says_where_results_were_made(write):
    here, there = write("here", "Intel", runs=with_mass(0.501)), write("HEAD")
    found = agreement.compare(here, there)
    stated = json.loads(certificate.text(found, here, there, 6))
    assert stated["level"] == "verdicts"
    assert stated["digits"] == 2
    assert "here was made on Intel, HEAD on an unrecorded processor." in stated["agreement"]
    made = {name: output["machine"] for name, output in stated["results"]["outputs"].items()}
    assert {stated["machines"][machine]["processor"] for machine in made.values()} == {"Intel"}
    assert {output["machine"] for output in stated["compared with"]["outputs"].values()} == {None}
    assert set(stated["outputs that differ"]) == {"comparison"}


def test_code_that_no_test_has_run_on_several_processors_is_named(write):
    attentions = {
        "luong": "pipeline.attention.LuongAttention",
        "mine": "my_attention.Sum",
        "additive": "keras.layers.X",
    }
    variants = [{"name": name, "attention": {"_target_": target}} for name, target in attentions.items()]
    here, there = (write(name, settings={**SETTINGS, "variants": variants}) for name in ("here", "HEAD"))
    assert certificate.details(agreement.compare(here, there), here, there) == [
        f"{code}: other processors may give other bytes, since no test covers it."
        for code in ("keras.layers.X", "my_attention.Sum")
    ]
