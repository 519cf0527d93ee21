"""Attention and score during training, curve against curve, on cases computed by hand."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from made_results import AT_KEY, EARLY, KEY, result
from pandas import DataFrame, concat

from pipeline.report import figures, markdown_tables, sentences, tables
from pipeline.settings.schema import Variant

LATER = [(1, 0.5, 0.5), (2, 0.1, 0.5), (3, 0.1, 0.75), (4, 0.0, 1.0)]  # batches, loss, accuracy


def learned(masses, curve=LATER, name="after_shared", placement="after"):
    one = result([EARLY] * (len(masses) - 1) + [AT_KEY], masses, curve)
    return one._replace(variant=Variant(placement, "shared", name=name))


def batches(table, curve):
    return table[table["curve"] == curve].set_index("part")["batches"].tolist()


def order(*results):
    runs = DataFrame([{"variant": one.variant.name, "placement": one.variant.placement} for one in results])
    return sentences.order_of_curves(tables.learning(list(results)), runs)


def test_share_of_the_way_by_hand():
    np.testing.assert_array_equal(tables.share_of_way(np.array([0.25, 0.5, 1.5, 1.25])), [0, 0.25, 1.25, 1])
    np.testing.assert_array_equal(tables.share_of_way(np.array([1.0, 2.0, 0.5, 0.0])), [0, -1, 0.5, 1])  # downwards
    ways = tables.share_of_way(np.array([[0.5, 0.7, 0.5], [np.nan, 0.5, 1], [0, np.nan, 1]]))
    np.testing.assert_array_equal(ways, [[np.nan] * 3, [np.nan] * 3, [0, np.nan, 1]])
    assert np.isnan(tables.share_of_way(np.array([[0.5]]))).all()


@given(
    st.lists(st.integers(-1000, 1000), min_size=2, max_size=9),
    st.integers(-9, 9).filter(bool),
    st.integers(-100, 100),
)
def test_the_share_of_the_way_depends_neither_on_scale_nor_on_direction(values, scale, shift):
    curve = np.array(values, float)
    np.testing.assert_allclose(tables.share_of_way(scale * curve + shift), tables.share_of_way(curve), atol=1e-9)


def test_when_curves_have_gone_parts_of_their_way():
    table = tables.learning([learned([0.125, 0.25, 0.5, 0.875])])  # 0, 1/6, 1/2, 1
    assert list(table.columns) == ["variant", "seed", "curve", "part", "batches"]
    assert set(zip(table["variant"], table["seed"], strict=True)) == {("after_shared", 3)}
    assert table["part"].tolist() == [0.1, 0.5, 0.9] * 2
    assert batches(table, "key mass") == [1, 2, 3]
    assert batches(table, "accuracy") == [3, 3, 4]
    # The first point counts, also of a curve that turns back.
    assert batches(tables.learning([learned([0, 1, 0.25, 0.5])]), "key mass") == [1, 1, 1]
    assert batches(tables.learning([learned([0, 0.5])], "r2"), "r2") == [3, 3, 4]


@given(st.lists(st.floats(0, 1, allow_subnormal=False, width=32), min_size=2, max_size=9))
def test_a_larger_part_of_the_way_takes_no_fewer_batches(masses):
    found = np.array(batches(tables.learning([learned(masses)]), "key mass"))
    assert np.isnan(found).all() if masses[0] == masses[-1] else (np.diff(found) >= 0).all()


@pytest.mark.parametrize("masses", [[0.5, 0.7, 0.5], [np.nan, np.nan], [0.5]])
def test_a_curve_without_a_way_has_no_batches_and_nothing_is_said_of_it(masses):
    table = tables.learning([learned(masses)])
    assert np.isnan(batches(table, "key mass")).all()
    assert order(learned(masses)) == []
    assert "| after_shared | 10% | – | 3 (3 to 3) | – |" in markdown_tables.learning_table(table)


def test_the_table_shows_median_and_range_and_which_curve_is_first():
    table = tables.learning([learned([0.125, 0.25, 0.5, 0.875])])
    lines = markdown_tables.learning_table(table).splitlines()
    assert lines[0] == "| variant | part of the way | key mass: batches | accuracy: batches | first, number of seeds |"
    assert lines[2:] == [
        "| after_shared | 10% | 1 (1 to 1) | 3 (3 to 3) | key mass 1 |",
        "| after_shared | 50% | 2 (2 to 2) | 3 (3 to 3) | key mass 1 |",
        "| after_shared | 90% | 3 (3 to 3) | 4 (4 to 4) | key mass 1 |",
    ]
    other = tables.learning([learned([0.0, 0.0, 0.0, 0.25, 0.25, 1.0])]).assign(seed=4)  # 3, 5, 5
    flat = tables.learning([learned([0.5, 0.5])]).assign(seed=5)
    lines = markdown_tables.learning_table(concat([table, other, flat])).splitlines()
    assert lines[2] == "| after_shared | 10% | 2 (1 to 3), in 2 of 3 seeds | 3 (3 to 3) | key mass 1, both 1 |"
    assert lines[4] == "| after_shared | 90% | 4 (3 to 5), in 2 of 3 seeds | 4 (4 to 4) | key mass 1, accuracy 1 |"


def test_the_sentence_names_both_directions_where_parts_disagree():
    sooner = learned([0.0, 1.0])
    assert order(sooner) == [
        "After the LSTM (1 run), the curve that is first in more runs is "
        "key mass at 10% (1 to 0), 50% (1 to 0) and 90% (1 to 0) of the way."
    ]
    turned = learned([0.0, 0.25, 0.25, 0.25, 0.25, 1.0], name="before_shared", placement="before")  # 1, 5, 5
    assert order(turned, sooner)[0] == (
        "Before the LSTM (1 run), the curve that is first in more runs is "
        "key mass at 10% (1 to 0), accuracy at 50% (1 to 0) and 90% (1 to 0) of the way."
    )
    assert len(order(turned, sooner)) == 2


def test_of_a_curve_against_itself_neither_is_first():
    same = learned([0.5, 0.5, 0.5, 0.75, 1.0])
    assert batches(tables.learning([same]), "key mass") == batches(tables.learning([same]), "accuracy")
    assert order(same) == [
        "After the LSTM (1 run), the curve that is first in more runs is "
        "neither at 10% (0 to 0), 50% (0 to 0) and 90% (0 to 0) of the way."
    ]


@pytest.mark.parametrize(("key", "arrows"), [(KEY, 1), (KEY / 2, 0)])  # fixed; in half of the samples
def test_the_figure_draws_both_curves_and_marks_a_planted_step(key, arrows):
    full, unmasked = learned([0.0, 0.5, 1.0]), learned([np.nan, np.nan])
    courses = [(one.variant.name, *one.course()[:2], one.curves()) for one in (full, unmasked)]
    figure = figures.learning(courses, key)
    figure.canvas.draw()
    upper, lower = figure.axes[:2], figure.axes[2:4]
    assert [len(ax.texts) for ax in upper] == [arrows] * 2
    assert [len(ax.lines) for ax in lower] == [4, 2]  # a seed and the median, of two curves and of one
    dashes = {line.get_linestyle() for line in lower[0].lines}
    assert len(dashes) == 2  # told apart without colours
