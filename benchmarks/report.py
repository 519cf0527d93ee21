"""Put results/PROCESSOR/*.json together as results.md and growth.png."""

import json
from statistics import median

from cluster import SEEDS, SHORT, VARIANT, predicted
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

TITLES = {
    "article": "Against the article's script",
    "epoch": "Against other ways to train an epoch",
    "limit": "Against the limit of the processor",
    "growth": "Growth",
    "cluster": "Many workers",
    "around": "Around the work",
    "study": "The whole study",
}
LEAST = {
    "products_ms": "products, ms",
    "functions_ms": "functions, ms",
    "memory_ms": "memory, ms",
    "step_ms": "a step, ms",
    "share": "share of the limit",
}


def table(header, rows):
    return "\n".join(f"| {' | '.join(map(str, line))} |" for line in (header, ["---"] * len(header), *rows))


def spread(values, digits=2):
    """Return median and range."""
    middle = f"{median(values):.{digits}f}"
    return middle if len(values) == 1 else f"{middle} ({min(values):.{digits}f} to {max(values):.{digits}f})"


def article(rows):
    lines = []
    for variant in dict.fromkeys(row["variant"] for row in rows):
        own = [row for row in rows if row["variant"] == variant]
        theirs, ours = ([row[name] for row in own] for name in ("article", "ours"))
        ratios = [a / b for a, b in zip(theirs, ours, strict=True)]
        lines.append([variant, spread(theirs, 1), spread(ours, 1), f"**{spread(ratios, 1)}**"])
    return (
        f"Seconds for one variant and seed, n = 300,000, everything included; {len(own)} rounds. *Article*: its "
        "script ported to today's Keras, one process a run, attention read one sample at a time. *Here*: `train` and "
        "`analyze` of ten seeds, logging to MLflow included, and the share of making the data, over ten.\n\n"
        + table(["variant", "article", "here", "times faster"], lines)
    )


ENGINES = {
    "ours": "here",
    "keras": "Keras, plain fit",
    "torch": "PyTorch, nn.LSTM",
    "jax": "JAX, lax.scan",
    "jax_avx2": "JAX held to AVX2",
}


def epoch(rows):
    names, lines = [name for name in ENGINES if name in rows[0]], []
    for placement in dict.fromkeys(row["placement"] for row in rows):
        own = [row for row in rows if row["placement"] == placement]
        lines.append([placement, *(spread([row[name] for row in own]) for name in names)])
        ratios = ([row[name] / row["ours"] for row in own] for name in names[1:])
        lines.append([f"{placement}: times ours", "1", *(f"**{spread(ratio)}**" for ratio in ratios)])
    return (
        "Seconds for an epoch of 270,000 samples on two cores, compiled before: plain `fit` in two threads, the others "
        "in two processes of one thread, two epochs at a time, their time halved. Here no instructions beyond AVX2 are "
        "used, for the sake of equal bytes; JAX may use all that the processor has, or as much as is used here.\n\n"
        + table(["attention", *(ENGINES[name] for name in names)], lines)
    )


def limit(rows):
    lines = []
    for placement in ("before", "after"):
        own = [row[placement] for row in rows]
        lines.append([placement, *(spread([row[name] for row in own]) for name in LEAST)])
    return (
        "Milliseconds of a training step of 64 samples, and what it must do at the least, each part measured alone on "
        "one core, compiled by XLA with all that the processor has (`benchmarks/limit.py`): the matrix products; "
        "sigmoids, hyperbolic tangents and exponentials; writing and reading what the backward pass needs. The share "
        "is the sum of the three over the step.\n\n" + table(["attention", *LEAST.values()], lines)
    )


STYLES = (("s--", "#56B4E9"), ("o-", "#D55E00"), ("^-.", "#009E73"), ("d:", "#000000"))
STAGES = {"dataset": "making the data", "train": "training", "analyze": "analysis", "compare": "comparison"}


def growth(rows):
    header = ["", "size", *(f"{name}: s (MB)" for name in STAGES.values())]
    lines = [[row["axis"], f"{row['size']:,}", *(_cost(row, stage) for stage in STAGES)] for row in rows]
    return (
        "One run each of the stages for after_unshared, and the memory of their largest process: samples with one seed "
        "and one process; seeds, time steps and features at n = 30,000; workers with 16 seeds at n = 300,000.\n\n"
        + table(header, lines)
    )


def _cost(row, stage):
    """Return seconds and memory of a stage, where they were measured."""
    memory = f" ({row[f'{stage}_mb']:.0f})" if f"{stage}_mb" in row else ""
    return f"{row[f'{stage}_s']:.1f}{memory}" if f"{stage}_s" in row else ""


