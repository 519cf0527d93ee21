"""The explanations of new samples: what they hold, and the file that they are written to."""

from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from pipeline.results.file_formats import write_arrays, write_csv

Array = NDArray[np.floating]
Row = dict[str, Any]  # of a table
MEASURES = "measures.csv"
MAPS = ("attention", "gradient_x_input", "integrated_gradients", "occlusion")  # fields that say what counts


class Explained(NamedTuple):
    """What a trained model says of samples, and what it says it by.

    `x` (samples, steps, features) are the samples. `prediction` (samples,) is the probability of label 1, or the number
    that a regression predicts; of more than two classes (samples, classes), that of each. `target` (samples,) is the
    label that is explained: 1, of more than two classes the one predicted or named, and 0 in a regression.
    `output` (samples,) are its log-odds, or what the regression predicts. `attention` is (samples, steps, heads or
    features). The others are (samples, steps, features), in units of `output`: `gradient` of it by the input,
    `gradient_x_input`, `integrated_gradients` from the mean of the training samples, and `occlusion`, by how much the
    output is lower, on average, with values of training samples in place of the sample's own. If samples were
    standardised for the training, these and `output` are on that scale; `x` and `prediction` are not.
    """

    x: Array
    prediction: Array
    target: Array
    output: Array
    attention: Array
    gradient: Array
    gradient_x_input: Array
    integrated_gradients: Array
    occlusion: Array


class AgainstMask(NamedTuple):
    """How well maps find what a mask marks.

    `mask` is true where the label is determined, (samples, steps) or (samples, steps, features); `rows` are those of
    `explain_samples.measured`.
    """

    mask: NDArray[np.bool_]
    rows: list[Row]


def write_explained(folder: Path, explained: Explained, against: AgainstMask | None = None) -> None:
    """Write explained.npz, an array for each field of `Explained`, and with a mask measures.csv."""
    write_arrays(folder / "explained.npz", explained._asdict())
    if against:
        write_csv(folder / MEASURES, against.rows)
