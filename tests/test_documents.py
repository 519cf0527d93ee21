"""The documents agree with what is there: numbers, links, commands and names."""

import re
from importlib.util import find_spec
from pathlib import Path

import pytest
import yaml

from pipeline.report import markdown_tables, published, render, tables, terminal
from pipeline.results.file_formats import read_rows
from pipeline.settings.schema import Compare

ROOT = Path(__file__).resolve().parents[1]
DOCUMENTS = ["README.md", "CONTRIBUTING.md", *(f"docs/{path.name}" for path in sorted((ROOT / "docs").glob("*.md")))]
FENCED = re.compile(r"^```.*?^```", re.DOTALL | re.MULTILINE)


def read(name):
    return (ROOT / name).read_text(encoding="utf-8")


def table(name):
    return tables.read(ROOT / "comparison" / name)


def rows(name):
    return read_rows(ROOT / "comparison" / name)


def settings():
    return yaml.safe_load(read("params.yaml"))


def test_the_findings_state_the_numbers_of_the_comparison():
    runs, summary = table("runs.csv"), table("summary.csv")
    for expected in (
        markdown_tables.results_table(summary),
        markdown_tables.peaks_table(runs, settings()["data"]["key_step"]),
        published.published_table(summary),
        published.one_feature_table(table("controls.csv")),
        markdown_tables.verdicts_table(summary),
        markdown_tables.controls_table(table("controls.csv")),
        markdown_tables.learning_table(table("learning.csv")),
        render.answer(runs, table("effects.csv"), Compare(**settings()["compare"])),
    ):
        assert expected in read("docs/findings.md")
        assert expected in read("comparison/report.md")


def test_the_readme_sums_up_the_comparison():
    text = " ".join(read("README.md").split())
    runs, key_step = rows("runs.csv"), settings()["data"]["key_step"]
    late = [run for run in runs if run["peak_step"] != key_step]
    assert all(run["verdict"] != "not learned" for run in runs)
    assert {(run["placement"], run["peak_step"]) for run in late} == {("after", key_step + 1)}
    assert f"All {len(runs)} runs learned the task. In {len(runs) - len(late)} of them attention" in text
    placement, sharing = (
        markdown_tables.effect_row(table("effects.csv"), effect, "key_mass") for effect in ("placement", "sharing")
    )
    interval = f"95% interval {placement['low']:.3f} to {placement['high']:.3f}"
    assert f"puts {placement['iqm']:.3f} more of its weight on the planted step than before it ({interval}" in text
    assert f"Holm-corrected p = {placement['p_holm']:.2g})" in text
    assert f"puts {-sharing['iqm']:.3f} less there than shared, which is not significant" in text
    assert f"(p = {sharing['p_holm']:.2g})" in text
    assert placement["p_holm"] < 0.05 < sharing["p_holm"]
    uniform = [row["verdict"] for row in rows("controls.csv") if row["control"] == "frozen uniform"]
    assert "not learned" not in uniform
    assert len(uniform) == 10


def test_the_readme_shows_what_the_study_prints(capsys):
    terminal.show_summary(ROOT / "comparison", ["variant"])
    assert capsys.readouterr().out in read("README.md")


def test_the_published_figures_are_beside_what_is_found_here():
    assert published.figures_table(ROOT / "docs/results") in read("docs/experiments.md")


def test_a_key_at_the_first_step_is_what_the_documents_say_of_it():
    runs = [run for run in read_rows(ROOT / "docs/results/key_step/runs.csv") if run["data.key_step"] == 0]
    before, after = ([run for run in runs if run["placement"] == where] for where in ("before", "after"))
    assert len(before) == len(after) == 20
    assert all(run["accuracy"] >= 0.95 and run["verdict"] == "late-shifted" for run in after)
    assert {run["peak_step"] for run in after} == {4, 5, 6, 7, 8}
    learned = [run for run in before if run["verdict"] != "not learned"]
    assert len(learned) == 14
    assert {run["verdict"] for run in learned} == {"correct"}


def test_the_committed_study_found_what_the_article_claims():
    runs, summary = rows("runs.csv"), rows("summary.csv")
    assert len(runs) == 40
    assert min(run["accuracy"] for run in runs) >= 0.99
    assert {row["variant"]: row["peak_step"] for row in summary} == dict.fromkeys(
        ("before_shared", "before_unshared", "after_shared", "after_unshared"), 10
    )


@pytest.mark.parametrize("name", ["requirements.lock", "requirements-services.lock"])
def test_the_lock_names_hashes_and_no_address(name):
    lock = read(name)
    assert "--hash=sha256:" in lock
    assert not re.search(r"https?://|file:|--index|--find-links", lock)


def anchors(text):
    """Return the anchors that GitHub gives to the headings of a document."""
    headings = re.findall(r"^#+ (.+)$", FENCED.sub("", text), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("name", DOCUMENTS)
def test_links_lead_somewhere(name):
    for link in re.findall(r"\]\(([^)\s]+)\)", read(name)):
        if "://" not in link:
            path, _, anchor = link.partition("#")
            target = (ROOT / name).parent / path if path else ROOT / name
            assert target.exists(), link
            assert not anchor or anchor in anchors(target.read_text(encoding="utf-8")), link


def code(text):
    """Return the pieces of code in a document: the lines of its code blocks, and what is between backticks."""
    blocks = FENCED.findall(text)
    return [line for block in blocks for line in block.splitlines()] + re.findall(r"`([^`\n]+)`", FENCED.sub("", text))


@pytest.mark.parametrize("name", DOCUMENTS)
def test_commands_exist(name):
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


@pytest.mark.parametrize("name", DOCUMENTS)
def test_files_that_are_named_exist(name):
    for path in re.findall(r"(?<![\w./])(?:src|tests|conf|docs|\.ci|\.dvc/plots)/[\w./-]+\w", read(name)):
        assert (ROOT / path).exists() or path == "conf/variant/mine.yaml", path


def test_the_readme_is_short():
    assert len(read("README.md").splitlines()) <= 150


def test_the_rooms_in_contributing_are_those_of_the_source():
    rooms = re.findall(r"^\| `(\w+)/` \|", read("CONTRIBUTING.md"), re.MULTILINE)
    there = {path.parent.name for path in (ROOT / "src/pipeline").glob("*/__init__.py")}
    assert set(rooms) == there


def test_contributing_says_which_rooms_a_stage_depends_on():
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
