"""The label read by a linear model from what attention weighs, one time step at a time (a "linear probe").

What attention weighs are `values` (samples, steps, features): the input before the recurrent layer, its states after
it. A readout is fitted on some samples and scored on others. At each step it concerns the samples that have no later
key step; at a step that comes before the keys of all samples that have one, it concerns all samples. Where steps are
padded, `valid` (samples, steps) is false, and the sample is not concerned; None: no step is padded.

Source: Alain & Bengio (2017), "Understanding intermediate layers using linear classifier probes".
"""

import numpy as np
from numpy.typing import NDArray

from pipeline.measures.attention_measures import Attention, Mask
from pipeline.models.output import Output
from pipeline.results.padding import Valid

Array = NDArray[np.floating]
Values = NDArray[np.float64]
NUMBERS = 2**23  # of values that are summed at a time, at most
RIDGE = 1e-3  # of the mean square of the values: a state that never changes must not end the fit


def fit(values: Array, y: Array, mask: Mask, output: Output, valid: Valid = None) -> Values:
    """Return coefficients, the last one of a column the intercept: least squares with a small ridge.

    Args:
        values: what attention weighs, (samples, steps, features).
        y: labels (samples,), of classes or any numbers; all classes count the same, however many samples they have.
        mask: key steps, (samples, steps).
        output: what the labels are: classes or numbers.
        valid: see above.

    Returns:
        (columns, steps, features + 1): one column, or one for each of more than two classes, fitted to one-hot labels.
    """
    weight, targets = concerned(mask, valid).astype(np.float64), output.targets(y).reshape(len(y), -1)
    for label in range(output.classes):
        own = (y == label)[:, None]
        weight *= np.where(own, 1 / np.maximum((weight * own).sum(axis=0), 1), 1)
    weight /= np.maximum(weight.sum(axis=0), 1e-12)
    # NumPy's `einsum` sums in the same order on any processor; LAPACK does not.
    steps, size = values.shape[1], values.shape[2] + 1
    gram, moment = np.zeros((steps, size, size)), np.zeros((targets.shape[1], steps, size))
    for part in _parts(values):
        design = _with_intercept(values[part])
        weighted = design * weight[part, :, None]
        gram += np.einsum("nti,ntj->tij", weighted, design)
        moment += np.stack([np.einsum("nti,n->ti", weighted, column) for column in targets[part].T])
    diagonal = np.arange(gram.shape[2])
    gram[:, diagonal, diagonal] += RIDGE * np.maximum(np.einsum("tii->t", gram), 1e-12)[:, None] / len(diagonal)
    return np.stack([_solve(gram, column) for column in moment])


def predict(coefficients: Values, values: Array) -> Values:
    """Return the predictions of `fit` at each step: (samples, steps), where above 1/2 is label 1, if it has one column.

    Else they are (samples, steps, classes), and the class with the largest one is predicted.
    """
    columns = []
    for column in coefficients:
        parts = (np.einsum("nti,ti->nt", _with_intercept(values[part]), column) for part in _parts(values))
        columns.append(np.concatenate(list(parts)))
    return columns[0] if len(columns) == 1 else np.stack(columns, axis=2)


def by_step(predicted: Values, y: Array, mask: Mask, output: Output, valid: Valid = None) -> Values:
    """Return the score of the predictions at each step, (steps,): balanced accuracy, or R² in a regression.

    NaN at a step at which all samples are padded.
    """
    chosen = concerned(mask, valid).T
    return np.array(
        [output.score(predicted[own, step], y[own]) if own.any() else np.nan for step, own in enumerate(chosen)]
    )


def at_peak(predicted: Values, attention: Attention, y: Array, output: Output) -> float:
    """Return the score of what is read at each sample's most attended step: balanced accuracy, or R²."""
    return output.score(predicted[np.arange(len(y)), attention.argmax(axis=1)], y)


def gain(values: Array, y: Array, output: Output, valid: Valid = None) -> Values:
    """Return how far apart the values of different labels are, (steps,).

    It is twice the standard deviation of the values expected for the labels: for two equally likely classes, the
    distance between the means of the classes; in a regression, the distance between the values expected for labels one
    standard deviation above and below their mean. At each step it is that of the samples that are not padded there, 0
    if there are none.
    """
    if valid is not None:
        return np.array(
            [gain(values[own, step, None], y[own], output)[0] if own.any() else 0 for step, own in enumerate(valid.T)]
        )
    if output.classes > 2:
        members = [y == label for label in range(output.classes)]
        mean = values.mean(axis=0, dtype=np.float64)
        offsets = [values[own].mean(axis=0, dtype=np.float64) - mean for own in members if own.any()]
        shares = [own.mean() for own in members if own.any()]
        squares = [share * np.einsum("ti,ti->t", away, away) for share, away in zip(shares, offsets, strict=True)]
        return np.asarray(2 * np.sqrt(np.sum(squares, axis=0)))
    centred = (y - y.mean(dtype=np.float64)) / max(y.std(dtype=np.float64), 1e-12)
    slope = np.zeros(values.shape[1:])
    for part in _parts(values):
        slope += np.einsum("nti,n->ti", values[part].astype(np.float64), centred[part]) / len(y)
    return np.asarray(2 * np.sqrt(np.einsum("ti,ti->t", slope, slope)))


def concerned(mask: Mask, valid: Valid = None) -> Mask:
    """Return the samples that a readout concerns at each step, (samples, steps); see above."""
    seen: Mask = (np.cumsum(mask[:, ::-1], axis=1)[:, ::-1] - mask) == 0  # no key step is later
    with_key = mask.any(axis=1, keepdims=True)
    chosen = np.asarray(np.where((seen & with_key).any(axis=0), seen, True))
    return chosen if valid is None else chosen & valid


def _parts(values: Array) -> list[slice]:
    """Return slices of samples with no more than `NUMBERS` values each: as float64, all of them may exceed memory."""
    size = max(1, NUMBERS // (values.shape[1] * values.shape[2]))
    return [slice(start, start + size) for start in range(0, len(values), size)]


def _with_intercept(values: Array) -> Values:
    return np.concatenate([values, np.ones((*values.shape[:2], 1))], axis=2, dtype=np.float64)


def _solve(matrices: Values, vectors: Values) -> Values:
    """Return the solutions (steps, n) of positive definite equations (steps, n, n), by Gaussian elimination."""
    a, x, size = matrices.copy(), vectors.copy(), vectors.shape[1]
    for k in range(size):
        factor = a[:, k + 1 :, k] / a[:, k, k, None]
        a[:, k + 1 :] -= factor[:, :, None] * a[:, None, k]
        x[:, k + 1 :] -= factor * x[:, k, None]
    for k in reversed(range(size)):
        x[:, k] = (x[:, k] - np.einsum("ti,ti->t", a[:, k, k + 1 :], x[:, k + 1 :])) / a[:, k, k]
    return x
