"""From values to settings: a value that is not allowed gets one sentence, derived from the bounds in `schema`."""

import dataclasses
import json
from collections.abc import Iterable
from functools import reduce
from itertools import takewhile
from typing import Any, TypeVar

from pydantic import PydanticUserError, TypeAdapter, ValidationError

from pipeline.settings.project import UserError, names_in
from pipeline.settings.schema import CLASSIFICATION, REGRESSION, Config, Data, Variant
from pipeline.settings.user_code import TARGET

T = TypeVar("T")
UNKNOWN = ("unexpected_keyword_argument", "invalid_key")  # pydantic's errors for a key that is no parameter
NOUNS = {"integer": "a whole number", "number": "a finite number", "string": "a name", "object": "a section"}
NOUNS |= {"boolean": "true or false"}
LARGEST = 10**9  # number among the options of an attention layer
BOUNDS = {"minimum": "of at least", "exclusiveMinimum": "above", "maximum": "at most", "exclusiveMaximum": "below"}


def validated(schema: type[T], values: Any) -> T:
    """Return the values of the configuration, or of some of its sections, as a type of `schema`.

    A `UserError` if a value is missing, unknown or not allowed.
    """
    try:
        return TypeAdapter(schema).validate_python(values)
    except ValidationError as failure:
        error = min(failure.errors(), key=lambda error: error["type"] not in UNKNOWN)  # a misspelt key is missing, too
        named = takewhile(lambda part: isinstance(part, str) or error["type"] in UNKNOWN, error["loc"])
        path = [str(part) for part in named]  # without positions in a list
        name = ".".join(path)
        if error["type"] in UNKNOWN:
            raise UserError(unknown(name)) from failure
        if error["type"] == "missing":
            raise UserError(missing(name)) from failure
        inside = _within(path, values)
        value = reduce(lambda inner, part: inner[part], inside, values)
        name = ".".join(inside)
        raise UserError(refused(name, value, allowed(name))) from failure


def _within(path: list[str], values: Any) -> list[str]:
    """Return the part of a path that is in values: pydantic adds the type that it tried, where there are several."""
    found: list[str] = []
    for part in path:
        if not isinstance(values, dict) or part not in values:
            break
        found.append(part)
        values = values[part]
    return found


def missing(name: str) -> str:
    """Return the sentence for a parameter without a value."""
    return f"{name} has no value: give it one in params.yaml or on the command line."


def unknown(name: str) -> str:
    """Return the sentence for a name that the configuration does not contain."""
    section, _, key = name.rpartition(".")
    known = _json_schema(section).get("properties")
    if not known:
        group = section.partition(".")[0]
        files = f"the file of conf/{group}/ that was chosen" if names_in(group) else "params.yaml"
        return f"{name} is not a parameter: it is not in {files}."
    if key in known:
        return f"{name} has no value to replace: write +{name}=VALUE on the command line."
    return f"{name} is not a parameter: {section + ' has' if section else 'there are'} {', '.join(known)}."


def refused(name: str, value: Any, words: str) -> str:
    """Return the sentence for a value that a parameter cannot have."""
    unquoted = isinstance(value, str | float) and str(value).strip("-.0123456789")  # a text of digits is no number
    shown = value if unquoted else json.dumps(value, default=str, ensure_ascii=False)
    return f"{name} is {shown}: it must be {words}."


def allowed(name: str) -> str:
    """Return in words which values the schema allows a parameter."""
    return _words(_json_schema(name))


def _json_schema(name: str) -> dict[str, Any]:
    """Return the JSON schema of a parameter, empty if there is none; `nullable` says that null is allowed, too."""
    root = TypeAdapter(Config).json_schema()

    def inner(section: dict[str, Any], key: str) -> dict[str, Any]:
        node = _nullable(section.get("properties", {}).get(key, {}))
        return {**node, **root["$defs"][node["$ref"].rpartition("/")[2]]} if "$ref" in node else node

    return reduce(inner, name.split(".") if name else [], root)


def _nullable(node: dict[str, Any]) -> dict[str, Any]:
    kinds = node.get("anyOf", [])
    some = [kind for kind in kinds if kind.get("type") != "null"]
    if not kinds:
        return node
    kind = some[0] if len(some) == 1 else {"anyOf": some}
    return {**kind, "nullable": True} if len(some) < len(kinds) else kind


