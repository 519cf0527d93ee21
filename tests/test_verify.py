"""The certificate: results compared with those committed, and where they were made."""

import json
import platform
import re
import shutil
import subprocess
from importlib.metadata import PackageNotFoundError

import numpy as np
import pytest
from conftest import REPOSITORY, error_of, kept

from pipeline.execution import machine
from pipeline.results import made_on

pytestmark = pytest.mark.slow
AFTER = "models/after_unshared"
EMPTY = "4b825dc642cb6eb9a060e54bf8d69288fbee4904"  # git's hash of a tree without files
MISTAKES = {
    "against=nix": "against is nix: it must be a commit, branch or tag of the project's git repository.",
    "revision=nix": "revision is nix: it must be a commit, branch or tag of the project's git repository.",
    "against=HEAD~1": "quotes, such as \"name='value'\".",
    "level=all": "level is all: it must be one of bytes, digits, verdicts, conclusions.",
    "digits=10": "digits is 10: it must be a whole number of at least 1 and at most 9.",
    "certificate=conf": "certificate is conf: it cannot be written (Is a directory).",
}

SERVE = """
import json, sys
from contextlib import redirect_stderr, redirect_stdout
from io import StringIO
from pipeline.verify import main

for line in sys.stdin:
    sys.argv, out, err, code = ["verify", *json.loads(line)], StringIO(), StringIO(), 0
    with redirect_stdout(out), redirect_stderr(err):
        try:
            main()
        except SystemExit as end:
            code = end.code
    print(json.dumps([code, out.getvalue(), err.getvalue()]), flush=True)
"""


@pytest.fixture(scope="module")
def verify(project):
    """Run `python -m pipeline.verify` in the project, all in one process: a start takes longer than a comparison."""
    with project.started("python", "-c", SERVE, stdin=subprocess.PIPE, stderr=None) as process:

        def run(*words, code=0):
            print(json.dumps(words), file=process.stdin, flush=True)
            returned, out, err = json.loads(process.stdout.readline())
            assert returned == code, f"{words} ended with {returned}\n{out}\n{err}"
            return subprocess.CompletedProcess(words, returned, out, err)

        yield run


@pytest.fixture
def changing(project):
    """The project, whose commits and files in git are restored after the test."""
    head = project.run("git", "rev-parse", "HEAD").stdout.strip()
    yield project
    project.run("git", "reset", "-q", "--hard", head)


def commit(project):
    project.run("git", "add", "-A")
    project.run("git", "commit", "-qm", "A change")


def alter_weights(project):
    """Change a weight of seed 7 by a half."""
    path = project.root / AFTER / "weights/seed-7.npz"
    with np.load(path) as arrays:
        changed = dict(arrays)
    next(iter(changed.values())).flat[0] += 0.5
    np.savez(path, **changed)


def certificate(project, name="outputs/certificate.json"):
    return json.loads(project.read(name))


def test_the_results_of_the_commit_are_the_same_bytes(project, verify):
    first, *rest = verify().stdout.splitlines()
    assert first.startswith("The same bytes in all 17 outputs; ")
    assert rest == ["The certificate is outputs/certificate.json."]
    written = certificate(project)
    assert (written["level"], written["agreement"]) == ("bytes", first)
    assert not re.search(rf"{project.root}|\b{platform.node()}\b|\d{{4}}-\d\d-\d\d", json.dumps(written))
    assert project.run("git", "status", "--porcelain").stdout == ""


def test_a_file_that_was_changed_is_found_although_no_lock_says_so(project, verify):
    with kept(project.root / AFTER):
        alter_weights(project)
        out = verify(code=1).stdout
        assert out.startswith("The same numbers in all tables, the same verdicts, the same conclusions; other bytes in")
        assert f"1 of 17 outputs ({AFTER})" in out
        assert re.search(rf"{AFTER}: weights/seed-7.npz up to 0.5 in \S+; not what `dvc repro` wrote, according", out)
        assert out.endswith("level is bytes: that is not reached.\n")
        assert certificate(project)["level"] == "digits"
        verify("level=digits")
        with kept(project.root / ".dvc/cache"):
            shutil.rmtree(project.root / ".dvc/cache")
            assert f"{AFTER}: its old files are not in DVC's cache" in verify(code=1).stdout


def test_make_repro_ends_with_the_first_line_whatever_it_says(project):
    (recipe,) = re.findall(r"^\tdvc repro\n\t@(.*)$", (REPOSITORY / "Makefile").read_text("utf-8"), re.MULTILINE)
    with kept(project.root / AFTER):
        alter_weights(project)
        out = project.run("sh", "-c", recipe).stdout
    assert re.fullmatch("The same numbers in all tables, .*\n", out)


