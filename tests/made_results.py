"""Small results made by hand, from which tests make tables, figures and reports."""

import numpy as np
from pandas import DataFrame

from pipeline.report import effects, tables
from pipeline.report.tables import VariantResult
from pipeline.report.verdicts import CORRECT
from pipeline.results.stage_files import UNTRAINED, AttendedSeed, ControlRun, ExplainedSeed, Snapshots, TrainedSeed
from pipeline.settings.schema import Compare, Thresholds, Variant

LIMITS = Thresholds(balanced_accuracy=0.95, r2=0.9, skill=0.05, entropy=0.95, readout=0.95)
COMPARE = Compare(0.95, 500, 0, LIMITS)
KEY = np.array([0, 0, 1.0, 0])
SHOWN = ("key_mass", "key_mass_y0", "key_mass_y1", *tables.SHOWN)
AGREEMENT = ("kendall_tau", "kendall_tau_y0", "kendall_tau_y1")
AT_KEY, EARLY = [0.1, 0.1, 0.7, 0.1], [0.7, 0.1, 0.1, 0.1]
VARIANT = Variant("after", "shared", name="after_shared")
METRICS = [metric for metrics in effects.FAMILIES.values() for metric in metrics]
CELLS = {
    ("before", "shared"): [0.1, 0.2, 0.3, 0.1, 0.2],
    ("before", "unshared"): [0.1, 0.2, 0.3, 0.1, 0.2],
    ("after", "shared"): [0.7, 0.8, 0.9, 0.7, 0.8],
    ("after", "unshared"): [0.5, 0.4, 0.7, 0.5, 0.4],
}


def runs(cells, metric="key_mass"):
    """Return a table of runs: (placement, sharing) -> values of a metric for each seed, all other metrics 0.5."""
    fixed = {"verdict": CORRECT, **dict.fromkeys((*METRICS, "balanced_accuracy"), 0.5)}
    return DataFrame(
        {"variant": f"{placement}_{sharing}", "placement": placement, "sharing": sharing, "seed": seed}
        | fixed
        | {metric: value}
        for (placement, sharing), values in cells.items()
        for seed, value in enumerate(values)
    )


def scores(balanced_accuracy):
    return {"balanced_accuracy": balanced_accuracy, "accuracy": balanced_accuracy}


def result(vectors, masses, curve=((1, 0.5, 0.5), (2, 0.1, 0.96), (3, 0.1, 0.9), (4, 0.0, 1.0))):
    """Return the result of a variant with one seed, given its attention at points of training."""
    vectors = np.array(vectors, float)
    measured = (*SHOWN, *METRICS, "permuted_change", "permuted_score", "mean_attention_score", "late_hit")
    measures = dict.fromkeys((*measured, "key_skill", "peak_skill", "readout_at_peak"), 0.5) | {"key_mass": masses[-1]}
    measures["hit_rate"] = float(KEY[vectors[-1].argmax()])
    steps = {"readout": np.array([0.5, 0.5, 1, 1]), "gain": np.ones(4), "logit_share": KEY}
    trained = TrainedSeed({}, Snapshots(np.arange(len(vectors)), {}), list(curve), 0.1, scores(1.0))
    compared = {name: dict.fromkeys((*SHOWN, *AGREEMENT), 0.25) for name in (UNTRAINED, "occlusion")}
    explained = ExplainedSeed(compared, np.arange(len(vectors)), vectors, np.array(masses))
    attended = AttendedSeed(vectors[-1], KEY, measures, steps)
    return VariantResult(VARIANT, "", {3: trained}, {3: attended}, {3: explained})


def control(name, accuracies):
    """Return runs of a control, one for each accuracy, with uniform attention."""
    measures = {"key_mass": 0.25, "key_skill": 0.0, "peak_skill": 0.0, "hit_rate": 0.25, "entropy": 1.0}
    attended = AttendedSeed(np.full(4, 0.25), KEY, measures)
    curve = [(1, 0.5, 0.5), (2, 0.1, 1.0)]
    return [
        ControlRun(name, VARIANT, seed, 0.1, scores(accuracy), attended, curve)
        for seed, accuracy in enumerate(accuracies)
    ]