def check_argument(name: str, value: Any, annotation: Any) -> None:
    """Raise a `UserError` unless a value has the type that a function declares for its argument."""
    try:
        kind = TypeAdapter(annotation)
    except PydanticUserError:  # a type of the user's, which says nothing about values
        return
    try:
        kind.validate_python(value, strict=True)
    except ValidationError as failure:
        raise UserError(refused(name, value, _words(_nullable(kind.json_schema())))) from failure


def _words(node: dict[str, Any]) -> str:
    if "anyOf" in node:
        words = ", or ".join(_words(kind) for kind in node["anyOf"])
    elif "items" in node:
        many = "one or more different values" if "uniqueItems" in node else "values"
        words = f"a list of {many}, each {_words(node['items'])}"
    elif "enum" in node:
        words = f"one of {', '.join(node['enum'])}"
    elif "properties" in node:
        words = f"a section with {', '.join(node['properties'])}"
    else:
        bounds = [f"{word} {node[key]}" for key, word in BOUNDS.items() if key in node]
        words = f"{node.get('const') or NOUNS.get(node.get('type', ''), '')} {' and '.join(bounds)}".strip()
    return f"{words}, or null" if "nullable" in node else words


def check(config: Config, variants: Iterable[Variant]) -> None:
    """Raise a `UserError` for values that do not fit each other, and for code that tasks or variants may not name."""
    data, batch, null, task = config.data, config.train.batch_size, config.controls.null_key_samples, config.task

    def enough(data: Data) -> bool:
        return data.train_samples >= batch and data.validation_samples >= 1

    share = f"{data.validation_share} of {data.samples} samples"
    least = f"a batch of {batch} to train on and one sample held out"
    _require(batch <= data.samples, "train.batch_size", batch, f"at most data.samples, {data.samples}")
    _require(enough(data), "data.validation_share", share, f"a share that leaves {least}")
    few = dataclasses.replace(data, samples=null)
    _require(enough(few), "controls.null_key_samples", null, f"enough for {least}")
    kind, path = task.get("kind"), task.get("path")
    _require(kind in (CLASSIFICATION, REGRESSION), "task.kind", kind, f"{CLASSIFICATION} or {REGRESSION}")
    weights, target = config.train.class_weights, config.explain.target
    for name, value in (("train.class_weights", weights), ("explain.target", target)):
        _require(value is None or kind == CLASSIFICATION, name, value, "null in a regression")
    _require(path is None or isinstance(path, str), "task.path", path, "the path of a file")
    _check_target("task", task, config.packages)
    for variant in variants:
        _check_variant(variant, config.packages)


def explained_class(target: str | None, classes: tuple[str, ...]) -> int | None:
    """Return the label of the class that `explain.target` names, None if it names none.

    `classes` are the names of the labels, by default "0" and "1". A `UserError` if the class is none of them.
    """
    known = classes or ("0", "1")
    _require(target is None or target in known, "explain.target", target, f"null, or one of {', '.join(known)}")
    return None if target is None else known.index(target)


def _check_variant(variant: Variant, packages: list[str]) -> None:
    sharing, attention, placement = variant.sharing, variant.attention, variant.placement
    if attention is None:
        _require(sharing is not None, "variant.sharing", sharing, "shared or unshared")
    else:
        _require(sharing is None, "variant.sharing", sharing, "left out beside variant.attention")
        _check_target("variant.attention", attention, packages)
        for name, value in attention.items():
            fits = all(-LARGEST <= number <= LARGEST for number in _numbers(value))  # written so that NaN does not fit
            _require(fits, f"variant.attention.{name}", value, f"without numbers below {-LARGEST} or above {LARGEST}")
    fits = variant.reader is None or placement == "before"
    _require(fits, "variant.placement", placement, "before, where variant.reader is dense")


def _check_target(section: str, values: dict[str, Any], packages: list[str]) -> None:
    """Keep a file that others send from running code of any package."""
    target = values.get(TARGET)
    words = f"a function or class of {', '.join(packages)} (or of what `packages` in conf/config.yaml adds)"
    _require(isinstance(target, str) and target.split(".")[0] in packages, f"{section}.{TARGET}", target, words)


def _numbers(value: Any) -> list[int | float]:
    """Return the numbers in a value of the configuration."""
    if isinstance(value, dict | list):
        return [
            number for inner in (value.values() if isinstance(value, dict) else value) for number in _numbers(inner)
        ]
    return [value] if isinstance(value, int | float) else []


def _require(fits: bool, name: str, value: Any, words: str) -> None:
    if not fits:
        raise UserError(refused(name, value, words))
