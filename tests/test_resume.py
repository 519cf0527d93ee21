"""An interrupted stage resumes, unless something has changed that its results depend on."""

import dataclasses
import json
import os
import shutil
import signal
import time

import numpy as np
import pytest
from conftest import one_sentence, wait_for

from pipeline.execution import fingerprint, machine, resume, worker_pool
from pipeline.results import folders
from pipeline.results.file_formats import read_arrays, write_arrays
from pipeline.results.splits import Split
from pipeline.settings.project import ROOT, UserError
from pipeline.settings.study import params

POOL = worker_pool.Pool(1, "test", "tasks")
FILES = resume.Files[str](
    lambda folder, result: (folder / "result.txt").write_text(result, "utf-8"),
    lambda folder: (folder / "result.txt").read_text("utf-8"),
)


@pytest.fixture(autouse=True)
def root(tmp_path, monkeypatch):
    monkeypatch.setattr(resume, "ROOT", tmp_path)
    return tmp_path


class Work:
    """Works on words, and fails after some."""

    def __init__(self, limit=9):
        self.limit, self.words = limit, []

    def __call__(self, word):
        self.words.append(word)
        if len(self.words) > self.limit:
            raise UserError("interrupted")
        return word.upper()


def run(fingerprint, work, words="abc"):
    with resume.folder_of(fingerprint) as folder:
        return resume.each(folder, FILES, work, {word: (word,) for word in words}, POOL)


def interrupted(fingerprint):
    """Run until two tasks are finished."""
    with one_sentence("interrupted"):
        run(fingerprint, work := Work(2))
    return work


def test_where_parts_were_made_is_known_if_all_were_made_on_one_machine():
    with resume.folder_of({"code": "1"}) as folder:
        resume.each(folder, FILES, Work(), {word: (word,) for word in "abc"}, POOL)
        assert resume.machine_of(folder, "abc") == machine.description()
        (folder / "b" / resume.MACHINE).write_text("{}", "utf-8")  # as by a cluster
        assert resume.machine_of(folder, "abc") == {}
    assert machine.of_workers("tcp://127.0.0.1:8786") == {}


def test_finished_tasks_are_not_repeated_but_for_another_fingerprint(root, capsys):
    first = interrupted({"code": "1"})
    assert run({"code": "1"}, second := Work()) == {"a": "A", "b": "B", "c": "C"}
    assert (first.words, second.words) == (["a", "b", "c"], ["c"])
    assert capsys.readouterr().out == "test: 2 of 3 tasks were finished before.\n"
    run({"code": "1"}, third := Work())
    assert third.words == ["a", "b", "c"]  # when all are finished, none is kept
    interrupted({"code": "1"})
    run({"code": "2"}, other := Work())
    assert other.words == ["a", "b", "c"]


@pytest.mark.parametrize(
    ("finished", "wanted", "repeated"),
    [
        ("abc", "abc", "abc"),  # nothing else can be meant
        ("abc", "abcd", "d"),
        ("abc", "ad", "d"),
        ("abc", "ab", ""),
        ("abcd", "", ""),
    ],
)
def test_only_tasks_that_were_added_to_those_finished_last_are_run(finished, wanted, repeated):
    run({}, Work(), finished)
    assert list(run({}, work := Work(), wanted)) == list(wanted)
    assert "".join(work.words) == repeated


def test_a_repeated_stage_that_is_interrupted_resumes(root):
    run({}, Work())
    assert interrupted({}).words == ["a", "b", "c"]
    run({}, work := Work())
    assert work.words == ["c"]
    run({}, work := Work())
    assert work.words == ["a", "b", "c"]
    (finished,) = root.glob(f"outputs/parts/*/{resume.FINISHED}")
    finished.write_text("")  # after a loss of power
    run({}, work := Work())
    assert work.words == []


def test_a_corrupt_result_is_computed_again(root):
    interrupted({})
    (path,) = root.glob("outputs/parts/*/a/result.txt")
    path.unlink()
    assert run({}, work := Work()) == {"a": "A", "b": "B", "c": "C"}
    assert work.words == ["a", "c"]


