"""A stage that was ended goes on where it was, and only if nothing has changed that decides its results."""

import dataclasses
import os
import shutil
import signal
import time

import pytest
from conftest import SMALL, Project

from pipeline.execution import fingerprint, resume, worker_pool
from pipeline.results import folders
from pipeline.results.splits import Split
from pipeline.settings.errors import UserError
from pipeline.settings.project import ROOT
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
    """Says what it was given, until its patience is at an end."""

    def __init__(self, patience):
        self.patience, self.asked = patience, []

    def __call__(self, word):
        self.asked.append(word)
        if len(self.asked) > self.patience:
            raise UserError("ended")
        return word.upper()


def go(told, work, words=("a", "b", "c")):
    with resume.folder_of(told) as folder:
        return resume.each(folder, FILES, work, {word: (word,) for word in words}, POOL)


def test_what_was_finished_is_not_done_again(root, capsys):
    with pytest.raises(UserError):
        go({"code": "1"}, first := Work(2))
    assert go({"code": "1"}, second := Work(9)) == {"a": "A", "b": "B", "c": "C"}
    assert (first.asked, second.asked) == (["a", "b", "c"], ["c"])
    assert capsys.readouterr().out == "test: 2 of 3 tasks were finished before.\n"
    go({"code": "1"}, third := Work(9))
    assert third.asked == ["a", "b", "c"]  # once all were, nothing is kept
    assert not list(root.glob("outputs/unfinished/*"))


def test_what_was_finished_of_something_else_is_not_taken():
    with pytest.raises(UserError):
        go({"code": "1"}, Work(2))
    go({"code": "2"}, other := Work(9))
    assert other.asked == ["a", "b", "c"]


def test_what_is_damaged_is_done_again(root):
    with pytest.raises(UserError):
        go({}, Work(2))
    (path,) = root.glob("outputs/unfinished/*/a")
    shutil.rmtree(path)
    path.mkdir()
    assert go({}, work := Work(9)) == {"a": "A", "b": "B", "c": "C"}
    assert work.asked == ["a", "c"]


def test_a_result_depends_on_its_values_its_data_its_code_and_where_it_is_made(tmp_path, monkeypatch):
    def told(study=None, data="1"):
        (tmp_path / "sha256.txt").write_text(data, "utf-8")
        return fingerprint.of(study or params(), "controls", Split(tmp_path, 1))

    before = told()
    assert told() == before
    assert told(data="2") != before
    assert {**told(data="2"), tmp_path.as_posix(): "1"} == before
    study = params()
    assert told(dataclasses.replace(study, train=dataclasses.replace(study.train, epochs=7))) != before
    monkeypatch.setenv("XLA_FLAGS", "--other")
    fingerprint.environment.cache_clear()
    assert told() != before
    monkeypatch.undo()
    fingerprint.environment.cache_clear()
    code = shutil.copytree(ROOT / "src/pipeline", tmp_path / "pipeline")
    (code / "models/fit.py").unlink()
    monkeypatch.setattr(fingerprint, "SOURCE", code)
    assert {name for name, value in told().items() if value != before[name]} == {"code"}
    monkeypatch.undo()
    fingerprint.environment.cache_clear()


@pytest.mark.slow
@pytest.mark.parametrize("stage", ["train", "controls"])
def test_a_stage_that_was_killed_gives_the_same_bytes_when_it_is_run_again(tmp_path, stage):
    words = (stage, "+variant=after_shared")[: 2 if stage == "train" else 1]
    made = Project(tmp_path, SMALL | {"seeds": [0, 1, 2, 3], "variants": ["after_shared"]})
    made.stage("dataset")
    with made.started("python", "-m", f"pipeline.{stage}", *words[1:], "tracking=off") as process:
        deadline = time.monotonic() + 200
        while not [path for path in made.root.glob("outputs/unfinished/*/*/*.csv") if ".part" not in str(path)]:
            assert process.poll() is None, process.communicate()
            assert time.monotonic() < deadline
            time.sleep(0.02)
        os.killpg(process.pid, signal.SIGKILL)
    assert " were finished before." in made.stage(*words, "tracking=off").stdout
    folder = "models" if stage == "train" else "controls"
    resumed = made.bytes(folder)
    assert resumed
    out = made.stage(*words, "tracking=off").stdout
    assert "were finished before" not in out
    assert made.bytes(folder) == resumed
    assert not list(made.root.rglob("*.part"))
    assert folders.PARAMS in {path.rpartition("/")[2] for path in resumed}
