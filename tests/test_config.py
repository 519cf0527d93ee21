"""User errors get one sentence, at once, and cost nothing."""

import ctypes
import json
import re
import resource
from functools import reduce
from operator import getitem

import numpy as np
import pytest
from conftest import RESULTS, SMALL, Project, error_of, one_sentence

from pipeline.models.weighing import check_weights
from pipeline.settings.project import names_in

pytestmark = pytest.mark.slow
VARIANTS = ", ".join(names_in("variant"))
TASKS = ", ".join(names_in("task"))
EACH = "a list of one or more different values, each"
COUNT = "a whole number of at least 1 and at most 1000000000"
UP_TO_A_MILLION = "a whole number of at least 1 and at most 1000000"
UP_TO_10000 = "a whole number of at least 1 and at most 10000"
SEED = "a whole number of at least 0 and at most 4294967295"
SHARE = "a finite number above 0 and below 1"
POSITIVE = "a finite number above 0 and at most 10"
NOISE = "a finite number of at least 0 and at most 1000000"
DATA = "samples, validation_share, time_steps, input_dim, key_step, key_coding, seed, per_seed."
RULES = {  # what a value must be -> values that are not, as they are written and named
    f"{UP_TO_A_MILLION}.": "train.epochs=many train.epochs=true train.epochs=2.0 train.epochs='2' train.epochs=[2] "
    "train.epochs=null train.epochs=100000000000000000000 explain.permutations=0 compare.resamples=1000001",
    f"{COUNT}.": "data.samples=0 data.samples=1e+20 data.samples=1000000001 train.snapshots=0",
    f"{UP_TO_10000}.": "data.input_dim=0 data.input_dim=10001",
    f"{UP_TO_10000}, or a list of values, each {UP_TO_10000}.": "model.lstm_units=1000000000.0 "
    "model.lstm_units=10001 model.lstm_units=[8,0]",
    "a whole number of at least 1 and at most 1024, or null.": "workers=0 workers=1025",
    "a whole number of at least 1 and at most 65535.": "port=0 port=65536 port=99999 port=true",
    "a whole number of at least 0 and below 10000.": "data.key_step=1.5 data.key_step=-1 data.key_step=10000",
    "a whole number of at least 2 and at most 10000.": "data.time_steps=1 data.time_steps=10001",
    f"{SEED}.": "data.seed=4294967296",
    f"{EACH} {SEED}.": "seeds=3 seeds=[[0]] seeds=[true] seeds=[1,1] seeds=[-1] seeds=[] controls.seeds=[2,2]",
    "0 to 5.": "data.key_step=6",
    f"{SHARE}.": "data.validation_share=1 data.validation_share=nan",
    f"{POSITIVE}.": "train.learning_rate=nan train.learning_rate=inf train.learning_rate=true "
    "train.learning_rate=1e+30",
    "a finite number of at least 0 and at most 1.": "compare.thresholds.skill=2 explain.tolerance=-1",
    f"{NOISE}.": "task.noise=true task.noise=null task.noise=-1 task.noise=1e+30 task.noise=[1]",
    "a whole number, or null.": "task.feature=true task.feature=1.5 task.feature=[0]",
    "a section with balanced_accuracy, r2, skill, entropy, readout.": "compare.thresholds=2",
    f"a section with {DATA}": "data=null data=5",
    "at most data.samples, 800.": "train.batch_size=801",
    "enough for a batch of 16 to train on": "controls.null_key_samples=9",
    "one of zero_one, plus_minus.": "data.key_coding=ternary",
    f"{EACH} one of {VARIANTS}.": "variants=none",
    f"one of {VARIANTS}.": "+variant=nix +variant=null",
    f"one of {TASKS}.": "task=nix task=null",
    "classification or regression.": "task.kind=ranking task.kind=null",
    "a function.": "task._target_=pipeline.tasks",
    "a function or class of pipeline, keras": "task._target_=os.system",
    "one of lstm, gru, bidirectional.": "model.cell=rnn",
    "a list of values, each a name.": "packages=os",
    "one of local, off, server.": "tracking=nix tracking=null",
    "a name.": "tracking.experiment=true",
}
NOT = "is not a parameter"
VALUE = "give it one in params.yaml or on the command line."
MISTAKES = {
    words: f"{name} is {value}: it must be {rule}"
    for rule, mistakes in RULES.items()
    for words in mistakes.split()
    for name, value in [words.removeprefix("+").replace(",", ", ").replace("'", '"').split("=")]
} | {
    "train.epoch=3": f"train.epoch {NOT}: train has epochs, batch_size, learning_rate, log_every, snapshots, class_we",
    "train.class_weights=heavy": "train.class_weights is heavy: it must be balanced, or null.",
    "task=find_max train.class_weights=balanced": "train.class_weights is balanced: it must be null in a regression.",
    "task=find_max explain.target=walk": "explain.target is walk: it must be null in a regression.",
    "+extra=1": "extra is not a parameter: there are variants, seeds, data",
    "+data.extra=1": f"data.extra is not a parameter: data has {DATA}",
    "train.epochs=": f'train.epochs is "": it must be {UP_TO_A_MILLION}.',
    "train.epochs=???": f"train.epochs has no value: {VALUE}",
    "~train.epochs": f"train.epochs has no value: {VALUE}",
    "train.epochs=${data.seed}": f"train.epochs is 0: it must be {UP_TO_A_MILLION}.",
    "train.epochs=${nix}": f"train.epochs: Interpolation key 'nix' not found; it must be {UP_TO_A_MILLION}.",
    "train.epochs.x=1": "train.epochs.x is not a parameter: it is not in params.yaml.",
    "seeds=[": "seeds=[ cannot be read as name=value",
    "seeds={a:1}": f"seeds: Cannot merge DictConfig with ListConfig; it must be {EACH} {SEED}.",
    "+controls=x": "controls is x: it must be a section with seeds, null_key_samples, probe_samples.",
    "controls=x": "controls cannot be set at once: it is a section with seeds, null_key_samples, probe_samples.",
    "models=1": "models is not a parameter: there are variants, seeds,",
    "task=[1,2]": f"task is [1,2]: it must be one of {TASKS}.",
    "+variant=[true]": f"variant is [true]: it must be one of {VARIANTS}.",
    "seeds.x=3": "seeds.x=3: invalid literal for int()",
    "data.validation_share=0.999": "data.validation_share is 0.999 of 800 samples: it must be a share that leaves",
    "data.validation_share=0.0001": "data.validation_share is 0.0001 of 800 samples: it must be a share that leaves",
    "variants=[nix]": f'variants is ["nix"]: it must be {EACH} one of {VARIANTS}.',
    "variants=[none,none]": f'variants is ["none", "none"]: it must be {EACH} one of {VARIANTS}.',
    "variant=after_shared": f"Write +variant=NAME, where NAME is one of: {VARIANTS}.",
    "+variant=luong +variant.sharing=shared": "variant.sharing is shared: it must be left out beside variant.attent",
    "+variant=luong variant.attention=null": "variant.sharing is null: it must be shared or unshared.",
    "+variant=luong variant.attention.units=2000000000": "variant.attention.units is 2000000000: it must be without "
    "numbers below -1000000000 or above 1000000000.",
    "+variant=dense variant.placement=after": "variant.placement is after: it must be before, where variant.reader",
    "+variant=dense variant.placement=under": "variant.placement is under: it must be one of before, after.",
    "+variant=dense variant.reader=lstm": "variant.reader is lstm: it must be dense, or null.",
    "+variant=none variant.reader=dense": "variant.reader has no value to replace: write +variant.reader=VALUE on",
    "+variant=none +variant.uniform=1": "variant.uniform is 1: it must be true or false.",
    "data.per_seed=1": "data.per_seed is 1: it must be true or false.",
    "task=planted_in_series data.per_seed=true": "data.per_seed is true: it must be false, since the samples of plante",
    "~task": f"task is null: it must be one of {TASKS}.",
    "task.nois=1": "task.nois is not a parameter: it is not in the file of conf/task/ that was chosen.",
    "+task.nois=1": "task.nois is not a parameter: planted_key has feature, noise.",
    "task=file": f"task.path has no value: {VALUE}",
    "task=file task.path=5": "task.path is 5: it must be the path of a file.",
    "task.name=xor_keys": "it must be planted_key, that of the chosen file; write task=xor_keys.",
    "task=xor_keys task.name=planted_key": "it must be xor_keys, that of the chosen file; write task=planted_key.",
    "+variant=none +variant.name=luong": "variant.name is luong: it must be none, that of the chosen file; write +var",
    "+variant={placement:before}": f"variant is null: it must be one of {VARIANTS}.",
    "task.kind=regression": "it must be classification, since every y of planted_key is 0 or 1.",
    "--config-dir=conf": "--config-dir=conf cannot be used: put the files in conf/",
    "--cfg=job -cd=conf": "-cd=conf cannot be used: put the files in conf/",
    "controls.probe_samples=1000000000": "controls.probe_samples is 1000000000: it must be small enough for",
    "data.samples=1000000000 data.input_dim=10000": "data.samples is 1000000000: it must be small enough for the disk",
    "task.key_steps=[1,2]": "task.key_steps is not a parameter",
    "task=redundant_keys task.key_steps=[true,2]": "task.key_steps is [true, 2]: it must be a list of values, each a",
    "task=moving_key task.marker=[1,2]": "task.marker is [1, 2]: it must be a finite number of at least -1000000",
    "cluster=[a]": 'cluster is ["a"]: it must be a name, or null.',
    "-m train.epochs=1,0": f"train.epochs is 0: it must be {UP_TO_A_MILLION}.",
}
ACCEPTED = {
    "train.learning_rate=1": ("train", "learning_rate", 1.0),  # a float, as in params.yaml
    "tracking.experiment=2026": ("tracking", "experiment", "2026"),
    "workers=null": ("workers", None),
}

