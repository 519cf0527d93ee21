"""The documents agree with what is there: numbers, links, commands and names."""

import os
import re
import shutil
import subprocess
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path

import pytest
import yaml

from pipeline.report import (
    control_tables,
    effects,
    markdown_tables,
    place_tables,
    published,
    sentences,
    tables,
    terminal,
)
from pipeline.results.file_formats import read_rows
from pipeline.settings.schema import Compare
from pipeline.tracking import provenance

ROOT = Path(__file__).resolve().parents[1]
DOCUMENTS = ["README.md", "CONTRIBUTING.md", *(f"docs/{path.name}" for path in sorted((ROOT / "docs").glob("*.md")))]
each_document = pytest.mark.parametrize("name", DOCUMENTS)
FENCED = re.compile(r"^```.*?^```", re.DOTALL | re.MULTILINE)


def read(name):
    return (ROOT / name).read_text(encoding="utf-8")


def table(name):
    return tables.read(ROOT / f"comparison/{name}.csv")


def rows(name):
    return read_rows(ROOT / f"comparison/{name}.csv")


SETTINGS = yaml.safe_load(read("params.yaml"))
KEY_STEP = SETTINGS["data"]["key_step"]


def test_the_findings_state_the_numbers_of_the_comparison():
    runs, summary, controls = table("runs"), table("summary"), table("controls")
    places = table("places")
    expected = [
        *(make(summary) for make in (markdown_tables.results_table, published.published_table)),
        *(make(controls) for make in (published.one_feature_table, markdown_tables.controls_table)),
        markdown_tables.peaks_table(runs, KEY_STEP),
        markdown_tables.verdicts_table(summary),
        markdown_tables.effects_table(table("effects"), "primary"),
        markdown_tables.learning_table(table("learning")),
        *sentences.order_of_curves(table("learning"), runs),
        control_tables.coding_table(table("coding")),
        sentences.coding(runs, controls),
        control_tables.samples_table(table("samples")),
        place_tables.interventions_table(summary),
        place_tables.late_table(place_tables.late(places, [KEY_STEP])),
        sentences.late_peaks(places, KEY_STEP),
        "\n".join(read("comparison/report.md").splitlines()[2:5]),  # the answer
    ]
    for name in ("docs/findings.md", "comparison/report.md"):
        for words in expected:
            assert words in read(name), f"{name}: {words}"


def test_the_readme_sums_up_the_comparison():
    text = " ".join(read("README.md").split())
    runs, controls, learned = table("runs"), table("controls"), lambda part: part["verdict"] != "not learned"
    assert len(runs) == 40
    assert learned(runs).all()
    correct = (runs["verdict"] == "correct").groupby(runs["placement"]).sum()
    late = runs[runs["verdict"] == "late-shifted"]
    assert len(late) + correct.sum() == 40
    assert set(late["peak_step"]) == {KEY_STEP + 1}
    assert f"All 40 runs learned the task, and in {correct.sum()} of them attention finds the planted step" in text
    placement, *unsharing = (
        markdown_tables.effect_row(table("effects"), effect, "key_mass")
        for effect in ("placement", "unsharing before", "unsharing after")
    )
    interval = f"95% interval {placement['low']:.3f} to {placement['high']:.3f}"
    assert f"puts {placement['iqm']:.3f} more of its weight on the planted step than before it ({interval}" in text
    assert f"corrected p = {placement['p_holm']:.2g})" in text
    assert placement["p_holm"] < 0.05 < min(row["p_holm"] for row in unsharing)
    own = effects.estimate(tables.read(ROOT / "docs/results/own_data/runs.csv"), Compare(**SETTINGS["compare"]))
    after = markdown_tables.effect_row(own, "unsharing after", "key_mass")
    assert f"unshared attention puts {-after['iqm']:.3f} less on it (corrected p = {after['p_holm']:.2g}, own" in text
    recoded = controls[(controls["control"] == "other coding") & (controls["placement"] == "before")]
    assert f"in {(recoded['verdict'] == 'correct').sum()} of {len(recoded)} control runs before the LSTM" in text
    assert recoded["hit_rate"].mean() == pytest.approx(0.5, abs=0.05)
    without = controls[controls["control"].isin(["frozen uniform", "no attention"])]
    many = f"{learned(without).sum()} of {len(without)} control runs"
    assert f"{many} with uniform or no attention learn the task" in text
    averted = tables.read(ROOT / "docs/results/averted/runs.csv")
    assert len(averted) == 20
    assert learned(averted).all()
    assert averted["key_mass"].max() < 0.02


