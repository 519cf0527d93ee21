"""A result is either the old or the new one, complete, wherever a process is stopped while it writes."""

import dataclasses
import os
import subprocess
import sys
from pathlib import Path

import pytest

from pipeline.results import folders
from pipeline.results.file_formats import read_csv, write_csv
from pipeline.settings.study import load_variant, params

# Writes a folder again and again, each time in a process that is stopped one file operation later than the last one.
WRITER = """
import os, sys
from itertools import count
from pathlib import Path
from pipeline.results import folders

target, how = Path(sys.argv[1]), sys.argv[2]
OPERATIONS = {"open", "os.mkdir", "os.rename", "os.remove", "os.rmdir", "shutil.rmtree"}

def write(text):
    with folders.replacing(target) as aside:
        for name in "ab":
            (aside / name).write_text(text)

def stop(event, left):
    if event in OPERATIONS and next(left, "over") == "stop":
        if how == "killed":
            os._exit(1)
        raise KeyboardInterrupt

def stopped_after(operations):
    sys.addaudithook(lambda event, _, left=iter([*range(operations), "stop"]): stop(event, left))
    try:
        write(f"{operations}")
    except KeyboardInterrupt:
        os._exit(1)
    os._exit(0)

write("before")
known = {"before"}
for operations in count():
    if not (child := os.fork()):
        stopped_after(operations)
    _, failed = os.waitpid(child, 0)
    if how == "interrupted":
        assert target.exists(), operations
    folders.complete_exchange(target)
    found = {(target / name).read_text() for name in "ab"}
    assert len(found) == 1 and found <= known | {f"{operations}"}, (operations, found)
    known = found
    if not failed:
        break
assert operations > 10
assert found == {f"{operations}"}
print([path.name for path in target.parent.iterdir()])
"""


@pytest.mark.parametrize("how", ["killed", "interrupted"])
def test_a_writer_that_is_stopped_at_any_moment_loses_nothing(tmp_path, how):
    words = [sys.executable, "-c", WRITER, str(tmp_path / "results"), how]
    done = subprocess.run(words, capture_output=True, encoding="utf-8", check=False, timeout=60)
    assert done.returncode == 0, done.stderr
    assert done.stdout == "['results']\n"


def write(target, text):
    with folders.replacing(target) as aside:
        (aside / "a").write_text(text)


def test_files_are_added_to_a_folder_all_or_none_and_leave_the_others(tmp_path):
    target = tmp_path / "mine"
    write(target, "old")
    (target / "notes.txt").write_text("of the user")

    def add(fails):
        with folders.added_to(target) as aside:
            (aside / "a").write_text("new")
            (aside / "inner").mkdir()
            (aside / "inner/b").write_text("new" if not fails else str(1 / 0))

    with pytest.raises(ZeroDivisionError):
        add(fails=True)
    assert (target / "a").read_text() == "old"
    add(fails=False)
    assert {path.name: path.read_text() for path in target.rglob("*") if path.is_file()} == {
        "a": "new",
        "b": "new",
        "notes.txt": "of the user",
    }
    assert list(tmp_path.iterdir()) == [target]


def test_what_an_earlier_version_left_between_two_renames_is_found_and_does_no_harm(tmp_path):
    target = tmp_path / "results"
    write(target, "old")
    target.rename(tmp_path / "results.old.part")
    folders.complete_exchange(target)
    assert (target / "a").read_text() == "old"
    (tmp_path / "results.old.part/inner").mkdir(parents=True)
    write(target, "new")
    assert (target / "a").read_text() == "new"
    assert list(tmp_path.iterdir()) == [target]


def test_all_files_and_names_reach_the_disk_before_the_folder_is_renamed(tmp_path, monkeypatch):
    done, fsync, rename = [], os.fsync, Path.replace

    def sync(handle):
        done.append(str(Path(f"/proc/self/fd/{handle}").readlink()))
        fsync(handle)

    monkeypatch.setattr(os, "fsync", sync)
    monkeypatch.setattr(Path, "replace", lambda path, other: done.append("rename") or rename(path, other))
    with folders.replacing(tmp_path / "results") as aside:
        (aside / "inner").mkdir()
        (aside / "inner/a").write_text("a")
        write_csv(aside / "b.csv", [{"x": 1}])
    written = [str(tmp_path / "results.part" / name) for name in ("b.csv", "inner", "inner/a")]
    assert sorted(done[:3]) == written
    assert done[3:] == [str(tmp_path / "results.part"), "rename", str(tmp_path)]


def test_a_table_without_its_end_is_refused(tmp_path):
    write_csv(tmp_path / "a.csv", [{"x": 0.125}, {"x": 0.25}])
    text = (tmp_path / "a.csv").read_text()
    for end in range(len(text)):
        (tmp_path / "a.csv").write_text(text[:end])
        if not text[:end].endswith("\n"):
            with pytest.raises(ValueError, match="has no end"):
                read_csv(tmp_path / "a.csv")


@pytest.mark.parametrize("kind", ["definitions", "models", "attention"])
def test_results_of_variants_outside_the_study_are_kept_out_of_its_folders(kind, tmp_path, monkeypatch):
    monkeypatch.setattr(folders, "ROOT", tmp_path)
    other, own = (dataclasses.replace(params(), variant=load_variant(name)) for name in ("none", "after_shared"))
    elsewhere = folders.folder(other, kind)
    assert elsewhere.is_relative_to(tmp_path / "outputs")
    for study in (other, own):
        with folders.writing(study, kind) as folder:
            (folder / "a").write_text("a")
    (tmp_path / kind / "none").parent.mkdir(exist_ok=True)
    elsewhere.replace(tmp_path / kind / "none")  # as if it had been in the study
    with folders.writing(params(), "comparison"):
        pass
    assert [path.name for path in (tmp_path / kind).iterdir()] == ["after_shared"]
    assert folders.existing(other, kind) == elsewhere
    (tmp_path / kind / "luong").mkdir()
    (tmp_path / kind / "luong/params.json").write_text("damaged")
    with folders.writing(params(), "controls"):
        pass
    assert [path.name for path in (tmp_path / kind).iterdir()] == ["after_shared"]
    assert (elsewhere / "a").read_text() == "a"