# Runs the command with each of the words, all in one process. A start of Python takes longer than composing.
ASK = """
import dataclasses, io, json, sys
from contextlib import redirect_stderr
from hydra._internal.hydra import Hydra
from pipeline.execution.command_line import command

Hydra.get_mode = lambda *_, **__: None  # it composes once more, to find out whether conf/ sets `hydra.mode`

def ask(words):
    sys.argv, said, got, code = ["train", *words.split(" ")], io.StringIO(), [], 0
    with redirect_stderr(said):
        try:
            command(lambda config: got.append(dataclasses.asdict(config)))()
        except SystemExit as end:
            code = end.code
    return code, said.getvalue(), got

print(json.dumps({words: ask(words) for words in json.loads(sys.argv[1])}))
"""


@pytest.fixture(scope="module")
def answers(tmp_path_factory):
    """Words -> exit code, what was said on standard error, and the configurations with which the stage was called."""
    project = Project(tmp_path_factory.mktemp("answers"), SMALL)
    for name in RESULTS:  # Hydra takes a folder for a group of settings
        (project.root / name).mkdir()
    words = json.dumps([*MISTAKES, *ACCEPTED])
    return json.loads(project.run("python", "-c", ASK, words).stdout)


@pytest.mark.parametrize(("words", "sentence"), MISTAKES.items())
def test_a_bad_value_gets_one_sentence(answers, words, sentence):
    code, error, started = answers[words]
    assert (code, started) == (1, [])
    assert sentence in error
    assert re.fullmatch("error: .*\n", error)


