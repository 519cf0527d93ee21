"""The settings of the study: what params.yaml and the files of conf/ that it names say."""

import dataclasses
import hashlib
import json
from functools import cache
from typing import Any

from omegaconf import DictConfig, OmegaConf

from pipeline.settings.project import ROOT, UserError, names_in
from pipeline.settings.schema import Study, Task, Variant
from pipeline.settings.user_code import CONTENT, SOURCE, TARGET, content_hash, source_hash
from pipeline.settings.validation import validated


def load_variant(name: str) -> Variant:
    """Return a variant as its file in conf/variant/ describes it."""
    return validated(dict[str, Variant], OmegaConf.to_object(_load("variant", name)))["variant"]


@cache
def params() -> Study:
    """Return the settings in params.yaml, with those of the task that it names."""
    values = OmegaConf.merge(_load("task", task_name()), OmegaConf.load(ROOT / "params.yaml"))
    return validated(Study, OmegaConf.to_object(values))


def load_task(name: str) -> Task:
    """Return a task as its file in conf/task/ describes it."""
    values: Any = OmegaConf.to_container(_load("task", name))
    return dict(values["task"])


def task_options(task: Task) -> dict[str, Any]:
    """Return the options that a task gives its generator."""
    return {key: value for key, value in task.items() if key not in ("name", "kind", TARGET, SOURCE, CONTENT)}


def task_name() -> str:
    """Return the name of the task in params.yaml."""
    return str(OmegaConf.select(OmegaConf.load(ROOT / "params.yaml"), "task.name"))


def plain(value: Any) -> Any:
    """Return a value as JSON can hold it: without parameters that are null, with hashes of the user's code and files.

    These are the code that a `_target_` names, and the file at a task's `path`.
    """
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return plain(dataclasses.asdict(value))
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    if not isinstance(value, dict):
        return value
    hashes = {SOURCE: source_hash(value[TARGET]), CONTENT: content_hash(value.get("path"))} if TARGET in value else {}
    return {name: plain(item) for name, item in {**value, **hashes}.items() if item is not None}


def digest(values: Any) -> str:
    """Return a short hash of anything that JSON can hold: equal values have equal hashes, whatever their order."""
    return hashlib.sha256(json.dumps(values, sort_keys=True).encode()).hexdigest()[:12]


def _load(group: str, name: str) -> DictConfig:
    """Return group -> what the file of that name says, and its name."""
    if name not in names_in(group):
        raise UserError(f"{group} is {name}: it must be one of {', '.join(names_in(group))}.")
    loaded = OmegaConf.merge({group: {"name": name}}, {group: OmegaConf.load(ROOT / "conf" / group / f"{name}.yaml")})
    assert isinstance(loaded, DictConfig)
    return loaded
