"""What the pages of MLflow say about the experiment and about a run, in Markdown."""

import json
import re
import shlex
from contextlib import suppress
from itertools import dropwhile, islice, takewhile
from typing import Any

from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException
from yaml import YAMLError

from pipeline.settings.project import ROOT
from pipeline.settings.study import load_task, load_variant, plain, task_options
from pipeline.settings.user_code import CONTENT, SOURCE
from pipeline.tracking import provenance

NOTE = "mlflow.note.content"  # tag of an experiment or a run: its description
LONGEST = {"run": 8000, "experiment": 20_000}  # characters that MLflow takes
SECTIONS = ("data", "model", "train", "probe", "explain")
SHARING = {"shared": "averaged over the features", "unshared": "each feature with weights of its own"}
DATA_ONLY = ("task", "data", "probe")  # sections that the samples depend on
Values = dict[str, Any]


def of_experiment(report: str, links: dict[str, str]) -> str:
    """Return the answer, the table and how to read it, in the words of a report, and links to the views.

    Args:
        report: the text of report.md.
        links: title -> address of each view.
    """
    title, *blocks = report.split("\n\n")
    answer = takewhile(lambda block: not block.startswith("#"), blocks)
    table = dropwhile(lambda block: not block.startswith("|"), blocks)
    parts = [f"**{title.lstrip('# ')}**", *answer, *islice(table, 2)]
    if links:
        parts.append(f"Views: {', '.join(f'[{name}]({address})' for name, address in links.items())}.")
    return _fitting("\n\n".join(part.strip() for part in parts), "experiment")


def of_run(values: Values, seed: int, commit: str) -> str:
    """Return what the run of a seed is, and the commands that make it again."""
    variant, task = values["variant"], values["task"]["name"]
    how = SHARING.get(variant.get("sharing", ""), "")
    what = f"Attention {variant['placement']} the recurrent layer{how and f', {how}'} (variant `{variant['name']}`)"
    trained = f"{what}, trained with seed {seed} on the task `{task}`."
    return _fitting(f"{trained}\n\n{_again(commands(values, seed, commit), commit)}".strip(), "run")


def of_control(control: str, variant: str, seed: int, commit: str, of_study: bool) -> str:
    """Return what the run of a control is and, if it is the study's, the command that makes all controls again."""
    what = f"A control, no run of the study: *{control}*, made from variant `{variant}` and trained with seed {seed}."
    return _fitting(f"{what}\n\n{_again(['dvc repro controls'] if of_study else [], commit)}".strip(), "run")


def with_verdict(note: str, verdict: str) -> str:
    """Return the description of a run with its verdict in place of an earlier one; another text as it is."""
    own = re.compile(r"(, trained with seed \d+ on the task `[^`]*`\.)( Verdict: \*\*[^*]*\*\*\.)?")
    return own.sub(rf"\1 Verdict: **{verdict}**.", note, count=1)


def of_comparison(commit: str) -> str:
    """Return what the run of a comparison is, and the commands that make it again."""
    what = "The comparison of all variants: tables, figures and `report.html` are among the artifacts."
    return f"{what}\n\n{_again(['dvc repro'], commit)}"


def of_sweep(command: str, commit: str) -> str:
    """Return what the run of a sweep is, and the command that makes it again."""
    what = "A sweep: the tables and figures of all its combinations are among the artifacts."
    return _fitting(f"{what}\n\n{_again([command], commit)}", "run")


def commands(values: Values, seed: int, commit: str) -> list[str]:
    """Return the commands that make a seed's result again; none if the files that define it cannot be used.

    `values` are what the result was made from, and `commit` is the one whose params.yaml the words are added to.
    """
    name = values["variant"]["name"]
    try:
        params = _params(commit)
        words = setting_words(values, params)
    except Exception:  # whatever is wrong with a user's files: a run is logged without these commands, too
        return []
    if not words and name in params.get("variants", ()) and seed in params.get("seeds", ()):
        return [f"dvc repro analyze@{name}"]
    chosen = [f"+variant={name}", f"seeds='[{seed}]'", *words]
    data = [word for word in words if re.split(r"[.=]", word.lstrip("'"))[0] in DATA_ONLY]
    stages = {"dataset": data, "train": chosen, "analyze": chosen}
    return [" ".join(["python -m", f"pipeline.{stage}", *added]) for stage, added in stages.items()]


def setting_words(values: Values, params: Values) -> list[str]:
    """Return the words of a command line for the values that are not those of params.yaml and conf/."""
    name = values["task"]["name"]
    task = params.get("task", {})
    words = [] if name == task.get("name") else [f"task={name}"]
    defined = task_options(load_task(name)) | {k: v for k, v in task.items() if k != "name"}
    words += _words("task", task_options(values["task"]), plain(defined))
    words += _words("variant", values["variant"], plain(load_variant(values["variant"]["name"])))
    for section in SECTIONS:
        if section in values:
            words += _words(section, values[section], params.get(section, {}))
    return words


def _params(commit: str) -> Values:
    """Return params.yaml as of a commit; as it is if that is not known."""
    text = provenance.committed(commit, "params.yaml") if commit != provenance.UNKNOWN else ""
    with suppress(YAMLError, OmegaConfBaseException, ValueError):
        loaded: Any = OmegaConf.to_container(OmegaConf.create(text))
        if text and isinstance(loaded, dict):
            return loaded
    current: Any = OmegaConf.to_container(OmegaConf.load(ROOT / "params.yaml"))
    return dict(current)


def _words(name: str, found: Any, defined: Any) -> list[str]:
    """Return words that set what differs from what is defined, in a section and those inside of it."""
    if isinstance(found, dict) and isinstance(defined, dict):
        keys = [key for key in {**defined, **found} if key not in (SOURCE, CONTENT)]
        return [word for key in keys for word in _words(f"{name}.{key}", found.get(key), defined.get(key))]
    return [] if found == defined else [shlex.quote(f"{name}={_as_word(found)}")]


def _as_word(value: Any) -> str:
    """Return a value as Hydra reads it on the command line."""
    plain_text = isinstance(value, str) and re.fullmatch(r"[\w./-]+", value)
    return value if plain_text else f"'{value}'" if isinstance(value, str) else json.dumps(value)


def _again(lines: list[str], commit: str) -> str:
    if not lines:
        return ""
    known = [] if commit == provenance.UNKNOWN else [f"git checkout {commit}"]
    is_changed = commit == provenance.git_commit() != provenance.UNKNOWN and provenance.has_changes("src", "conf")
    changed = " (src/ or conf/ had changes that are not in the commit)" if is_changed else ""
    return "\n".join([f"To make it again{changed}:", "", "```console", *known, *lines, "```"])


def _fitting(text: str, kind: str) -> str:
    return text if len(text) <= LONGEST[kind] else f"{text[: LONGEST[kind] - 2]} …"