@pytest.mark.parametrize("words", ACCEPTED)
def test_a_value_arrives_with_its_type(answers, words):
    code, error, (config,) = answers[words]
    *path, expected = ACCEPTED[words]
    found = reduce(getitem, path, config)
    assert (code, error, found, type(found)) == (0, "", expected, type(expected))


@pytest.mark.parametrize("words", ["train.epoch=3", "train.epochs=many", "data=null", "task=nix", "data.key_step=6"])
def test_a_bad_value_ends_a_stage_before_it_writes(fresh, words):
    assert MISTAKES[words] in error_of(fresh.stage, "train", words)
    assert not list(fresh.root.glob("models/*"))


@pytest.mark.parametrize("stage", ["dataset", "train", "analyze", "controls", "compare", "show", "ui", "sweep"])
def test_help_lists_stages_variants_and_values(fresh, stage):
    text = fresh.stage(stage, "--help").stdout
    assert all(words in text for words in ("python -m pipeline.train", "after_shared", "key_step: 3", "Example:"))


def test_a_mistake_in_params_yaml_names_it(fresh):
    fresh.change({"train": {"epochz": 3}})
    assert "train.epochz is not a parameter: train has epochs" in fresh.stage("dataset", code=1).stderr
    fresh.change({"train": None})
    assert "train is null: it must be a section with epochs" in fresh.stage("dataset", code=1).stderr
    for content in (b"train: [\n", b"train: \xff\n"):
        (fresh.root / "params.yaml").write_bytes(content)
        assert "params.yaml" in error_of(fresh.stage, "dataset")


