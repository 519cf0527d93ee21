"""The command line of the stages: Hydra composes the settings, and a user error is one sentence.

Only this module knows Hydra.
"""

import dataclasses
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import hydra
from hydra.conf import HydraConf
from hydra.core.hydra_config import HydraConfig
from hydra.errors import HydraException, MissingConfigException, OverrideParseException
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import ConfigAttributeError, ConfigKeyError, MissingMandatoryValue, OmegaConfBaseException
from yaml import YAMLError

from pipeline.execution import config_guard, signals, study_progress
from pipeline.settings import study
from pipeline.settings.machine_limits import check_size
from pipeline.settings.project import ROOT, UserError, names_in
from pipeline.settings.schema import Config
from pipeline.settings.validation import allowed, check, explained_class, missing, refused, unknown, validated
from pipeline.tasks import lookup

OmegaConf.register_new_resolver("task_of_params", study.task_name)  # for the list of defaults in conf/config.yaml
USER_ERRORS = (UserError, HydraException, OmegaConfBaseException, YAMLError, OSError)
ELSEWHERE = ("--config-", "-cd", "-cn", "-cp")  # Hydra's words for another folder or file than conf/config.yaml
TRACEBACKS = os.environ.get("HYDRA_FULL_ERROR") == "1"


def command(stage: Callable[[Config], None]) -> Callable[[], None]:
    """Turn a stage into a program: settings from conf/, params.yaml and the command line, checked before it starts.

    A user error ends it with one sentence on standard error and exit code 1, Ctrl-C with 130; with HYDRA_FULL_ERROR=1
    set, a user error shows its traceback.
    """

    def main() -> None:
        with errors_reported():
            for config, _ in _composed():
                with study_progress.shown(config.variants):
                    stage(config)

    return main


def combinations(check_stage: Callable[[Config], object]) -> list[tuple[Config, dict[str, str]]]:
    """Return every combination of the values that the command line sweeps, all of them checked before it returns.

    A combination is a configuration, and name -> value as written of what the command line sets. `check_stage` raises a
    `UserError` for a configuration that the stages cannot run.
    """
    if not {"-m", "--multirun"} & set(sys.argv):
        sys.argv.insert(1, "--multirun")
    with errors_reported():
        planned = _composed()
        for config, _ in planned:
            check_stage(config)
    return planned


@contextmanager
def errors_reported() -> Iterator[None]:
    """End the program with one sentence after a user error or Ctrl-C."""
    signals.listen()
    try:
        yield
        signals.end()
    except SystemExit:
        raise
    except BrokenPipeError as error:  # whatever reads the output, such as `head`, has read enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # Python would complain at exit
        raise SystemExit(1) from error
    except BaseException as error:
        if signals.interrupted():
            _say("interrupted; what was finished before is as it was.")
            os._exit(130)  # a library may wait at exit, forever, for worker processes that are gone
        if TRACEBACKS or not isinstance(error, USER_ERRORS):
            raise
        _say(explain(error))
        raise SystemExit(1) from error


def _say(sentence: str) -> None:
    mark = "\033[31merror:\033[0m" if sys.stderr.isatty() else "error:"
    sys.stdout.flush()
    print(mark, sentence, file=sys.stderr, flush=True)


def _composed() -> list[tuple[Config, dict[str, str]]]:
    """Return the configuration of each job, and name -> value as written of what the command line sets."""
    jobs: list[tuple[DictConfig, HydraConf]] = []  # values, and Hydra's own
    config_guard.check_files()
    for word in sys.argv[1:]:
        if word.startswith(ELSEWHERE):
            raise UserError(f"{word} cannot be used: put the files in conf/, where every stage and DVC find them.")
    os.environ["PROJECT_ROOT"] = str(ROOT)
    os.environ["HYDRA_FULL_ERROR"] = "1"  # so that Hydra raises errors instead of printing them
    run = hydra.main(version_base="1.3", config_path=str(ROOT / "conf"), config_name="config")
    try:
        run(lambda values: jobs.append((values, HydraConfig.get())))()
    except USER_ERRORS:
        raise
    except Exception as error:  # Hydra raises many kinds for words that it cannot use
        raise UserError(_unusable(sys.argv[1:], error)) from error
    composed = []
    for values, own in jobs:
        words = (word.lstrip("+").partition("=") for word in own.overrides.task)
        composed.append((_checked(values, own), {name: value for name, _, value in words}))
    return composed


