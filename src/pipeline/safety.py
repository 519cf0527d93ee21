"""What files of configuration may say: those that others send must not decide which code is run.

conf/config.yaml decides that. Hydra runs what its own section names (callbacks, launchers, loggers), before any value
could be checked; so no other file may write into that section, or say which packages are allowed.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from omegaconf import OmegaConf

from pipeline.config import ROOT, UserError

PACKAGE, WHOLE = "# @package", "_global_"  # Hydra's mark of where in the configuration a file's values go


def check_files() -> None:
    """Raise a `UserError` for a file that says more than it may."""
    conf = ROOT / "conf"
    for path in (ROOT / "params.yaml", *sorted(conf.rglob("*.yaml"))):
        if path == conf / "config.yaml":
            continue
        for found in _forbidden(path, path.relative_to(ROOT).parts):
            name = path.relative_to(ROOT).as_posix()
            raise UserError(f"{name} says {found}: only conf/config.yaml may, since it decides which code is run.")


def _forbidden(path: Path, parts: tuple[str, ...]) -> Iterator[str]:
    text = path.read_text(encoding="utf-8")
    marks = [line.strip() for line in text.splitlines() if line.lstrip().startswith(PACKAGE)]
    whole = parts == ("params.yaml",) or parts[1] == "experiment"
    yield from (mark for mark in marks if not whole or mark != f"{PACKAGE} {WHOLE}")
    if parts[1:2] == ("hydra",):
        yield "what Hydra does"
    if "hydra" in text or "packages" in text or "@" in text.replace(PACKAGE, ""):
        yield from _forbidden_keys(OmegaConf.to_container(OmegaConf.load(path)), experiment="experiment" in parts)


def _forbidden_keys(values: Any, experiment: bool) -> Iterator[str]:
    own = dict(values) if isinstance(values, dict) else {}
    hydra = own.get("hydra", {})
    if hydra and not (experiment and list(hydra) == ["sweeper"] and list(hydra["sweeper"]) == ["params"]):
        yield "hydra"
    if "packages" in own:
        yield "packages"
    for choice in own.get("defaults", []):
        words = " ".join(choice) if isinstance(choice, dict) else str(choice)
        if "hydra" in words or "@" in words:
            yield f"defaults: {words}"
