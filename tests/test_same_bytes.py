"""The same study gives the same bytes, wherever it runs.

QEMU emulates other x86-64 processors, at a tenth of the speed or less, on which a study and the other variants, tasks
and cells run. They are small in samples only, because the long sums of long sequences, wide layers and large batches
are what differed.
"""

import hashlib
import os
import sys
from contextlib import ExitStack

import numpy as np
import pytest
from conftest import REPOSITORY, RESULTS, SMALL, Project

from pipeline.results.file_formats import read_arrays, write_arrays
from pipeline.settings.project import names_in
from pipeline.settings.study import params

PROCESSORS = ("Haswell", "EPYC-Milan", "max")  # Intel 2013, AMD 2021: 32 KB of L1 data cache; all features, 64 KB
OWN_PROGRAMS = {"TF_XLA_FLAGS": ""}  # each compiles its programs itself
# QEMU 7.2 sorts wrongly with AVX2, so NumPy does without it there, which must not change a byte either.
EMULATED = {"NPY_DISABLE_CPU_FEATURES": f"{os.environ['NPY_DISABLE_CPU_FEATURES']} AVX2 FMA3 X86_V3"}
OF_THE_MACHINE = ("outputs/parts/", "outputs/machines/")  # what says on which machine results were made
STUDY = {
    "data": {"samples": 600},
    "train": {"log_every": 2},
    "probe": {"samples": 40},
    "explain": {"integration_steps": 2, "permutations": 1},
    "controls": {"seeds": [0], "null_key_samples": 600, "probe_samples": 40},  # as many: compiled once
    "compare": {"resamples": 200},
    "seeds": [0, 7],
}
BY_HAND = {  # settings of the data -> models trained on them, then settings of these
    "task=find_max": "none model.cell=bidirectional",
    "task=add_two_after_delimiter": "luong model.lstm_units=128",
    "task=xor_keys data.samples=1200 controls.null_key_samples=1200 train.batch_size=1000": "multi_head model.cell=gru",
    "task=dense_key data.time_steps=100 data.input_dim=1": "dense",
    "task=redundant_keys data.time_steps=200 data.input_dim=64 data.samples=180": "bahdanau",
    "task=planted_in_series": "before_averted after_averted",
    "task=moving_key": "self_attention",
    "task=null_key data.per_seed=true": "before_one_step after_one_step",
}


def study():
    """Return the stages of the study."""
    variants = [f"{stage} +variant={v}" for v in params().variants for stage in ("define", "train", "analyze")]
    return ["dataset", *variants, "controls", "compare"]


def by_hand(settings):
    """Return the stages by hand with some of the settings in `BY_HAND`."""
    models = BY_HAND[settings].split()
    names = [word for word in models if "=" not in word]
    words = " ".join([settings, *(word for word in models if "=" in word)])
    stages = [f"{stage} +variant={name} {words} seeds=[3]" for name in names for stage in ("train", "analyze")]
    return [f"dataset {settings}", *stages]


def check_bytes(folder, shares):
    """Run parts of a study on emulated processors (processor -> parts), and compare with this machine's results."""
    found, every = {}, {stage: None for parts in shares.values() for part in parts for stage in part}
    with ExitStack() as running:
        started = {}
        for name, parts in {None: [every], **shares}.items():
            emulator = ("qemu-x86_64", "-cpu", name) if name else ()
            words = [f"{stage} tracking=off" for part in parts for stage in part]
            (folder / str(name)).mkdir()
            project = Project(folder / str(name), STUDY)
            said = running.enter_context((project.root / "stderr").open("w+"))
            command = (*emulator, sys.executable, str(REPOSITORY / "tests/one_process.py"), *words)
            environment = OWN_PROGRAMS | (EMULATED if emulator else {})
            process = running.enter_context(project.started(*command, stderr=said, env=environment))
            started[name] = project, said, process
        for name, (project, said, process) in started.items():
            code = process.wait()
            said.seek(0)
            assert code == 0, said.read()
            files = project.bytes(*RESULTS, "outputs").items()
            found[name] = {path: content for path, content in files if not path.startswith(OF_THE_MACHINE)}
    here = found.pop(None)
    different = {(name, path) for name, there in found.items() for path in there if here.get(path) != there[path]}
    assert different == set()
    return here, found


EVERYTHING = [study(), *map(by_hand, BY_HAND)]
SOME = {  # processor -> parts of which each has long sums of its own
    "Haswell": [["dataset", "train +variant=after_unshared seeds=[7]", "analyze +variant=after_unshared seeds=[7]"]],
    "EPYC-Milan": [by_hand("task=add_two_after_delimiter")],
    "max": [by_hand("task=redundant_keys data.time_steps=200 data.input_dim=64 data.samples=180")],
}


@pytest.mark.emulated
def test_some_results_are_the_same_on_another_processor(tmp_path):
    here, found = check_bytes(tmp_path, SOME)
    assert set().union(*found.values()) == set(here)


@pytest.mark.emulated
def test_each_result_is_the_same_on_another_processor(tmp_path):
    shares = dict(zip(PROCESSORS, ([EVERYTHING[0]], EVERYTHING[1::2], EVERYTHING[2::2]), strict=True))
    here, found = check_bytes(tmp_path, shares)
    assert set().union(*found.values()) == set(here)


@pytest.mark.emulated
def test_every_result_is_the_same_on_all_processors(tmp_path):
    here, found = check_bytes(tmp_path, dict.fromkeys(PROCESSORS, EVERYTHING))
    assert all(set(there) == set(here) for there in found.values())


@pytest.mark.long  # takes a minute
def test_neither_the_folder_nor_the_cores_nor_the_workers_nor_kept_programs_change_a_byte(tmp_path):
    found = []
    for folder, command, workers, environment in (
        ("programs kept by the tests", ["dvc"], 1, {}),
        ("Größe & Maß (2)", ["taskset", "-c", "0", "dvc"], 2, OWN_PROGRAMS),
    ):
        project = Project(tmp_path / folder, SMALL)
        project.replace("conf/config.yaml", "workers: 1", f"workers: {workers}")
        project.run("git", "init", "-q")
        words = (*command, "repro", "analyze@after_shared")
        with project.started(*words, env=environment or project.forked) as process:
            _, error = process.communicate()
        assert process.returncode == 0, error
        found.append(project.results())
    assert found[0] == found[1]


def test_arrays_are_written_with_the_same_bytes_by_every_python(tmp_path):
    """These are of Python 3.11.2 and 3.11.7; what `numpy.savez` writes differs between them."""
    arrays = {"lstm/kernel": np.arange(6, dtype=np.float32).reshape(2, 3), "batches": np.array([0, 8], np.int64)}
    write_arrays(tmp_path / "a.npz", arrays)
    written = hashlib.sha256((tmp_path / "a.npz").read_bytes()).hexdigest()
    assert written == "efc5fb3dcad092df793e56c6a8ee35f672e7c4e917866d870eb65628eefd05f2"
    np.testing.assert_equal(read_arrays(tmp_path / "a.npz"), arrays)


def test_these_are_all_variants_and_tasks():
    models = [word for models in BY_HAND.values() for word in models.split() if "=" not in word]
    assert {*params().variants, *models} == set(names_in("variant"))
    tasks = [settings.split()[0].removeprefix("task=") for settings in BY_HAND]
    assert {params().task["name"], *tasks, "file"} == set(names_in("task"))