def test_two_revisions_are_compared_whatever_is_in_the_working_folder(changing, verify):
    runs = changing.read("comparison/runs.csv")
    number = str(changing.rows("comparison/runs.csv")[-1]["key_mass"])
    changing.write("comparison/runs.csv", runs.replace(number, "0.9").replace(",not learned,", ",silent failure,", 1))
    commit(changing)
    changing.write("comparison/runs.csv", "")
    words = ("revision=HEAD", "against='HEAD~1'")
    out = verify(*words, code=1).stdout
    verify(*words, "level=conclusions")
    assert "1 of 22 verdicts differ (before_shared, seed 0: silent failure, not learned at HEAD~1" in out
    assert f"key_mass of after_unshared, seed 7 is 0.9, {number} at HEAD~1" in out
    assert "(comparison)" in out
    assert error_of(verify) == "error: comparison of the working folder is damaged: run `make repro`.\n"


def test_other_settings_are_told_and_nothing_is_compared(changing, verify):
    changing.replace("comparison/params.json", '"epochs": 1', '"epochs": 2')
    out = verify("level=conclusions", code=1).stdout
    assert re.match(r"Not compared: train\.epochs is 2, 1 at HEAD \(\w{7}\)\.\n", out)


def test_a_variant_that_left_the_study_is_not_missed(changing, verify):
    lock = changing.read("dvc.lock")
    changing.write("dvc.lock", lock + "  train@luong: {outs: [{path: models/luong, md5: 0.dir}]}\n")
    assert verify().stdout.startswith("The same bytes in all 17 outputs")


def test_it_is_said_where_results_were_made_as_far_as_it_was_noted(changing, verify):
    here, nowhere = machine.description()["processor"], "an unrecorded processor"
    shutil.rmtree(changing.root / "outputs", ignore_errors=True)
    assert f"; both were made on {nowhere}." in verify().stdout
    changing.stage("dataset")
    committed = "docs/certificate.json"
    out = verify(f"certificate={committed}").stdout
    assert re.search(rf"was made on {nowhere} and {re.escape(here)}, HEAD \(\w+\) on {nowhere}\.", out)
    outputs = certificate(changing, committed)["results"]["outputs"]
    made_here = {name for name, output in outputs.items() if output["machine"]}
    assert made_here == {"data/train", "data/validation", "data/probe"}
    commit(changing)
    notes = changing.root / "outputs/machines"
    for note in notes.iterdir():
        note.write_text(note.read_text("utf-8").replace(here, "Another"), "utf-8")
    out = verify().stdout
    assert f"the working folder was made on {nowhere} and Another, HEAD" in out
    assert f") on {nowhere} and {here}." in out
    for note in notes.iterdir():
        note.write_text(note.read_text("utf-8")[:20], "utf-8")  # as after the power failed
    verify()
    shutil.rmtree(notes)  # as after `dvc pull` in a clone
    assert f"; both were made on {nowhere} and {here}." in verify().stdout
    with kept(changing.root / "data/probe"):
        changing.write("data/probe/sha256.txt", "")  # now the certificate speaks of another result
        verify(code=1)
    stated = {side: certificate(changing)[side]["outputs"]["data/probe"] for side in ("results", "compared with")}
    assert [output["machine"] for output in stated.values()] == [None, "machine 1"]
    changing.write(committed, "[]")
    assert "docs/certificate.json is damaged: remove it, or write it again: " in error_of(verify)


@pytest.mark.parametrize("words", MISTAKES)
def test_a_mistake_is_one_sentence(verify, words):
    assert MISTAKES[words] in error_of(verify, words)


def test_what_is_missing_is_named(project, verify):
    commit_of_nothing = project.run("git", "commit-tree", EMPTY, "-m", "nothing").stdout.strip()
    sentence = f"against is {commit_of_nothing}, which has no results: run `make repro`, and commit what it writes."
    assert sentence in error_of(verify, f"against={commit_of_nothing}")
    with kept(project.root / "controls"):
        shutil.rmtree(project.root / "controls")
        assert "controls does not exist yet: run `make repro`, or `dvc pull`" in error_of(verify)
    with kept(project.root / "dvc.lock"):
        (project.root / "dvc.lock").unlink()
        assert "the working folder has no results: run `make repro`" in error_of(verify)
    git, away = project.root / ".git", project.root / "git"
    git.rename(away)
    try:
        assert "against is HEAD: it must be a commit" in error_of(verify)
    finally:
        away.rename(git)


def test_a_description_of_the_machine_says_what_results_may_depend_on_but_names_nobody(monkeypatch):
    monkeypatch.setenv("XLA_FLAGS", "--xla_dump_to=/home/me --xla_cpu_max_isa=AVX2")
    found = machine.description.__wrapped__()
    assert found["XLA_FLAGS"] == "--xla_cpu_max_isa=AVX2"
    assert {"processor", "caches", "cores", "system", "python", "tensorflow", "keras", "XLA_FLAGS"} <= set(found)
    assert all(found[name] for name in ("processor", "instructions", "caches", "cores", "system"))


def test_a_build_for_processors_alone_has_the_version_of_the_package(monkeypatch):
    def version(name):
        if name == "tensorflow":
            raise PackageNotFoundError(name)
        return f"{name} 2.21.0"

    monkeypatch.setattr(made_on, "version", version)
    assert made_on.versions()["tensorflow"] == "tensorflow-cpu 2.21.0"
    assert made_on.versions()["keras"] == "keras 2.21.0"
