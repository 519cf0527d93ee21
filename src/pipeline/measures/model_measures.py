"""Measures that need the trained model: what is in what attention weighs, and what predictions do without it."""

from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from pipeline.measures import attention_measures, attribution, interventions, linear_readout
from pipeline.models.output import Output
from pipeline.results.padding import Valid, padded, some_valid
from pipeline.settings.schema import Explain

if TYPE_CHECKING:
    from pipeline.models.functions import Functions

Array = NDArray[np.float32]
Mask = NDArray[np.bool_]
Found = tuple[dict[str, float], dict[str, NDArray[np.float64]]]  # measures, and those that have a value for each step


class Samples(NamedTuple):
    """Rows of a split: `x` (samples, steps, features), `y` (samples,) and `mask` (samples, steps)."""

    x: Array
    y: Array
    mask: Mask

    @property
    def valid(self) -> Valid:
        """Which steps are not padded, (samples, steps); None if none is."""
        return some_valid(self.x)

    def first(self, count: int) -> "Samples":
        """Return the first of the samples."""
        return Samples(self.x[:count], self.y[:count], self.mask[:count])


class TrainedModel:
    """A trained model and its attention on some samples, for the measures that need the model.

    `values` and `weighted` are 0 at padded steps; `head` and `tail` put the padding back, so that whatever is done to
    the values, no step becomes padded or stops being so.
    """

    def __init__(
        self, functions: "Functions", samples: Samples, weights: Array, kind: Output, settings: Explain
    ) -> None:
        self.functions, self.samples, self.weights = functions, samples, weights
        self.kind, self.settings = kind, settings
        self.valid = valid = samples.valid
        values = functions.values(samples.x)
        weighted = functions.attend(values)[0]
        self.values, self.weighted = padded(values, valid, 0), padded(weighted, self._valid_in(weighted), 0)
        self.output = functions.head(weighted)
        self.peak = padded(weights.mean(axis=2), valid, -1).argmax(axis=1)  # a peak is never on padding

    def _valid_in(self, weighted: Array) -> Valid:
        """Return which steps of the output of the attention layer are not padded; None if it has no such steps."""
        return self.valid if weighted.ndim == 3 and weighted.shape[1] == self.samples.mask.shape[1] else None

    def head(self, weighted: Array) -> Array:
        """Return the outputs for outputs of the attention layer, as `Functions.head` does."""
        return self.functions.head(padded(weighted, self._valid_in(weighted)))

    def tail(self, values: Array) -> Array:
        """Return the outputs for values that attention weighs, as `Functions.tail` does."""
        return self.functions.tail(padded(values, self.valid))

    def measured(self, rng: Generator) -> Found:
        """Return the measures of this class but the readout, and those that have a value for each time step.

        `rng` draws permutations and random steps.
        """
        on_key, shares = self.shares_of_logit()
        others = self.value_weighted_mass() | self.erasure(rng) | self.other_attention(rng)
        return on_key | others, shares

    def readout(self, fitting: Samples, samples: Samples, attention: Array) -> Found:
        """Return how well, and from which steps, a linear model reads the label from what attention weighs.

        It is fitted on some samples, and scored on others, of which there may be more than those of this class, with
        the attention on them, (samples, steps).
        """
        values = padded(self.functions.values(fitting.x), fitting.valid, 0)
        coefficients = linear_readout.fit(values, fitting.y, fitting.mask, self.kind, fitting.valid)
        scored = padded(self.functions.values(samples.x), samples.valid, 0)
        predicted = linear_readout.predict(coefficients, scored)
        peaks = padded(attention, samples.valid, -1)  # a peak is never on padding
        steps = {
            "readout": linear_readout.by_step(predicted, samples.y, samples.mask, self.kind, samples.valid),
            "gain": linear_readout.gain(values, fitting.y, self.kind, fitting.valid),
        }
        return {"readout_at_peak": linear_readout.at_peak(predicted, peaks, samples.y, self.kind)}, steps

    def shares_of_logit(self) -> Found:
        """Return each step's share in how the output follows the label, where the head adds up what steps contribute.

        It is the covariance of the step's contribution with the label over that of all contributions: for two classes,
        the share in the gap between their mean logits. For more classes, the covariances of a class's logit with
        whether a sample is of that class are summed.
        """
        _, y, mask = self.samples
        may_add_up = self.weighted.ndim == 3 and not self.functions.recurrent_head
        added = interventions.by_step(self.head, self.weighted) if may_add_up else None
        if added is None:
            return {}, {}
        targets = self.kind.targets(y)
        centred = targets - targets.mean(axis=0)
        share = np.einsum("n,nt->nt" if centred.ndim == 1 else "nc,ntc->nt", centred, added)
        if not share.sum():  # one label only, or an output that does not follow it
            return {}, {}
        share = share / share.sum()
        on_key = float(share[mask].sum()) if mask.any(axis=1).all() else float("nan")
        return {"logit_share": on_key}, {"logit_share": share.sum(axis=0)}

    def value_weighted_mass(self) -> dict[str, float]:
        """Return the key mass of `value_weighted` attention."""
        mass = attention_measures.key_mass(value_weighted(self.values, self.weights, self.valid), self.samples.mask)
        return self._by_label("value_weighted_mass", mass)

    def erasure(self, rng: Generator) -> dict[str, float]:
        """Return how much the prediction loses without the most attended step, without another, and with it alone."""
        tail, values, peak, valid = self.tail, self.values, self.peak, self.valid
        other = interventions.other_steps(peak, values.shape[1] if valid is None else valid.sum(axis=1), rng)
        outputs = {
            "comprehensiveness": interventions.removed(tail, values, peak, valid),
            "comprehensiveness_random": interventions.removed(tail, values, other, valid),
            "sufficiency": interventions.kept(tail, values, peak, valid),
        }
        losses = {name: self._lost(output) for name, output in outputs.items()}
        return {key: mean for name, lost in losses.items() for key, mean in self._by_label(name, lost).items()}

    def other_attention(self, rng: Generator) -> dict[str, float]:
        """Return what predictions do with other attention weights, if the layer multiplies by its weights.

        `permuted_` and `mean_attention_` are followed by the mean absolute change of the prediction, and by its score.
        Where steps are padded, attention moves only among a sample's others, and no sample gets the mean attention.
        """
        head, values, weights, y = self.head, self.values, self.weights, self.samples.y
        if not values.shape == weights.shape == self.weighted.shape or not np.allclose(
            self.weighted, values * weights, atol=1e-5
        ):
            return {}
        others = {
            "permuted": interventions.permuted(head, values, weights, rng, self.settings.permutations, self.valid)
        }
        if self.valid is None:
            others["mean_attention"] = interventions.averaged(head, values, weights)[None]
        measures = {}
        for name, outputs in others.items():
            scores = [self.kind.score(self.kind.prediction(output), y) for output in outputs]
            measures[f"{name}_change"] = float(np.mean([self._change(output).mean() for output in outputs]))
            measures[f"{name}_score"] = float(np.mean(scores))
        if self.functions.relevance:  # how far apart two of these are is measured between weights that sum to 1
            return measures
        distance = interventions.most_different(
            head, values, weights, lambda output: self._change(output) <= self.settings.tolerance, self.valid
        )
        return measures | self._by_label("adversarial_distance", distance)

    def _change(self, output: Array) -> NDArray[np.float64]:
        """Return by how much predictions differ from those of the trained model; see `Output.change`."""
        before, after = self.kind.prediction(self.output), self.kind.prediction(output)
        return self.kind.change(before, after, self.samples.y)

    def _lost(self, output: Array) -> NDArray[np.float64]:
        """Return what predictions lose; see `Output.lost`."""
        before, after = self.kind.prediction(self.output), self.kind.prediction(output)
        return self.kind.lost(before, after, self.samples.y)

    def _by_label(self, name: str, values: NDArray[np.float64]) -> dict[str, float]:
        classes = self.samples.y if self.kind.classes else None
        return attention_measures.means_by_label(name, values, classes, self.kind.classes)


def value_weighted(values: Array, weights: Array, valid: Valid = None) -> NDArray[np.float64]:
    """Return attention weighted by the size of what it weighs, (samples, steps), summing to 1 over the steps.

    It is proportional to the norm, over the features, of the weights times the values: a value of zero adds nothing,
    whatever weight it has, nor does padding, where `valid` (samples, steps) is false. `weights` (samples, steps,
    features) that are not one for each feature are averaged first.

    Source: Kobayashi et al. (2020), "Attention is not only a weight".
    """
    if weights.shape != values.shape:
        weights = weights.mean(axis=2, keepdims=True)
    weighted = padded(values, valid, 0).astype(np.float64)
    weighted *= weights
    return attribution.importance(np.sqrt(np.einsum("ntf,ntf->nt", weighted, weighted)), valid)