def _unusable(words: list[str], error: Exception) -> str:
    for group, _, names in (word.lstrip("+").partition("=") for word in words):
        options = names_in(group) if group else []
        if options and not set(names.split(",")) <= set(options):
            return refused(group, names, f"one of {', '.join(options)}")
    return f"{' '.join(words)}: {error}."


def _no_file(name: str, value: str) -> str:
    """Return the sentence for a value that Hydra took for a file, in a folder that has the name of a parameter."""
    words = f"one of {', '.join(names_in(name))}" if names_in(name) else allowed(name)
    return f"{name} is {value}: it must be {words}." if words else unknown(name)


def _checked(values: DictConfig, own: HydraConf) -> Config:
    settings: Any = OmegaConf.to_object(values)
    for group, inherited in (("task", study.task_name()), ("variant", None)):
        if isinstance(settings.get(group), dict):
            chosen = own.runtime.choices.get(group)
            _check_name(group, chosen, inherited, settings[group].get("name"), own.overrides.task)
            settings[group]["name"] = chosen
    config = validated(Config, settings)
    check(config, [*filter(None, [config.variant]), *map(study.load_variant, config.variants)])
    check_size(config)
    needed = max(config.data.samples + config.probe.samples, config.controls.null_key_samples)
    lookup.check_task(config.task, config.data, needed)
    explained_class(config.explain.target, lookup.meaning_of(config.task, config.data).classes)
    if config.controls.null_key_samples > config.data.samples:  # a file may have too few on one of its sides
        many = dataclasses.replace(config.data, samples=config.controls.null_key_samples)
        lookup.check_task(config.task, many, config.controls.null_key_samples)
    return config


def _check_name(group: str, chosen: Any, inherited: str | None, name: Any, words: list[str]) -> None:
    """Raise a `UserError` if no file was chosen, or for a name that would only rename the file that was.

    `inherited` is what the name may be if nobody sets it: that in params.yaml.
    """
    if not isinstance(chosen, str):
        raise UserError(refused(group, chosen, f"one of {', '.join(names_in(group))}"))
    is_set = any(word.lstrip("+").startswith(f"{group}.name=") for word in words)
    if name != chosen and (is_set or name != inherited):
        known = name if name in names_in(group) else "NAME"
        words_to_write = f"{'+' if group == 'variant' else ''}{group}={known}"
        raise UserError(refused(f"{group}.name", name, f"{chosen}, that of the chosen file; write {words_to_write}"))


def explain(error: BaseException) -> str:
    """Return one sentence for an error of Hydra, OmegaConf, YAML or the file system."""
    text, cause = str(error), error.__cause__ if isinstance(error, HydraException) else error
    if isinstance(cause, MissingMandatoryValue):
        text = missing(str(cause.full_key))
    elif isinstance(cause, ConfigAttributeError | ConfigKeyError):
        text = unknown(str(cause.full_key))
    elif isinstance(cause, OmegaConfBaseException) and cause.full_key:
        words, reason = allowed(cause.full_key), str(cause).splitlines()[0].rstrip(".")
        text = f"{cause.full_key}: {reason}{words and f'; it must be {words}'}."
    elif isinstance(error, MissingConfigException) and error.options:
        group, _, name = str(error.missing_cfg_file).rpartition("/")
        text = refused(group, name, f"one of {', '.join(error.options)}")
    elif isinstance(error, MissingConfigException) and error.missing_cfg_file:
        text = _no_file(*str(error.missing_cfg_file).rsplit("/", 1)) if "/" in str(error.missing_cfg_file) else text
    elif "Config group override must be" in text:
        text = _no_file(*text.partition(": Config")[0].lstrip("+").split("=", 1))
    elif "No match in the defaults list" in text:
        group, reason = text.split("'")[1], text.splitlines()[0].rstrip(".")
        advice = f"Write +{group}=NAME, where NAME is one of: {', '.join(names_in(group))}."
        text = f"{reason}. {advice}" if names_in(group) else f"{group} cannot be set at once: it is {allowed(group)}."
    elif "Unsupported item value in defaults" in text:
        text = "conf/config.yaml: a name in its list of defaults is no text: write off, on, yes and no in quotes."
    elif isinstance(error, OverrideParseException):
        advice = "a value with special characters needs quotes, such as \"name='value'\""
        text = f"{error.override} cannot be read as name=value: {text.splitlines()[0].rstrip('.')}; {advice}."
    elif isinstance(error, OSError) and error.strerror:
        text = f"{error.filename or 'a file'}: {error.strerror}."
    return " ".join(text.split())