def cluster(rows):
    parts = {name: [row["parts"][name] for row in rows] for name in rows[0]["parts"]}
    middle = {name: median(values) for name, values in parts.items()}
    checked = [row for own in rows for row in own["checked"]]
    lines = []
    for count in dict.fromkeys(row["workers"] for row in checked):
        line = [count]
        for kind in ("cold", "warm"):
            own = [row for row in checked if (row["workers"], row["kind"]) == (count, kind)]
            line += [spread([row[name] for row in own], 1) for name in ("measured", "predicted")] + [own[0]["decides"]]
        lines.append(line)
    expected = []
    for seeds in (10, 512):
        alone = predicted(middle, seeds, 1, 1)[0]
        for workers in (1, 8, 64, 512):
            seconds, longest = predicted(middle, seeds, workers, workers)
            ratio = f"{alone / seconds:.1f}"
            expected.append([seeds, workers, f"{seconds:.0f}", ratio, longest, f"{seeds * middle['logged']:.0f}"])
    return (
        f"A training of {VARIANT} on a Dask cluster takes: its start, until a worker has a task; TensorFlow's import "
        "and compilation before the first seed of a worker, unless it is warm; the seeds, n = 300,000; receiving each "
        "result and writing it, one after the other; and, into an embedded database, logging each at the end (workers "
        "log to a server themselves). The shortest training is of one seed and 18 batches.\n\n"
        + table(["part", "seconds"], [[PARTS[name], spread(values, 3)] for name, values in parts.items()])
        + "\n\nThe model: start + the longest of (first + seeds of one worker · seed), (all of that over the cores), "
        f"(seeds · receiving). Checked here, with more workers than cores, {SEEDS} seeds of n = {SHORT:,}: "
        "seconds, with cold workers and warm ones.\n\n"
        + table(["workers", *(f"{kind}, {what}" for kind in ("cold", "warm") for what in CHECKED)], lines)
        + "\n\nWhat follows for machines with a core for each worker, cold, n = 300,000. It ends where there are more "
        "workers than seeds: those are idle.\n\n"
        + table(["seeds", "workers", "seconds", "times faster", "decided by", "+ logging to a database, s"], expected)
    )


PARTS = {
    "start": "start of a stage",
    "first": "more for the first seed of a worker",
    "seed": "a seed",
    "received": "receiving a result",
    "logged": "logging a seed to an embedded database",
    "shortest, cold": "the shortest training, cold",
    "shortest": "the shortest training, warm",
}
CHECKED = ("measured", "predicted", "decided by")


def around(rows):
    lines = [[name, spread([row[name] for row in rows])] for name in rows[0]]
    tracked, free = (
        [sum(row[f"{stage} of ten seeds, {word}tracked"] for stage in ("train", "analyze")) for row in rows]
        for word in ("", "not ")
    )
    shares = [100 * (a - b) / a for a, b in zip(tracked, free, strict=True)]
    lines.append(["share of tracking in both stages, %", spread(shares, 0)])
    return (
        "Training 18 batches takes what a stage costs before it trains: start, imports, compilation. The ten seeds are "
        "those of after_shared at n = 300,000; tracked, they are logged to MLflow for the first time.\n\n"
        + table(["what", "seconds"], lines)
    )


def study(rows):
    lines = [[name, spread([row[name] for row in rows], 0)] for name in rows[0]]
    shares = [100 * (1 - row["not tracked"] / row["tracked"]) for row in rows]
    lines.append(["share of tracking, %", spread(shares, 0)])
    return (
        "`dvc repro` in an empty project: four variants, ten seeds, the controls, the comparison. Tracked, 40 runs and "
        "the comparison are logged to MLflow, into an empty store.\n\n" + table(["whole study", "seconds"], lines)
    )


def draw_growth(rows, path):
    """Draw wall time and memory over the size of the study, both axes logarithmic."""
    figure = Figure(figsize=(10, 4.6), dpi=144, layout="constrained")
    FigureCanvasAgg(figure)
    names = [name for name in dict.fromkeys(row["axis"] for row in rows) if name != "workers"]
    axes = figure.subplots(2, len(names), sharex="col", sharey="row", squeeze=False)
    for (upper, lower), name in zip(axes.T, names, strict=True):
        own = [row for row in rows if row["axis"] == name]
        sizes = [row["size"] for row in own]
        for (stage, label), (style, colour) in zip(STAGES.items(), STYLES, strict=True):
            measured = [row for row in own if f"{stage}_s" in row]
            known = [row["size"] for row in measured]
            upper.loglog(known, [row[f"{stage}_s"] for row in measured], style, color=colour, label=label)
            lower.loglog(known, [row.get(f"{stage}_mb", float("nan")) for row in measured], style, color=colour)
        lower.set_xlabel(name)
        lower.set_xticks(sizes, map(_short, sizes))
        lower.minorticks_off()
        lower.set_ylim(40, 4000)
    axes[0, 0].set_ylabel("wall time, s")
    axes[1, 0].set_ylabel("largest process, MB")
    figure.legend(*axes[0, 1].get_legend_handles_labels(), loc="outside upper center", ncols=len(STAGES), frameon=False)
    figure.savefig(path, metadata={"Software": None})


def _short(size):
    """Return a number as 30, 3k or 30M."""
    return next(f"{size // unit}{sign}" for unit, sign in ((10**6, "M"), (1000, "k"), (1, "")) if size >= unit)


def write(results, path):
    """Write results.md, and a growth.png for each processor; return the path of results.md.

    `results` has a folder for each processor, with the name that results.md gives it in name.txt.
    """
    head = (
        "# What the study costs\n\nMade by `make bench`, which adds the processor that it runs on, or measures it "
        "again. Medians, with the range over the rounds: the machines are noisy, so that ratios count. A number "
        "without a range is from one round. What was tried to be faster is in [tried.md](tried.md)."
    )
    parts = [head]
    for folder in sorted(file.parent for file in results.glob("*/name.txt")):
        found = {name: folder / f"{name}.json" for name in TITLES}
        rows = {name: json.loads(file.read_text(encoding="utf-8")) for name, file in found.items() if file.exists()}
        parts.append(f"## {(folder / 'name.txt').read_text(encoding='utf-8').strip()}")
        for name, own in rows.items():
            parts.append(f"### {TITLES[name]}\n\n{globals()[name](own)}")
            if name == "growth":
                draw_growth(own, folder / "growth.png")
                drawn = (folder / "growth.png").relative_to(path.parent).as_posix()
                parts.append(f"![Wall time and memory over samples, seeds, time steps and features]({drawn})")
    path.write_text("\n\n".join(parts) + "\n", encoding="utf-8")
    return path