def test_what_is_printed_and_published_stands_in_the_documents(capsys):
    terminal.show_summary(ROOT / "comparison", ["variant"])
    assert capsys.readouterr().out in read("README.md")
    assert len(read("README.md").splitlines()) <= 150
    assert published.figures_table(ROOT / "docs/results") in read("docs/experiments.md")


def test_the_experiments_state_the_tables_of_their_results():
    text = read("docs/experiments.md")
    for name in ("own_data", "coding", "averted"):
        assert read(f"docs/results/{name}/summary.md") in text
    own = effects.estimate(tables.read(ROOT / "docs/results/own_data/runs.csv"), Compare(**SETTINGS["compare"]))
    for name in ("docs/experiments.md", "docs/findings.md"):
        assert markdown_tables.effects_table(own, "primary") in read(name)
    fixed = tables.read(ROOT / "docs/results/one_step/summary.csv")
    learned = fixed[fixed["not learned"] == 0]
    assert set(fixed[fixed["not learned"] > 0]["not learned"]) == {3}  # all three seeds, or none
    steps = {placement: list(rows["variant.attention.step"]) for placement, rows in learned.groupby("placement")}
    assert steps == {"before": [KEY_STEP], "after": list(range(KEY_STEP, 20))}
    averted = tables.read(ROOT / "docs/results/averted/runs.csv")
    assert averted[averted["placement"] == "before"]["mean_attention_score"].max() < 0.6


def test_which_attention_is_right():
    text = read("docs/experiments.md")
    for table in read("docs/results/which_attention/summary.md").split("\n\n"):
        assert table in text
    found = tables.read(ROOT / "docs/results/which_attention/summary.csv")
    found["learned"] = found["seeds"] - found["not learned"]
    fixed = found["task"].isin(["planted_key", "redundant_keys", "xor_keys"])
    of_positions = found["variant"].isin(["before_unshared", "after_unshared", "dense"])
    parts = {
        "all": found,
        "fixed, by position": found[fixed & of_positions],
        "fixed, others": found[fixed & ~of_positions],
        "moving, two": found[~fixed & found["variant"].isin(["bahdanau", "self_attention"])],
        "moving, after": found[~fixed & (found["variant"] == "after_unshared")],
    }
    assert {name: tuple(part[["seeds", "learned", "correct"]].sum()) for name, part in parts.items()} == {
        "all": (420, 387, 235),
        "fixed, by position": (90, 90, 88),
        "fixed, others": (120, 118, 24),
        "moving, two": (60, 60, 60),
        "moving, after": (30, 30, 0),
    }
    before = found[found["variant"] == "before_unshared"].set_index("task")[["learned", "correct"]]
    assert [tuple(before.loc[task]) for task in ("moving_key", "find_max")] == [(10, 10), (10, 0)]


def test_a_key_at_the_first_step_is_what_the_documents_say_of_it():
    assert read("docs/results/key_step/summary.md").split("\n\n")[0] in read("docs/experiments.md")
    runs = tables.read(ROOT / "docs/results/key_step/runs.csv")
    before, after = (runs[(runs["data.key_step"] == 0) & (runs["placement"] == where)] for where in ("before", "after"))
    assert list(after["verdict"]) == ["late-shifted"] * 20
    assert after["peak_step"].between(4, 8).sum() == 19
    assert after["readout_at_peak"].min() == 1
    assert [len(before), (before["verdict"] != "not learned").sum(), (before["verdict"] == "correct").sum()] == [
        20,
        14,
        11,
    ]


def test_the_locks_name_hashes_and_no_address():
    for lock in map(read, ("requirements.lock", "requirements-services.lock")):
        assert "--hash=sha256:" in lock
        assert not re.search(r"https?://|file:|--index|--find-links", lock)


