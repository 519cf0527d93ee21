"""Random values and random kills: `make attack ROUNDS=n` takes more of them than `make test-long`.

No value may end in a traceback, take over three seconds to be refused, or pass without sense. No kill and no loss of
power may lose a result or change a byte.
"""

import json
import math
import os
import random
import re
import time
from contextlib import contextmanager

import psutil
import pytest
import yaml
from conftest import REPOSITORY, RESULTS, SMALL, Project

from pipeline.execution import resume
from pipeline.results import folders

pytestmark = pytest.mark.long
ROUNDS = int(os.environ.get("ROUNDS", "0"))
SEED = 20170522  # of the article

# ---- values ----

ASK = """
import dataclasses, io, json, sys, time, traceback
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path
from pipeline.execution.command_line import command
from pipeline.settings import study

params, before = Path("params.yaml"), Path("params.yaml").read_text()

def ask(words, text):
    sys.argv, said, got, start = ["train", *words], io.StringIO(), [], time.monotonic()
    study.params.cache_clear()
    if text is not None:
        params.write_text(text)
    with redirect_stderr(said), redirect_stdout(io.StringIO()):
        try:
            command(lambda config: got.append(dataclasses.asdict(config)))()
            code = 0
        except SystemExit as end:
            code = end.code
        except BaseException:
            code = traceback.format_exc()
    if text is not None:
        params.write_text(before)
    return code, said.getvalue(), got, time.monotonic() - start

ask([], None)  # imports what is imported once
for line in sys.stdin:
    print(json.dumps(ask(*json.loads(line)), default=str), flush=True)
"""
TEXTS = ("", "x", "true", "2", "1e3", "nix,x", "a b", "ä√", "'", '"', "{", "[", "$", "${seeds}", "${nix}", "???", "a=b")
TEXTS += ("../x", "/", "\\", "#", "x:", "*", "0x10", "1_000", "=", "~")
WHOLE = (-1, 0, 1, 2, 3, 5, 7, 15, 16, 17, 799, 800, 801, 10**4, 10**6, 10**9, 2**31, 2**32, 2**63, 10**20, 10**400)
REAL = (0.0, -0.5, 0.5, 1.0, 2.0, 0.999999, 1e-300, 1e20, 1e300, math.inf, -math.inf, math.nan)
LISTS = ([], [0], [[0]], [True], [1, 1], [1, 2], [None], ["x"], [0.5], [-1], [10**20], [{}], [[]])
VALUES = (None, True, False, *TEXTS, *WHOLE, *REAL, *LISTS, {}, {"a": 1}, {"name": "x"})
SECTIONS = ("data", "model", "train", "probe", "explain", "controls", "compare", "seeds", "variants", "task")
OTHERS = ("packages", "workers", "cluster", "results", "port", "tracking", "tracking.uri", "tracking.experiment")
VARIANT = ("", ".placement", ".sharing", ".uniform", ".name", ".attention", ".attention.units", ".reader")


def parameters(values, prefix=""):
    """Return the names of all values and sections."""
    inner = [parameters(value, f"{prefix}{name}.") for name, value in values.items() if isinstance(value, dict)]
    return [f"{prefix}{name}" for name in values] + [name for names in inner for name in names]


def written(value):
    """Return a value as a user would write it on the command line: texts sometimes unquoted, and so of another type."""
    if isinstance(value, float):
        return str(value)
    return value if isinstance(value, str) else json.dumps(value).replace('"', "")


def attacks(project, rounds):
    """Return names, values, and the words or the params.yaml that set them."""
    rng, study = random.Random(SEED), yaml.safe_load(project.read("params.yaml"))
    tasks, variants = ("task", *(f"task.{name}" for name in ("_target_", "kind", "feature", "noise", "path"))), VARIANT
    names = [*parameters(study), *OTHERS, *tasks, *(f"variant{name}" for name in variants)]
    for number in range(rounds):
        name, value = names[number % len(names)], rng.choice(VALUES)
        if number % 3 == 0 and name.split(".")[0] in SECTIONS and name in parameters(study):
            *path, last = name.split(".")
            changed = inner = json.loads(json.dumps(study))
            for part in path:
                inner = inner[part]
            inner[last] = value
            yield name, value, [], "# @package _global_\n" + yaml.safe_dump(changed, allow_unicode=True)
        else:
            variant = "luong" if "attention" in name else "before_shared"
            chosen = [f"+variant={variant}"] * name.startswith("variant.")
            plus = rng.choice(["", "", "", "+", "++"])
            yield name, value, [*chosen, f"{plus}{name}={written(value)}"], None


def numbers(value):
    """Return all numbers in a configuration."""
    if isinstance(value, dict | list):
        return [number for inner in (value.values() if isinstance(value, dict) else value) for number in numbers(inner)]
    return [value] if isinstance(value, int | float) and not isinstance(value, bool) else []


def at(config, name):
    """Return the value of a name in a configuration."""
    for part in name.split("."):
        config = config.get(part) if isinstance(config, dict) else None
    return config


def read(text):
    """Return what a text means to Hydra, or the text if it means nothing; `1e3` is a number, as it is not to YAML."""
    try:
        return float(text) if re.fullmatch(r"\d+e\d+", text) else yaml.safe_load(text)
    except yaml.YAMLError:
        return text


