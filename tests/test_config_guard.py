"""A file that someone sends runs no code."""

import pytest

MARKER = "was_run"
RUN = f"_target_: shutil.copyfile\nsrc: dvc.yaml\ndst: {MARKER}\n"
LOGGING = f"version: 1\nformatters:\n  x:\n    (): shutil.copyfile\n    src: dvc.yaml\n    dst: {MARKER}\n"


def indented(text, levels=1):
    return "".join("  " * levels + line + "\n" for line in text.splitlines())


SWEEP = """# @package _global_
hydra:
  sweeper:
    params:
      +variant: after_shared
      +hydra.job_logging.x: 1
"""


FILES = {
    "hydra's callbacks in params.yaml": ("params.yaml", "hydra:\n  callbacks:\n    x:\n" + indented(RUN, 3), "hydra"),
    "hydra's logging in params.yaml": ("params.yaml", "hydra:\n  job_logging:\n" + indented(LOGGING, 2), "hydra"),
    "hydra's callbacks under a name in disguise": (
        "params.yaml",
        '"\\x68ydra":\n  callbacks:\n    x:\n' + indented(RUN, 3),
        "hydra",
    ),
    "a cluster in params.yaml": ("params.yaml", "cluster: tcp://127.0.0.1:8786\n", "cluster"),
    "a server in params.yaml": ("params.yaml", "tracking:\n  uri: http://127.0.0.1:5000\n", "tracking"),
    "hydra's logging in the sweep of an experiment": ("conf/experiment/sent.yaml", SWEEP, "+hydra.job_logging.x"),
    "allowed packages in the sweep of an experiment": (
        "conf/experiment/sent.yaml",
        "# @package _global_\nhydra:\n  sweeper:\n    params:\n      packages: '[os]'\n",
        "packages",
    ),
    "a cluster in the sweep of an experiment": (
        "conf/experiment/sent.yaml",
        "# @package _global_\nhydra:\n  sweeper:\n    params:\n      cluster: tcp://127.0.0.1:8786\n",
        "cluster",
    ),
    "allowed packages in params.yaml": ("params.yaml", "packages: [os]\n", "packages"),
    "a variant of the whole configuration": (
        "conf/variant/sent.yaml",
        "# @package _global_\nhydra:\n  callbacks:\n    x:\n" + indented(RUN, 3),
        "# @package _global_",
    ),
    "a variant that is a callback": (
        "conf/variant/sent.yaml",
        "# @package hydra.callbacks.x\n" + RUN,
        "# @package hydra",
    ),
    "a callback in an experiment": (
        "conf/experiment/sent.yaml",
        "# @package _global_\nhydra:\n  callbacks:\n    x:\n" + indented(RUN, 3),
        "hydra",
    ),
    "a group of hydra's": ("conf/hydra/callbacks/sent.yaml", "x:\n" + indented(RUN), "what Hydra does"),
    "a default that goes elsewhere": (
        "conf/experiment/sent.yaml",
        "# @package _global_\ndefaults:\n  - /variant@hydra.callbacks.x: sent\n",
        "variant@hydra.callbacks.x",
    ),
}


@pytest.mark.slow
@pytest.mark.parametrize("case", FILES)
def test_a_file_that_would_run_code_is_refused(fresh, case):
    name, text, said = FILES[case]
    path = fresh.root / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text((path.read_text("utf-8") if path.exists() else "") + text, encoding="utf-8")
    error = fresh.stage("dataset", code=1).stderr
    assert f"error: {name} says {said}" in error
    assert error.count("\n") == 1
    assert not (fresh.root / MARKER).exists()


@pytest.mark.slow
@pytest.mark.parametrize("case", ["hydra's callbacks in params.yaml", "hydra's callbacks under a name in disguise"])
def test_without_the_check_such_a_file_would_run_code(fresh, case):
    """So that the tests above test something."""
    name, text, _ = FILES[case]
    path = fresh.root / name
    path.write_text(path.read_text("utf-8") + text, encoding="utf-8")
    command_line = fresh.root / "src/pipeline/execution/command_line.py"
    guarded = command_line.read_text("utf-8")
    assert "config_guard.check_files()" in guarded
    command_line.write_text(guarded.replace("config_guard.check_files()", "pass"), encoding="utf-8")
    fresh.run("python", "-m", "pipeline.dataset", code=None)
    assert (fresh.root / MARKER).exists()


@pytest.mark.slow
def test_a_variant_runs_only_code_of_packages_that_are_allowed(fresh):
    variant = f"placement: after\nattention:\n{indented(RUN)}"
    (fresh.root / "conf/variant/sent.yaml").write_text(variant, encoding="utf-8")
    error = fresh.stage("train", "+variant=sent", code=1).stderr
    assert "variant.attention._target_ is shutil.copyfile: it must be a function or class of pipeline, keras" in error
    assert not (fresh.root / MARKER).exists()
