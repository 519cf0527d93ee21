"""The values of the study: what stands in params.yaml and in the files of conf/ that it names."""

import dataclasses
import hashlib
import json
from functools import cache
from typing import Any

from omegaconf import DictConfig, OmegaConf

from pipeline.settings.errors import UserError
from pipeline.settings.project import ROOT, names_in
from pipeline.settings.schema import Study, Task, Variant
from pipeline.settings.user_code import CONTENT, SOURCE, TARGET, content_hash, source_hash


def load_variant(name: str) -> Variant:
    """Return the variant as its file in conf/variant/ describes it."""
    variant = OmegaConf.to_object(OmegaConf.merge(Variant(name=name), _load("variant", name)))
    assert isinstance(variant, Variant)
    return variant


@cache
def params() -> Study:
    """Return the values of params.yaml, with those of the task that it names."""
    task, values = {"task": load_task(task_name())}, OmegaConf.load(ROOT / "params.yaml")
    study = OmegaConf.to_object(OmegaConf.merge(Study, task, values))
    assert isinstance(study, Study)
    return study


def load_task(name: str) -> Task:
    """Return the task as its file in conf/task/ describes it."""
    return {"name": name, **OmegaConf.to_container(_load("task", name))}  # type: ignore[dict-item]


def task_options(task: Task) -> dict[str, Any]:
    """Return the options that a task gives its generator."""
    return {key: value for key, value in task.items() if key not in _NOT_OPTIONS}


_NOT_OPTIONS = ("name", "kind", TARGET, SOURCE, CONTENT)


def task_name() -> str:
    """Return the name of the task in params.yaml."""
    return str(OmegaConf.select(OmegaConf.load(ROOT / "params.yaml"), "task.name"))


def plain(value: Any) -> Any:
    """Return a value as JSON can hold it: without what it leaves open, with hashes of what is the user's own.

    These are of the code that a `_target_` names, and of the file at a task's `path`.
    """
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return plain(dataclasses.asdict(value)) if isinstance(value, Variant) else dataclasses.asdict(value)
    if isinstance(value, list):
        return [plain(item) for item in value]
    if not isinstance(value, dict):
        return value
    own = {SOURCE: source_hash(value[TARGET]), CONTENT: content_hash(value.get("path"))} if TARGET in value else {}
    return {name: plain(item) for name, item in {**value, **own}.items() if item is not None}


def digest(values: Any) -> str:
    """Return a short hash of anything that JSON can hold: equal values, equal hash, whatever their order."""
    return hashlib.sha256(json.dumps(values, sort_keys=True).encode()).hexdigest()[:12]


def _load(group: str, name: str) -> DictConfig:
    if name not in names_in(group):
        raise UserError(f"{group} is {name}: it must be one of {', '.join(names_in(group))}.")
    loaded = OmegaConf.load(ROOT / "conf" / group / f"{name}.yaml")
    assert isinstance(loaded, DictConfig)
    return loaded
