"""Measure what the study costs, against other ways to do it. `make bench`, or `python benchmarks/bench.py PART …`

Every part writes results/PROCESSOR/PART.json, and all of them together results.md and their growth.png. Ways that are
compared run alternately in each round: the machine is noisy, so that ratios count, and medians over the rounds.
"""

import argparse
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import psutil

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent
RESULTS = HERE / "results"
VARIANTS = ("before_shared", "before_unshared", "after_shared", "after_unshared")
BASELINES = ROOT / ".venv-baselines/bin/python"  # PyTorch and JAX, see the Makefile


def run(*words, root=ROOT, code=0, more=None):
    """Run a command, with `more` in its environment.

    Return its seconds, the largest resident memory of one of its processes (MB) and what it said.
    """
    env = {**os.environ, "PROJECT_ROOT": str(root), "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
    env |= more or {}
    start = time.perf_counter()
    process = subprocess.Popen(words, cwd=root, env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    peak, done = [0.0], threading.Event()
    watch = threading.Thread(target=_watch, args=(process.pid, peak, done))
    watch.start()
    out, error = process.communicate()
    seconds = time.perf_counter() - start
    done.set()
    watch.join()
    if process.returncode != code:
        raise SystemExit(f"{' '.join(map(str, words))} ended with {process.returncode}:\n{error[-3000:]}")
    return seconds, peak[0], out


def _watch(pid, peak, done):
    while not done.wait(0.1):
        try:
            main = psutil.Process(pid)
            for process in (main, *main.children(recursive=True)):
                peak[0] = max(peak[0], process.memory_info().rss / 2**20)
        except psutil.Error:
            continue


class Scratch:
    """A project of its own, with the code of this one; `with` removes it."""

    def __enter__(self):
        self.folder = tempfile.TemporaryDirectory(dir=ROOT, prefix=".bench-")
        self.root = Path(self.folder.name)
        shutil.copytree(ROOT / "conf", self.root / "conf")
        for name in ("params.yaml", "dvc.yaml"):
            shutil.copy(ROOT / name, self.root / name)
        return self

    def __exit__(self, *_):
        self.folder.cleanup()

    def stage(self, name, *words):
        return run(sys.executable, "-m", f"pipeline.{name}", *words, root=self.root)

    def forget_runs(self):
        shutil.rmtree(self.root / "mlruns", ignore_errors=True)


def say(*words):
    print(time.strftime("%H:%M:%S"), *words, flush=True)


def say_row(row, digits=1):
    """Print the names and values of a row, numbers with some digits after the point."""
    told = {name: f"{value:.{digits}f}" if isinstance(value, float) else value for name, value in row.items()}
    say(", ".join(f"{name} {value}" for name, value in told.items()))


def article(rounds):
    """Wall time for a (variant, seed): the article's script, a process for each, against train + analyze of ten."""
    rows = []
    with Scratch() as scratch:
        data = scratch.stage("dataset")[0] / 40  # one data set serves four variants of ten seeds
        for number in range(rounds):
            scratch.forget_runs()
            for variant in VARIANTS:
                theirs = run(sys.executable, HERE / "article.py", *variant.split("_"), "--seed", str(number))[0]
                ours = sum(scratch.stage(stage, f"+variant={variant}")[0] for stage in ("train", "analyze")) / 10 + data
                rows.append({"variant": variant, "article": theirs, "ours": ours})
                say(f"{variant}: article {theirs:.1f} s, ours {ours:.1f} s, ratio {theirs / ours:.1f}")
    return rows


def epoch(rounds):
    """Seconds of an epoch on two cores: plain Keras in two threads; the others in two processes of one thread."""
    rows = []
    for _ in range(rounds):
        for placement in ("before", "after"):
            row = {"placement": placement}
            for name, (engine, environment) in ENGINES.items():
                row[name] = _epoch(engine, placement, environment)
            rows.append(row)
            say_row(row, 2)
    return rows


ENGINES = {  # name -> engine of epoch.py, environment
    "ours": ("ours", {}),
    "keras": ("keras", {}),
    "torch": ("torch", {}),
    "jax": ("jax", {}),
    "jax_avx2": ("jax", {"XLA_FLAGS": "--xla_cpu_max_isa=AVX2"}),  # what ours is held to, for the sake of equal bytes
}


def _epoch(engine, placement, environment):
    python = BASELINES if engine in ("torch", "jax") else sys.executable
    words = [str(python), str(HERE / "epoch.py"), engine, placement]
    env = os.environ | environment
    cores = [[]] if engine == "keras" else [["--core", str(core)] for core in range(2)]
    running = [
        subprocess.Popen([*words, *core], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, env=env)
        for core in cores
    ]
    seconds = [float(process.communicate()[0].split()[-1]) for process in running]
    return sum(seconds) / len(seconds) / len(cores)


def limit(rounds):
    """Rate of the matrix products at the shapes of the LSTM, on one core, and the share of it that training reaches."""
    words = [sys.executable, str(HERE / "limit.py")]
    return [json.loads(run(*words)[2].splitlines()[-1]) for _ in range(rounds)]


GROWTH = {  # axis -> setting, sizes, workers
    "samples": ("data.samples", (30_000, 300_000, 3_000_000, 30_000_000), 1),
    "seeds": ("seeds", (1, 4, 16, 64, 256), 2),
    "time steps": ("data.time_steps", (20, 100, 500, 1000), 1),
    "features": ("data.input_dim", (2, 16, 64, 256), 1),
    "workers": ("workers", (1, 2), None),
}


def growth(rounds):
    """Wall time and peak memory of one process, in each stage, over the size of the study."""
    rows = []
    for axis, (name, sizes, workers) in GROWTH.items():
        for size in sizes:
            values = {"data.samples": 300_000 if axis in ("samples", "workers") else 30_000, "seeds": [0]}
            values |= {"workers": workers or size, "tracking": "off", "variants": ["after_unshared"]}
            values |= {"controls.seeds": [0], "controls.null_key_samples": 3000}
            values |= {"seeds": list(range(16))} if axis == "workers" else {}
            values[name] = list(range(size)) if name == "seeds" else size
            if name == "data.samples":
                values["train.log_every"] = max(64, size * 9 // 10 // 64 // 64)
            words = [f"{key}={str(value).replace(' ', '')}" for key, value in values.items()]
            rows.append({"axis": axis, "size": size} | _stages(words, compare=axis == "seeds"))
            say_row(rows[-1])
    del rounds  # the largest takes a quarter of an hour
    return rows


def _stages(words, compare):
    """Return seconds and memory (MB) of the stages of one variant, and of `compare`, which takes the controls, too."""
    row, chosen = {}, "+variant=after_unshared"
    with Scratch() as scratch:
        for stage in ("dataset", "train", "analyze"):
            row[f"{stage}_s"], row[f"{stage}_mb"], _ = scratch.stage(stage, *[chosen] * (stage != "dataset"), *words)
        if compare:
            scratch.stage("define", chosen, *words)
            scratch.stage("controls", *words)
            row["compare_s"], row["compare_mb"], _ = scratch.stage("compare", *words)
    return row


def cluster(rounds):
    """What a training on a Dask cluster takes, part by part, and with more workers than cores: measured, predicted."""
    import cluster as on_cluster

    rows = []
    for _ in range(rounds):
        with Scratch() as scratch:
            parts = on_cluster.measured_parts(scratch)
            say_row(parts, 3)
            checked = on_cluster.measured(scratch, parts)
        for row in checked:
            say_row(row)
        rows.append({"parts": parts, "checked": checked})
    return rows


def around(rounds):
    """Seconds of what is not training."""
    rows, variant = [], "+variant=after_shared"
    for _ in range(rounds):
        row = {"--help": run(sys.executable, "-m", "pipeline.train", "--help")[0]}
        row["an error in a value"] = run(sys.executable, "-m", "pipeline.train", "train.epochs=0", code=1)[0]
        row["dvc repro with nothing to do"] = run("dvc", "repro")[0]
        small = ["data.samples=1300", "seeds=[0]", "workers=1"]
        with Scratch() as scratch:
            scratch.stage("dataset", *small)
            scratch.stage("train", variant, *small, "seeds=[1]")  # makes the tracking store
            row["training 18 batches, tracked"] = scratch.stage("train", variant, *small)[0]
            row["training 18 batches, not tracked"] = scratch.stage("train", variant, *small, "tracking=off")[0]
            scratch.stage("dataset")
            for name, words in (("not ", ["tracking=off"]), ("", [])):
                for stage in ("train", "analyze"):
                    row[f"{stage} of ten seeds, {name}tracked"] = scratch.stage(stage, variant, *words)[0]
        rows.append(row)
        say_row(row, 2)
    return rows


def study(rounds):
    """Seconds of the whole study by `dvc repro`, tracked into an empty store, and not tracked."""
    rows = []
    for _ in range(rounds):
        row = {}
        for name, more in (("not tracked", {"MLFLOW_TRACKING_URI": ""}), ("tracked", {})):
            with Scratch() as scratch:
                shutil.copytree(ROOT / "src", scratch.root / "src")
                for words in (("git", "init", "-q"), ("dvc", "init", "-q")):
                    run(*words, root=scratch.root)
                row[name] = run("dvc", "repro", root=scratch.root, more=more)[0]
        rows.append(row)
        say_row(row, 0)
    return rows


PARTS = {part.__name__: part for part in (article, epoch, limit, growth, cluster, around, study)}


def _folder_of_processor():
    """Return the folder of the results on this processor, in which name.txt says what it is."""
    from pipeline.execution import machine

    known = machine.description()
    title = f"{known['processor']}, {known['cores']} cores, {known['caches']}, Python {known['python']}"
    folder = RESULTS / re.sub(r"\W+", "-", known["processor"].lower()).strip("-")
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "name.txt").write_text(f"{title}\n", encoding="utf-8")
    return folder


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("parts", nargs="*", choices=[*PARTS, []], help="all, if none is named")
    parser.add_argument("--rounds", type=int, default=3)
    words = parser.parse_args()
    folder = _folder_of_processor()
    for name in words.parts or PARTS:
        say(f"== {name}: {PARTS[name].__doc__}")
        rows = PARTS[name](words.rounds)
        (folder / f"{name}.json").write_text(json.dumps(rows, indent=1) + "\n", encoding="utf-8")
    import report

    print(f"Results are in {report.write(RESULTS, HERE / 'results.md').relative_to(ROOT)}.")


if __name__ == "__main__":
    main()
