"""Variants whose weights need not sum to 1, and only these, are marked in what is printed and written."""

from made_results import EARLY, VARIANT, control, result
from pandas import DataFrame

from pipeline.report import relevance, terminal
from pipeline.results.stage_files import NULL_KEY


def of_relevance():
    made = result([EARLY, EARLY], [0.1, 0.1])
    attended = {seed: one._replace(measures=one.measures | {"weight_sum": 2.5}) for seed, one in made.attended.items()}
    return made._replace(attended=attended)


def test_names_are_marked_in_results_and_controls():
    plain, gate = result([EARLY, EARLY], [0.1, 0.1]), of_relevance()
    names = relevance.shown_names([gate])
    parts = (gate, control(NULL_KEY, [0.5])[0])
    assert [relevance.renamed(part, names).variant.name for part in parts] == ["after_shared: relevance"] * 2
    table = relevance.renamed_table(DataFrame({"variant": ["after_shared", "other"]}), names)
    assert table["variant"].tolist() == ["after_shared: relevance", "other"]
    assert relevance.renamed(plain, relevance.shown_names([plain])).variant == VARIANT


def test_a_column_that_only_other_variants_have_marks_none():
    made = result([EARLY, EARLY], [0.1, 0.1])
    one = made.attended[3]
    attended = {3: one._replace(measures=one.measures | {"weight_sum": float("nan")})}
    assert relevance.shown_names([made._replace(attended=attended)]) == {"after_shared": "after_shared"}


def test_the_terminal_names_them(capsys):
    terminal.show_attention({"gate": of_relevance().attended})
    assert capsys.readouterr().out.startswith("gate: relevance  ")