def test_each_stage_names_the_command_that_makes_its_input_and_its_variant(fresh):
    assert f"+variant=NAME, where NAME is one of: {VARIANTS}." in fresh.stage("train", code=1).stderr
    error = fresh.stage("train", "+variant=after_shared", "data.seed=3", code=1).stderr
    assert "run `python -m pipeline.dataset data.seed=3`" in error
    error = fresh.stage("compare", code=1).stderr
    assert "models/before_shared does not exist yet: run `python -m pipeline.train +variant=before_shared`" in error
    fresh.stage("dataset")
    error = fresh.stage("analyze", "+variant=after_shared", code=1).stderr
    assert "run `python -m pipeline.train +variant=after_shared`" in error


DAMAGES = {
    "cut off": lambda path: path.write_bytes(path.read_bytes()[:-100]),
    "foreign": lambda path: path.write_text("not an array", encoding="utf-8"),
    "of another shape": lambda path: np.save(path, np.zeros((720, 5, 2), "float32")),
    "pickled": lambda path: np.save(path, np.array([{}]), allow_pickle=True),
    "missing": lambda path: path.unlink(),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_data_file_is_named(untrained, damage):
    DAMAGES[damage](untrained.root / "data/train/x.npy")
    error = untrained.stage("train", "+variant=after_shared", code=1).stderr
    assert "data/train/x.npy is not a complete array of float32 (720, 6, 2): run `python -m pipeline.dataset`." in error


def test_data_made_with_other_values_is_refused(untrained):
    untrained.change({"data": {"key_step": 1}})
    error = untrained.stage("train", "+variant=after_shared", code=1).stderr
    assert "data/train was made with other values (data.key_step 3, not 1): run `python -m pipeline.dataset`." in error


def test_no_permission_to_write(fresh):
    def without_override():  # root, too, then needs permission
        ctypes.CDLL(None).prctl(24, 1, 0, 0, 0)

    (fresh.root / "data").mkdir(0o555)
    error = fresh.stage("dataset", code=1, preexec_fn=without_override).stderr
    assert "data/train cannot be written: Permission denied." in error


def test_a_disk_that_is_full_leaves_what_was_there(untrained):
    def little_room():
        resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))

    before = untrained.bytes("data")
    untrained.change({"data": {"seed": 5}})
    error = untrained.stage("dataset", code=1, preexec_fn=little_room).stderr
    assert "data/train cannot be written: File too large." in error
    assert untrained.bytes("data") == before


@pytest.mark.parametrize("weight", [0.4, 0.6])
def test_attention_that_no_longer_sums_to_one_is_refused(weight):
    weights = np.full((3, 2, 2), 0.5)
    check_weights(weights, "fine", relevance=False)
    weights[1, 0, 1] = weight
    check_weights(weights, "fine", relevance=True)
    with one_sentence("sample 1, feature 1 sum to"):
        check_weights(weights, "wrong", relevance=False)


@pytest.mark.parametrize(
    ("weight", "sentence"),
    [
        (np.nan, "sample 1, step 0, feature 1 is nan: it must be a finite number."),
        (np.inf, "sample 1, step 0, feature 1 is inf: it must be a finite number."),
        (-0.1, "an attention weight is -0.1: none may be negative."),
    ],
)
def test_weights_that_are_no_relevance_are_refused(weight, sentence):
    weights = np.full((3, 2, 2), 0.5)
    weights[1, 0, 1] = weight
    with one_sentence(sentence):
        check_weights(weights, "wrong", relevance=True)


def test_attention_over_thousands_of_steps_sums_to_one():
    weights = np.full((3, 2000, 8), 1 / 2000, np.float32)  # a sum in float32 would be wrong by 1.9e-5
    check_weights(weights, "fine", relevance=False)