def test_the_fingerprint_covers_settings_data_code_and_environment(tmp_path, monkeypatch):
    def found(study=None, data="1"):
        (tmp_path / "sha256.txt").write_text(data, "utf-8")
        return fingerprint.of(study or params(), "controls", Split(tmp_path, 1))

    before = found()
    assert found() == before
    assert found(data="2") != before
    assert {**found(data="2"), tmp_path.as_posix(): "1"} == before
    study = params()
    assert found(dataclasses.replace(study, train=dataclasses.replace(study.train, epochs=7))) != before
    monkeypatch.setenv("XLA_FLAGS", "--other")
    fingerprint.environment.cache_clear()
    assert found() != before
    monkeypatch.undo()
    fingerprint.environment.cache_clear()
    code = shutil.copytree(ROOT / "src/pipeline", tmp_path / "pipeline")
    (code / "models/fit.py").unlink()
    monkeypatch.setattr(fingerprint, "SOURCE", code)
    assert {name for name, value in found().items() if value != before[name]} == {"code"}
    monkeypatch.undo()
    fingerprint.environment.cache_clear()


def test_an_emptied_result_is_computed_again(root):
    """What a power loss leaves of a file that was not written to the disk."""
    arrays = resume.Files(
        lambda folder, result: write_arrays(folder / "a.npz", {"a": np.array(result)}),
        lambda folder: str(read_arrays(folder / "a.npz")["a"]),
    )
    work = Work()
    for damage in (None, b"", b"PK"):
        with resume.folder_of({}) as folder:
            if damage is not None:
                (folder / resume.FINISHED).unlink()
                (folder / "a/a.npz").write_bytes(damage)
            assert resume.each(folder, arrays, work, {"a": ("a",)}, POOL) == {"a": "A"}
    assert work.words == ["a", "a", "a"]


@pytest.mark.parametrize(
    ("made_by", "is_kept"),
    [
        ({}, True),  # by this code and these packages
        ({"code": "of last week"}, False),
        ({"code": "of last week", "pid": os.getppid()}, True),  # by a stage that still runs
        ({"days": 31}, False),
        (None, False),
    ],
)
def test_what_nobody_can_resume_is_removed(root, made_by, is_kept):
    now = fingerprint.environment() | {"settings, or your own code": "now"}
    with one_sentence("interrupted"):
        run(now | {"settings, or your own code": "others"}, Work(2))
    (folder,) = root.glob("outputs/parts/*")
    path = folder / resume.MADE_BY
    if made_by is None:
        path.write_text("")
    else:
        path.write_text(json.dumps(json.loads(path.read_text()) | {"pid": 2**22 + 1} | made_by))
        if days := made_by.get("days"):
            path.write_text(path.read_text().replace(f', "days": {days}', ""))
            os.utime(path, (0, time.time() - days * 24 * 3600))
    run(now, Work())
    assert folder.exists() == is_kept


@pytest.mark.slow
@pytest.mark.parametrize(
    "words", [("train", "+variant=after_shared"), pytest.param(("controls",), marks=pytest.mark.long)]
)
def test_a_stage_that_was_killed_resumes_and_gives_the_same_bytes(untrained, words):
    untrained.change({"seeds": [0, 1, 2, 3], "variants": ["after_shared"], "controls": {"seeds": [0]}})
    stage, *rest = *words, "tracking=off"
    with untrained.started("python", "-m", f"pipeline.{stage}", *rest, env=untrained.forked) as process:
        wait_for(lambda: [p for p in untrained.root.glob("outputs/parts/*/*/*.csv") if ".part" not in str(p)], process)
        os.killpg(process.pid, signal.SIGKILL)
    folder = "models" if stage == "train" else "controls"
    assert " were finished before." in untrained.stage(stage, *rest).stdout
    resumed = untrained.bytes(folder)
    assert resumed
    assert "were finished before" not in untrained.stage(stage, *rest).stdout
    assert untrained.bytes(folder) == resumed
    assert not list(untrained.root.rglob("*.part"))
    if stage == "train":
        before = untrained.rows(f"{folder}/after_shared/metrics.csv")
        untrained.change({"seeds": [0, 1, 2, 3, 7]})
        assert "train after_shared: 4 of 5 seeds were finished before.\n" in untrained.stage(stage, *rest).stdout
        assert untrained.rows(f"{folder}/after_shared/metrics.csv")[: len(before)] == before
    assert folders.PARAMS in {path.rpartition("/")[2] for path in resumed}