def makes_sense(config, name, value):
    """Return whether a configuration that was accepted can be run, and says what was written."""
    found, data, train = at(config, name), config["data"], config["train"]
    samples = round(data["samples"] * data["validation_share"])
    sizes = [train["batch_size"] * data["time_steps"] * data["input_dim"] * 4]
    sizes += [units**2 * 16 for units in numbers([config["model"]["lstm_units"]])]
    sizes += [config["probe"]["samples"] * data["time_steps"] * data["input_dim"] * 4]
    is_merged = isinstance(value, dict) and value.items() <= found.items()
    is_same = found == value or str(found) == written(value) or is_merged
    meant = read(value.replace("${seeds}", json.dumps(config["seeds"]))) if isinstance(value, str) else value
    return (
        (is_same or found in (meant, str(meant)) or (name in ("task", "variant") and found["name"] == str(value)))
        and not (isinstance(found, bool) and name not in ("variant.uniform", "data.per_seed"))
        and all(math.isfinite(number) and abs(number) < 2**32 for number in numbers(config))
        and 1 <= samples < data["samples"]
        and train["batch_size"] <= data["samples"] - samples
        and 0 <= data["key_step"] < data["time_steps"]
        and max(sizes) < psutil.virtual_memory().total
    )


def ask(process, *attack):
    """Return exit code, what was said, the configurations that were accepted, and how many seconds it took."""
    print(json.dumps(attack), file=process.stdin, flush=True)
    return json.loads(process.stdout.readline())


def test_no_value_ends_in_a_traceback_or_passes_without_sense(tmp_path):
    project, wrong, accepted = Project(tmp_path, SMALL), [], 0
    for name in FOLDERS:  # Hydra takes a folder for a group of settings
        (tmp_path / name).mkdir()
    with project.started("python", "-c", ASK, stdin=-1, stderr=None) as process:
        for name, value, words, text in attacks(project, ROUNDS or 200):
            code, said, got, seconds = ask(process, words, text)
            if seconds > 3:  # once more: the machine may have been busy
                *_, seconds = ask(process, words, text)
            is_refused = code == 1 and not got and re.fullmatch("error: .*\n", said)
            is_accepted = code == 0 and not said and all(makes_sense(config, name, value) for config in got)
            accepted += bool(is_accepted)
            if not (is_refused or is_accepted) or seconds > 3:
                wrong.append((name, value, words, code, said, f"{seconds:.1f} s"))
    assert not wrong, "\n".join(map(str, wrong))
    assert accepted < (ROUNDS or 200) / 3


# ---- kills ----

FOLDERS = RESULTS
STAGES = (
    ["dataset"],
    *([stage, f"+variant={name}"] for stage in ("define", "train", "analyze") for name in ("after_shared", "none")),
    ["controls"],
    ["compare"],
)


@contextmanager
def forks(project):
    """Yield a function that runs a stage in a fork of one process, and kills it after operations or seconds."""
    with project.started("python", str(REPOSITORY / "tests/attack.py"), stdin=-1, stderr=None) as process:

        def run(words, operations=None, seconds=None):
            log = project.root / "synced.txt"
            log.write_text("")
            print(json.dumps([words, operations, seconds, str(log)]), file=process.stdin, flush=True)
            code, said = json.loads(process.stdout.readline())
            assert code in (0, -9), said
            return code

        yield run


def lose_power(project, started):
    """Empty the files that were written since a time and did not reach the disk."""
    synced = {tuple(map(int, line.split())) for line in project.read("synced.txt").splitlines()}
    for path in (path for folder in (*FOLDERS, "outputs") for path in (project.root / folder).rglob("*")):
        state = path.stat()
        if path.is_file() and state.st_mtime >= started and (state.st_ino, state.st_size) not in synced:
            os.truncate(path, 0)


def results(project):
    """Return path -> content of all results, after exchanges of folders were completed as the next stage would."""
    for name in [path.parent.relative_to(project.root) for path in project.root.glob("*/**/params.json")]:
        folders.complete_exchange(project.root / str(name).replace(".old.part", "").replace(".part", ""))
    return {path: content for path, content in project.bytes(*FOLDERS).items() if ".part/" not in path}


def test_no_kill_and_no_loss_of_power_loses_a_result(tmp_path):
    changes = {"variants": ["after_shared", "none"], "seeds": [0, 1, 2]}
    project = Project(tmp_path, SMALL | changes | {"controls": SMALL["controls"] | {"seeds": [0]}})
    project.replace("conf/config.yaml", "tracking: local", 'tracking: "off"')
    rng, killed, durations = random.Random(SEED), 0, {}
    with forks(project) as run:
        for words in STAGES:
            started = time.time() - 0.01
            assert run(words) == 0
            durations[str(words)] = time.time() - started
            lose_power(project, started)  # what a stage has finished stays
        before = results(project)
        while killed < (ROUNDS or 15):
            words, started = rng.choice(STAGES), time.time() - 0.01
            if rng.random() < 0.5:
                code = run(words, operations=rng.randrange(1, 400))
            else:
                code = run(words, seconds=rng.uniform(0, durations[str(words)]))
            killed += code == -9
            if rng.random() < 0.5:
                lose_power(project, started)
            assert results(project) == before, (killed, words)
        for words in STAGES:
            assert run(words) == 0
    assert project.bytes(*FOLDERS) == before
    assert {path.name for path in project.root.glob("outputs/parts/*/*.json")} == {resume.MADE_BY, resume.FINISHED}
