"""User errors get one sentence, at once, and cost nothing."""

import ctypes
import json
import resource

import numpy as np
import pytest
from conftest import SMALL, Project

from pipeline.models.build import check_sums
from pipeline.settings.project import UserError, names_in

pytestmark = pytest.mark.slow
VARIANTS = "after_shared, after_unshared, bahdanau, before_shared, before_unshared, dense, luong, multi_head, none"
TASKS = ", ".join(names_in("task"))
COUNT = "it must be a whole number of at least 1"
EACH = "it must be a list of one or more different values, each"
SEEDS = f"{EACH} a whole number of at least 0 and at most 4294967295."
SHARE = "it must be a finite number above 0 and below 1."
DATA = "samples, validation_share, time_steps, input_dim, key_step, key_coding, seed."
MISTAKES = [
    (
        "train.epoch=3",
        "train.epoch is not a parameter: train has epochs, batch_size, learning_rate, log_every, snapshots.",
    ),
    ("+extra=1", "extra is not a parameter: there are variants, seeds, data"),
    ("+data.extra=1", f"data.extra is not a parameter: data has {DATA}"),
    ("train.epochs=many", f"train.epochs is many: {COUNT}."),
    ("train.epochs=true", f"train.epochs is true: {COUNT}."),
    ("train.epochs=2.0", f"train.epochs is 2.0: {COUNT}."),
    ("train.epochs='2'", f'train.epochs is "2": {COUNT}.'),
    ("train.epochs=", f'train.epochs is "": {COUNT}.'),
    ("train.epochs=[2]", f"train.epochs is [2]: {COUNT}."),
    ("train.epochs=null", f"train.epochs is null: {COUNT}."),
    ("train.epochs=???", "train.epochs has no value: give it one in params.yaml or on the command line."),
    ("~train.epochs", "train.epochs has no value: give it one in params.yaml or on the command line."),
    ("train.epochs=${data.seed}", f"train.epochs is 0: {COUNT}."),
    ("train.epochs=${nix}", f"train.epochs: Interpolation key 'nix' not found; {COUNT}."),
    ("train.epochs.x=1", "train.epochs.x is not a parameter: it is not in params.yaml."),
    ("seeds=3", f"seeds is 3: {SEEDS}"),
    ("seeds=[", "seeds=[ cannot be read as name=value"),
    ("seeds=[[0]]", f"seeds is [[0]]: {SEEDS}"),
    ("seeds=[true]", f"seeds is [true]: {SEEDS}"),
    ("seeds={a:1}", f"seeds: Cannot merge DictConfig with ListConfig; {SEEDS}"),
    ("data.key_step=6", "data.key_step is 6: it must be 0 to 5."),
    ("data.key_step=-1", "data.key_step is -1: it must be 0 to 5."),
    ("data.key_step=1.5", "data.key_step is 1.5: it must be a whole number."),
    ("data.samples=0", f"data.samples is 0: {COUNT}."),
    ("data.time_steps=1", "data.time_steps is 1: it must be a whole number of at least 2."),
    ("data.validation_share=0.999", "data.validation_share is 0.999 of 800 samples: it must be a share that leaves"),
    ("data.validation_share=0.0001", "data.validation_share is 0.0001 of 800 samples: it must be a share that leaves"),
    ("data.validation_share=1", f"data.validation_share is 1: {SHARE}"),
    ("data.validation_share=nan", f"data.validation_share is nan: {SHARE}"),
    ("data.seed=4294967296", "data.seed is 4294967296: it must be a whole number of at least 0 and at most 42"),
    ("data=null", f"data is null: it must be a section with {DATA}"),
    ("data=5", f"data is 5: it must be a section with {DATA}"),
    ("train.batch_size=801", "train.batch_size is 801: it must be at most data.samples, 800."),
    ("train.learning_rate=nan", "train.learning_rate is nan: it must be a finite number above 0."),
    ("train.learning_rate=inf", "train.learning_rate is inf: it must be a finite number above 0."),
    ("train.learning_rate=true", "train.learning_rate is true: it must be a finite number above 0."),
    ("compare.thresholds.lift=0.5", "compare.thresholds.lift is 0.5: it must be a finite number of at least 1."),
    ("compare.thresholds.mass=2", "compare.thresholds.mass is 2: it must be a finite number of at least 0 and at m"),
    ("compare.thresholds=2", "compare.thresholds is 2: it must be a section with accuracy, lift, entropy, mass, r2."),
    ("data.key_coding=ternary", "data.key_coding is ternary: it must be one of zero_one, plus_minus."),
    ("train.snapshots=0", f"train.snapshots is 0: {COUNT}."),
    ("explain.permutations=0", f"explain.permutations is 0: {COUNT}."),
    ("controls.seeds=[2,2]", f"controls.seeds is [2, 2]: {SEEDS}"),
    ("controls.null_key_samples=9", "controls.null_key_samples is 9: it must be enough for a batch of 16 to train on"),
    ("seeds=[1,1]", f"seeds is [1, 1]: {SEEDS}"),
    ("seeds=[-1]", f"seeds is [-1]: {SEEDS}"),
    ("seeds=[]", f"seeds is []: {SEEDS}"),
    ("variants=[nix]", f'variants is ["nix"]: {EACH} one of {VARIANTS}.'),
    ("variants=[none,none]", f'variants is ["none", "none"]: {EACH} one of {VARIANTS}.'),
    ("variants=none", f"variants is none: {EACH} one of {VARIANTS}."),
    ("+variant=nix", f"variant is nix: it must be one of {VARIANTS}."),
    ("+variant=null", f"variant is null: it must be one of {VARIANTS}."),
    ("variant=after_shared", f"Write +variant=NAME, where NAME is one of: {VARIANTS}."),
    ("+variant=luong +variant.sharing=shared", "variant.sharing is shared: it must be left out beside variant.attent"),
    ("+variant=luong variant.attention=null", "variant.sharing is null: it must be shared or unshared."),
    ("+variant=dense variant.placement=after", "variant.placement is after: it must be before, where variant.reader"),
    ("+variant=dense variant.placement=under", "variant.placement is under: it must be one of before, after."),
    ("+variant=dense variant.reader=lstm", "variant.reader is lstm: it must be dense, or null."),
    ("+variant=none variant.reader=dense", "variant.reader has no value to replace: write +variant.reader=VALUE on"),
    ("+variant=none +variant.uniform=1", "variant.uniform is 1: it must be true or false."),
    ("task=nix", f"task is nix: it must be one of {TASKS}."),
    ("task=null", f"task is null: it must be one of {TASKS}."),
    ("~task", f"task is null: it must be one of {TASKS}."),
    ("task.nois=1", "task.nois is not a parameter: it is not in the file of conf/task/ that was chosen."),
    ("+task.nois=1", "task.nois is not a parameter: planted_key has feature, noise."),
    ("task.kind=ranking", "task.kind is ranking: it must be classification or regression."),
    ("task._target_=os.system", "task._target_ is os.system: it must be a function or class of pipeline, keras"),
    ("task=file", "task.path has no value: give it one in params.yaml or on the command line."),
    ("task=file task.path=5", "task.path is 5: it must be the path of a file."),
    ("model.cell=rnn", "model.cell is rnn: it must be one of lstm, gru, bidirectional."),
    ("workers=0", f"workers is 0: {COUNT}, or null."),
    ("cluster=[a]", 'cluster is ["a"]: it must be a name, or null.'),
    ("packages=os", "packages is os: it must be a list of values, each a name."),
    ("tracking=nix", "tracking is nix: it must be one of local, off, server."),
    ("tracking=null", "tracking is null: it must be one of local, off, server."),
    ("tracking.experiment=true", "tracking.experiment is true: it must be a name."),
    ("seeds.x=3", "seeds.x=3: invalid literal for int()"),
    ("-m train.epochs=1,0", f"train.epochs is 0: {COUNT}."),
]
ACCEPTED = {
    "train.learning_rate=1": ("train", "learning_rate", 1.0),  # a float, as in params.yaml
    "tracking.experiment=2026": ("tracking", "experiment", "2026"),
    "workers=null": ("workers", None),
}