def anchors(text):
    """Return the anchors that GitHub gives to headings."""
    headings = re.findall(r"^#+ (.+)$", FENCED.sub("", text), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@each_document
def test_links_lead_somewhere(name):
    for link in re.findall(r"\]\(([^)\s]+)\)", read(name)):
        if "://" not in link:
            path, _, anchor = link.partition("#")
            target = (ROOT / name).parent / path if path else ROOT / name
            assert target.exists(), link
            assert not anchor or anchor in anchors(target.read_text(encoding="utf-8")), link


def code(text):
    """Return the lines of the code blocks in a document, and what is between backticks."""
    return "\n".join(FENCED.findall(text)).splitlines() + re.findall(r"`([^`\n]+)`", FENCED.sub("", text))


@each_document
def test_commands_and_files_exist(name):
    text = read(name)
    targets = set(re.findall(r"^([a-z-]+):", read("Makefile"), re.MULTILINE))
    for words in filter(None, (re.match(r"make((?: [a-z][a-z-]*)+)", piece) for piece in code(text))):
        assert set(words[1].split()) <= targets
    for stage in re.findall(r"\bpipeline\.([a-z_]+)\b(?!\.)", text):
        assert find_spec(f"pipeline.{stage}"), stage
    for group in ("variant", "task", "experiment", "tracking"):
        chosen = re.findall(rf"(?<![\w.]){group}=([a-z][a-z_,]*)", text)
        known = {path.stem for path in (ROOT / "conf" / group).glob("*.yaml")} | {"mine"}  # docs/your-attention.md
        assert {one for words in chosen for one in words.split(",")} <= known
    for path in re.findall(r"(?<![\w./])(?:src|tests|conf|docs|\.ci|\.dvc/plots)/[\w./-]+\w", text):
        assert (ROOT / path).exists() or path == "conf/variant/mine.yaml", path


def test_contributing_says_which_rooms_there_are_and_which_a_stage_depends_on():
    rooms = re.findall(r"^\| `(\w+)/` \|", read("CONTRIBUTING.md"), re.MULTILINE)
    assert set(rooms) == {path.parent.name for path in (ROOT / "src/pipeline").glob("*/__init__.py")}
    stages = yaml.safe_load(read("dvc.yaml"))["stages"]
    rows = re.findall(r"^\| (`\w+/`.*) \| (all|`\w+`(?:, `\w+`)*) \|$", read("CONTRIBUTING.md"), re.MULTILINE)
    stated = {room: re.findall(r"\w+", named) for rooms, named in rows for room in re.findall(r"`(\w+)/`", rooms)}
    depends = {name: [stage for stage in stages if f"src/pipeline/{name}" in stages[stage]["deps"]] for name in stated}
    assert {name: list(stages) if named == ["all"] else named for name, named in stated.items()} == depends
    assert {room for room, named in depends.items() if named} == {
        Path(dep).name for stage in stages.values() for dep in stage["deps"] if re.fullmatch(r"src/pipeline/\w+", dep)
    }


def test_what_others_run_is_the_makefile():
    job = yaml.safe_load(read(".github/workflows/ci.yml"))["jobs"]["ci"]
    assert [step["run"] for step in job["steps"] if "run" in step] == ["bash .ci/run"]
    (hooks,) = (repo["hooks"] for repo in yaml.safe_load(read(".pre-commit-config.yaml"))["repos"])
    assert [hook["entry"] for hook in hooks] == ["make lint"]


def test_without_git_a_sentence_names_the_way_out_and_stages_know_no_commit(tmp_path, monkeypatch):
    for name in ("Makefile", "requirements.lock", "pyproject.toml"):
        shutil.copy(ROOT / name, tmp_path / name)
    (tmp_path / ".venv").mkdir()
    (tmp_path / ".venv/ready").touch()
    outside = os.environ | {"GIT_CEILING_DIRECTORIES": str(tmp_path.parent)}
    made = subprocess.run(["make", "repro"], cwd=tmp_path, env=outside, capture_output=True, text=True, check=False)
    assert made.returncode
    assert "error: DVC needs a git repository here: install git and run `git init`." in made.stderr
    monkeypatch.setenv("PATH", "")
    provenance.git_commit.cache_clear()
    assert provenance.git_commit() == "none"
    provenance.git_commit.cache_clear()


def test_a_light_environment_has_all_packages_of_the_lock_but_tensorflow(tmp_path):
    made = subprocess.run(
        ["make", "-n", "-W", "pyproject.toml", "LIGHT=1", "PYTHON=true", ".venv/ready"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    recipe = next(line for line in made.stdout.splitlines() if "> .venv/without-tensorflow.txt" in line)
    (tmp_path / ".venv").mkdir()
    shutil.copy(ROOT / "requirements.lock", tmp_path)
    subprocess.run(["sh", "-ec", recipe], cwd=tmp_path, check=True)
    left, all_of_them = (
        re.findall(r"^[a-z0-9].*", (tmp_path / name).read_text(encoding="utf-8"), re.MULTILINE)
        for name in (".venv/without-tensorflow.txt", "requirements.lock")
    )
    (removed,) = set(all_of_them) - set(left)
    assert f"tensorflow=={version('tensorflow')} \\" == removed
    assert len(left) == len(all_of_them) - 1
