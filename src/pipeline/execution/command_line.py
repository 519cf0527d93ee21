"""The command line of the stages: Hydra composes the values, and a mistake gets one sentence.

Only this module knows Hydra.
"""

import dataclasses
import os
import re
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import wraps
from typing import Any

import hydra
from hydra.core.config_store import ConfigStore
from hydra.core.hydra_config import HydraConfig
from hydra.errors import HydraException, MissingConfigException, OverrideParseException
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException
from yaml import YAMLError

from pipeline.execution import config_guard, signals
from pipeline.settings import study
from pipeline.settings.errors import UserError
from pipeline.settings.project import ROOT, names_in
from pipeline.settings.ranges import check
from pipeline.settings.schema import Config, Variant
from pipeline.tasks import lookup

ConfigStore.instance().store(name="schema", node=Config)
OmegaConf.register_new_resolver("task_of_params", study.task_name)  # for the list of defaults in conf/config.yaml


def command(stage: Callable[[Config], None]) -> Callable[[], None]:
    """Turn a stage into a program: values from conf/, params.yaml and the command line, checked before it starts.

    A user's mistake ends it with one sentence on standard error and exit code 1, Ctrl-C with 130; with
    HYDRA_FULL_ERROR=1 set, a mistake shows its traceback.
    """

    @wraps(stage)
    def task(cfg: DictConfig) -> None:
        with errors_reported():
            stage(_typed(cfg))

    def main() -> None:
        signals.listen()
        os.environ["PROJECT_ROOT"] = str(ROOT)
        with errors_reported():
            config_guard.check_files()
            # Hydra prints errors in a form of its own unless told to raise them.
            os.environ["HYDRA_FULL_ERROR"] = "1"
            hydra.main(version_base="1.3", config_path=str(ROOT / "conf"), config_name="config")(task)()

    return main


def combinations(check_stage: Callable[[Config], object]) -> list[tuple[Config, dict[str, str]]]:
    """Return every combination of the values that the command line sweeps, all of them checked before it returns.

    Args:
        check_stage: raises a `UserError` for a configuration that the stages cannot run.

    Returns:
        The configuration of each combination, and name -> value as written of what the command line sets; nothing if
        only help was asked for.
    """
    planned: list[tuple[Config, dict[str, str]]] = []

    def plan(config: Config) -> None:
        check_stage(config)
        words = (word.lstrip("+").partition("=") for word in HydraConfig.get().overrides.task)
        planned.append((config, {name: value for name, _, value in words}))

    if not {"-m", "--multirun"} & set(sys.argv):
        sys.argv.insert(1, "--multirun")
    command(plan)()
    return planned


_TRACEBACKS = os.environ.get("HYDRA_FULL_ERROR") == "1"


@contextmanager
def errors_reported() -> Iterator[None]:
    """Have a user's mistake, or Ctrl-C, end the program in one sentence."""
    try:
        yield
    except SystemExit:
        raise
    except BaseException as error:
        if signals.interrupted():
            _say("interrupted; what was finished before is as it was.")
            os._exit(130)  # a library may wait at exit, forever, for worker processes that are gone
        if _TRACEBACKS or not isinstance(error, _MISTAKES):
            raise
        _say(explain(error))
        raise SystemExit(1) from error


_MISTAKES = (UserError, HydraException, OmegaConfBaseException, YAMLError, OSError)


def _say(sentence: str) -> None:
    mark = "\033[31merror:\033[0m" if sys.stderr.isatty() else "error:"
    sys.stdout.flush()
    print(mark, sentence, file=sys.stderr, flush=True)


def _typed(cfg: DictConfig) -> Config:
    """Return the composed values as a checked `Config`."""
    _check_keys(cfg, Config)
    for key in sorted(OmegaConf.missing_keys(cfg)):
        raise UserError(f"{key} has no value: give it one in params.yaml or on the command line.")
    config = OmegaConf.to_object(cfg)
    assert isinstance(config, Config)
    chosen = HydraConfig.get().runtime.choices
    config.task["name"] = chosen["task"]
    if config.variant is not None:
        config.variant.name = chosen["variant"]
    check(config)
    lookup.check(config)
    return config


def _check_keys(cfg: DictConfig, schema: Any, prefix: str = "") -> None:
    """Raise a `UserError` for a key that no stage would read."""
    known = {f.name for f in dataclasses.fields(schema)}
    for key in map(str, cfg):
        if key not in known:
            raise UserError(_unknown(f"{prefix}{key}"))
        section = OmegaConf.get_type(cfg, key)
        if isinstance(cfg[key], DictConfig) and dataclasses.is_dataclass(section):
            _check_keys(cfg[key], section, f"{prefix}{key}.")


def _fields(path: list[str]) -> dict[str, Any]:
    """Return name -> type of the values in a section, given by its path from the top."""
    schema: Any = Config
    for name in path:
        types = {f.name: f.type for f in dataclasses.fields(schema)}
        schema = Variant if name == "variant" else types.get(name)
        if not dataclasses.is_dataclass(schema):
            return {}
    return {f.name: f.type for f in dataclasses.fields(schema)}


def _unknown(key: str) -> str:
    *path, _ = key.split(".")
    if not _fields(path):
        return f"{key} is not a parameter: it is not in the file of conf/{path[0]}/ that was chosen."
    has = f"{'.'.join(path)} has" if path else "there are"
    return f"{key} is not a parameter: {has} {', '.join(_fields(path))}."


_KINDS = {int: "a whole number", float: "a number", str: "a name", list[int]: "a list of whole numbers"}


def explain(error: Exception) -> str:
    """Return one sentence for an error of Hydra, OmegaConf, YAML or the file system."""
    text = str(error.__cause__ if isinstance(error.__cause__, OmegaConfBaseException) else error)
    key = re.search(r"full_key: ([\w.]+)", text)
    if key:
        return _unknown(key[1]) if "Key '" in text else _unfit(key[1], text)
    if isinstance(error, MissingConfigException) and error.options:
        group, _, name = str(error.missing_cfg_file).rpartition("/")
        return f"{group} is {name}: it must be one of {', '.join(error.options)}."
    if "No match in the defaults list" in text:
        text = f"{text.splitlines()[0]} Write +variant=NAME, where NAME is one of: {', '.join(names_in('variant'))}."
    if isinstance(error, OverrideParseException):
        text = f"{error.override} cannot be read as name=value: {text.splitlines()[0]}."
    if isinstance(error, OSError) and error.strerror:
        text = f"{error.filename or 'a file'}: {error.strerror}."
    return " ".join(text.split())


def _unfit(key: str, text: str) -> str:
    *path, name = key.split(".")
    kind = _KINDS.get(_fields(path).get(name, object), "what params.yaml shows")
    reason = next(line for line in text.splitlines() if "raised while composing" not in line)
    return f"{key}: {reason.rstrip('.')}; it must be {kind}."
