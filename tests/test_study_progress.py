"""While DVC runs the study, a terminal shows which stage this is, and what those after it take at most."""

import json
import sys

import pytest

from pipeline.execution import study_progress

VARIANTS = ["mine", "other"]


@pytest.fixture
def run(tmp_path, monkeypatch, capsys):
    """Run a stage as DVC does, on a terminal or not, and return what is printed."""
    monkeypatch.setattr(study_progress, "ROOT", tmp_path)
    stages = {"dataset": {}, "train": {"matrix": {}}, "compare": {}}
    (tmp_path / "dvc.yaml").write_text(json.dumps({"stages": stages}))

    def run(stage, terminal=True, seconds=0):
        if stage is not None:
            monkeypatch.setenv("DVC_STAGE", stage)
        monkeypatch.setattr(study_progress, "_running", lambda: seconds)
        monkeypatch.setattr(sys.stdout, "isatty", lambda: terminal, raising=False)
        with study_progress.shown(VARIANTS):
            pass
        return capsys.readouterr().out

    return run


def test_the_rest_is_told_once_every_later_stage_has_run(run, tmp_path):
    assert run("dataset", seconds=5) == "== stage 1 of 4: dataset\n"
    assert run("train@mine", seconds=70) == "== stage 2 of 4: train@mine\n"
    assert run("train@other", seconds=110) == "== stage 3 of 4: train@other\n"
    assert run("compare", seconds=12.34) == "== stage 4 of 4: compare\n"
    assert run("train@other", seconds=100) == "== stage 3 of 4: train@other, then at most about 12 s\n"
    assert run("dataset", seconds=5) == "== stage 1 of 4: dataset, then at most about 3 min\n"  # 70 + 100 + 12.3
    (tmp_path / "outputs/durations.json").write_text("[1")
    assert run("dataset") == "== stage 1 of 4: dataset\n"


def test_nothing_is_printed_by_hand_or_where_no_one_reads_it(run, tmp_path):
    assert run(None) == ""
    assert not (tmp_path / "outputs").exists()
    assert run("dataset", terminal=False) == ""
    assert list(json.loads((tmp_path / "outputs/durations.json").read_text())) == ["dataset"]


def test_a_stage_that_fails_notes_nothing(run, tmp_path, monkeypatch):
    monkeypatch.setenv("DVC_STAGE", "dataset")
    with pytest.raises(ZeroDivisionError), study_progress.shown(VARIANTS):
        _ = 1 / 0
    assert not (tmp_path / "outputs").exists()
