"""A file that someone sends runs no code."""

import pytest
from conftest import error_of

pytestmark = pytest.mark.slow
MARKER = "was_run"
RUN = f"_target_: shutil.copyfile\nsrc: dvc.yaml\ndst: {MARKER}\n"
LOGGING = f"version: 1\nformatters:\n  x:\n    (): shutil.copyfile\n    src: dvc.yaml\n    dst: {MARKER}\n"


SWEEP = "# @package _global_\nhydra:\n  sweeper:\n    params:\n      +variant: after_shared\n      "
GLOBAL = "# @package _global_\n"


def indented(text, levels=1):
    return "".join("  " * levels + line + "\n" for line in text.splitlines())


CALLBACK = "hydra:\n  callbacks:\n    x:\n" + indented(RUN, 3)
DEFAULTS = GLOBAL + "defaults:\n  - /variant@hydra.callbacks.x: sent\n"
DISGUISED = CALLBACK.replace("hydra", '"\\x68ydra"')
EXPERIMENT, VARIANT = "conf/experiment/sent.yaml", "conf/variant/sent.yaml"
FILES = {
    "hydra's callbacks in params.yaml": ("params.yaml", CALLBACK, "hydra"),
    "hydra's callbacks under a name in disguise": ("params.yaml", DISGUISED, "hydra"),
    "hydra's logging in params.yaml": ("params.yaml", "hydra:\n  job_logging:\n" + indented(LOGGING, 2), "hydra"),
    "a cluster in params.yaml": ("params.yaml", "cluster: tcp://127.0.0.1:8786\n", "cluster"),
    "a server in params.yaml": ("params.yaml", "tracking:\n  uri: http://127.0.0.1:5000\n", "tracking"),
    "allowed packages in params.yaml": ("params.yaml", "packages: [os]\n", "packages"),
    "hydra's logging in a sweep": (EXPERIMENT, SWEEP + "+hydra.job_logging.x: 1\n", "+hydra.job_logging.x"),
    "allowed packages in a sweep": (EXPERIMENT, SWEEP + "packages: '[os]'\n", "packages"),
    "a cluster in a sweep": (EXPERIMENT, SWEEP + "cluster: tcp://127.0.0.1:8786\n", "cluster"),
    "a callback in an experiment": (EXPERIMENT, GLOBAL + CALLBACK, "hydra"),
    "a default that goes elsewhere": (EXPERIMENT, DEFAULTS, "variant@hydra.callbacks.x"),
    "a variant of the whole configuration": (VARIANT, GLOBAL + CALLBACK, "# @package _global_"),
    "a variant that is a callback": (VARIANT, "# @package hydra.callbacks.x\n" + RUN, "# @package hydra"),
    "a group of hydra's": ("conf/hydra/callbacks/sent.yaml", "x:\n" + indented(RUN), "what Hydra does"),
}


def send(project, case):
    """Add what a case says to a file, and return the file's name."""
    name, text, _ = FILES[case]
    path = project.root / name
    path.parent.mkdir(parents=True, exist_ok=True)
    project.write(name, (project.read(name) if path.exists() else "") + text)
    return name


@pytest.mark.parametrize("case", FILES)
def test_a_file_that_would_run_code_is_refused(fresh, case):
    name = send(fresh, case)
    assert f"error: {name} says {FILES[case][2]}" in error_of(fresh.stage, "dataset")
    assert not (fresh.root / MARKER).exists()


@pytest.mark.parametrize("case", [*FILES][:2])
def test_without_the_check_such_a_file_would_run_code(fresh, case):
    """So that the tests above test something."""
    send(fresh, case)
    fresh.replace("src/pipeline/execution/command_line.py", "config_guard.check_files()", "pass")
    fresh.run("python", "-m", "pipeline.dataset", code=None)
    assert (fresh.root / MARKER).exists()


def test_a_variant_runs_only_code_of_packages_that_are_allowed(fresh):
    fresh.write(VARIANT, f"placement: after\nattention:\n{indented(RUN)}")
    error = fresh.stage("train", "+variant=sent", code=1).stderr
    assert "variant.attention._target_ is shutil.copyfile: it must be a function or class of pipeline, keras" in error
    assert not (fresh.root / MARKER).exists()
