"""Mistakes get one sentence, at once, and cost nothing."""

import ctypes
import resource

import numpy as np
import pytest

from pipeline.models.build import check_sums
from pipeline.settings.errors import UserError
from pipeline.settings.project import names_in

pytestmark = pytest.mark.slow
VARIANTS = "after_shared, after_unshared, bahdanau, before_shared, before_unshared, dense, luong, multi_head, none"
MISTAKES = [
    (
        "train.epoch=3",
        "train.epoch is not a parameter: train has epochs, batch_size, learning_rate, log_every, snapshots.",
    ),
    ("+extra=1", "extra is not a parameter: there are variants, seeds, data"),
    ("+data.extra=1", "data.extra is not a parameter: data has samples"),
    ("train.epochs=many", "train.epochs: Value 'many' of type 'str' could not be converted to Integer; it must be a"),
    ("seeds=3", "seeds: Invalid value assigned: int is not a ListConfig, list or tuple; it must be a list of whole"),
    ("seeds=[", "seeds=[ cannot be read as name=value"),
    ("data.key_step=6", "data.key_step is 6: it must be 0 to 5."),
    ("data.key_step=-1", "data.key_step is -1: it must be 0 to 5."),
    ("data.samples=0", "data.samples is 0: it must be a whole number of at least 1."),
    ("data.validation_share=0.999", "data.validation_share is 0.999 of 800 samples: it must be a share that leaves"),
    ("data.validation_share=0.0001", "data.validation_share is 0.0001 of 800 samples: it must be a share that leaves"),
    ("data.validation_share=1", "data.validation_share is 1.0: it must be above 0 and below 1."),
    ("train.batch_size=801", "train.batch_size is 801: it must be at most data.samples, 800."),
    ("train.learning_rate=nan", "train.learning_rate is nan: it must be a number above 0."),
    ("data.key_coding=ternary", "data.key_coding is ternary: it must be zero_one or plus_minus."),
    ("train.snapshots=0", "train.snapshots is 0: it must be a whole number of at least 1."),
    ("explain.permutations=0", "explain.permutations is 0: it must be a whole number of at least 1."),
    ("controls.seeds=[2,2]", "controls.seeds is [2, 2]: it must be one or more different whole numbers"),
    ("controls.null_key_samples=9", "controls.null_key_samples is 9: it must be enough for a batch of 16 to train on"),
    ("seeds=[1,1]", "seeds is [1, 1]: it must be one or more different whole numbers"),
    ("seeds=[-1]", "seeds is [-1]: it must be one or more different whole numbers"),
    ("seeds=[]", "seeds is []: it must be one or more different whole numbers"),
    ("variants=[nix]", f"variants is ['nix']: it must be one or more of {VARIANTS}, each once."),
    ("+variant=nix", f"variant is nix: it must be one of {VARIANTS}."),
    ("variant=after_shared", f"Write +variant=NAME, where NAME is one of: {VARIANTS}."),
    ("task=nix", f"task is nix: it must be one of {', '.join(names_in('task'))}."),
    ("task.nois=1", "task.nois is not a parameter: it is not in the file of conf/task/ that was chosen."),
    ("+task.nois=1", "task.nois is not a parameter: planted_key has feature, noise."),
    ("task.kind=ranking", "task.kind is ranking: it must be classification or regression."),
    ("task._target_=os.system", "task._target_ is os.system: it must be a function or class of pipeline, keras"),
    ("model.cell=rnn", "model.cell is rnn: it must be lstm, gru, bidirectional."),
    ("workers=0", "workers is 0: it must be a whole number of at least 1."),
    ("tracking=nix", "tracking is nix: it must be one of local, off, server."),
]


@pytest.mark.parametrize(("word", "sentence"), MISTAKES)
def test_a_bad_value_gets_one_sentence(fresh, word, sentence):
    error = fresh.stage("train", word, code=1).stderr
    assert sentence in error
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
    (fresh.root / "params.yaml").write_text("train: [\n", encoding="utf-8")
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