# Runs the command with each of the words, all in one process. A start of Python takes longer than composing.
ASK = """
import dataclasses, io, json, sys
from contextlib import redirect_stderr
from pipeline.execution.command_line import command

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
    words = json.dumps([*(words for words, _ in MISTAKES), *ACCEPTED])
    return json.loads(project.run("python", "-c", ASK, words).stdout)


@pytest.mark.parametrize(("words", "sentence"), MISTAKES)
def test_a_bad_value_gets_one_sentence(answers, words, sentence):
    code, error, started = answers[words]
    assert (code, started) == (1, [])
    assert sentence in error
    assert error.startswith("error: ")
    assert error.count("\n") == 1


@pytest.mark.parametrize("words", ACCEPTED)
def test_a_value_arrives_with_its_type(answers, words):
    code, error, (config,) = answers[words]
    assert (code, error) == (0, "")
    *path, expected = ACCEPTED[words]
    for name in path:
        config = config[name]
    assert (config, type(config)) == (expected, type(expected))


@pytest.mark.parametrize("words", ["train.epoch=3", "train.epochs=many", "data=null", "task=nix", "data.key_step=6"])
def test_a_bad_value_ends_a_stage_before_it_writes(fresh, words):
    error = fresh.stage("train", words, code=1).stderr
    assert dict(MISTAKES)[words] in error
    assert error.count("\n") == 1
    assert not list(fresh.root.glob("models/*"))


@pytest.mark.parametrize("stage", ["dataset", "train", "analyze", "controls", "compare", "show", "ui", "sweep"])
def test_help_lists_stages_variants_and_values(fresh, stage):
    text = fresh.stage(stage, "--help").stdout
    for words in ("python -m pipeline.train", "after_shared", "key_step: 3", "Example:"):
        assert words in text


def test_a_stage_needs_its_variant(fresh):
    assert f"+variant=NAME, where NAME is one of: {VARIANTS}." in fresh.stage("train", code=1).stderr


def test_a_mistake_in_params_yaml_names_it(fresh):
    fresh.change({"train": {"epochz": 3}})
    assert "train.epochz is not a parameter: train has epochs" in fresh.stage("dataset", code=1).stderr
    fresh.change({"train": None})
    assert "train is null: it must be a section with epochs" in fresh.stage("dataset", code=1).stderr
    for content in (b"train: [\n", b"train: \xff\n"):
        (fresh.root / "params.yaml").write_bytes(content)
        error = fresh.stage("dataset", code=1).stderr
        assert "params.yaml" in error
        assert error.count("\n") == 1


def test_each_stage_names_the_command_that_makes_its_input(fresh):
    error = fresh.stage("train", "+variant=after_shared", "data.seed=3", code=1).stderr
    assert "run `python -m pipeline.dataset data.seed=3`" in error
    error = fresh.stage("compare", code=1).stderr
    assert "models/before_shared does not exist yet: run `python -m pipeline.train +variant=before_shared`" in error
    fresh.stage("dataset")
    error = fresh.stage("analyze", "+variant=after_shared", code=1).stderr
    assert "run `python -m pipeline.train +variant=after_shared`" in error


@pytest.mark.parametrize("damage", ["cut off", "foreign", "of another shape", "pickled", "missing"])
def test_a_damaged_data_file_is_named(fresh, damage):
    fresh.stage("dataset")
    path = fresh.root / "data/train/x.npy"
    if damage == "cut off":
        path.write_bytes(path.read_bytes()[:-100])
    elif damage == "foreign":
        path.write_text("not an array", encoding="utf-8")
    elif damage == "of another shape":
        np.save(path, np.zeros((720, 5, 2), "float32"))
    elif damage == "pickled":
        np.save(path, np.array([{}]), allow_pickle=True)
    else:
        path.unlink()
    error = fresh.stage("train", "+variant=after_shared", code=1).stderr
    assert "data/train/x.npy is not a complete array of float32 (720, 6, 2): run `python -m pipeline.dataset`." in error


def test_data_made_with_other_values_is_refused(fresh):
    fresh.stage("dataset")
    fresh.change({"data": {"key_step": 1}})
    error = fresh.stage("train", "+variant=after_shared", code=1).stderr
    assert "data/train was made with other values (data.key_step 3, not 1): run `python -m pipeline.dataset`." in error


def test_no_permission_to_write(fresh):
    def without_override():  # root, too, then needs permission
        ctypes.CDLL(None).prctl(24, 1, 0, 0, 0)

    (fresh.root / "data").mkdir()
    (fresh.root / "data").chmod(0o555)
    error = fresh.stage("dataset", code=1, preexec_fn=without_override).stderr
    assert "data/train cannot be written: Permission denied." in error


def test_a_disk_that_is_full_leaves_what_was_there(fresh):
    fresh.stage("dataset")
    before = fresh.bytes("data")

    def little_room():
        resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))

    fresh.change({"data": {"seed": 5}})
    error = fresh.stage("dataset", code=1, preexec_fn=little_room).stderr
    assert "data/train cannot be written: File too large." in error
    assert fresh.bytes("data") == before


@pytest.mark.parametrize("weight", [0.4, 0.6, np.nan])
def test_attention_that_does_not_sum_to_one_is_refused(weight):
    weights = np.full((3, 2, 2), 0.5)
    check_sums(weights, "fine")
    weights[1, 0, 1] = weight
    with pytest.raises(UserError, match="sample 1, feature 1 sum to"):
        check_sums(weights, "wrong")
