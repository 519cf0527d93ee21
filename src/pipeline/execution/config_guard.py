"""What files of configuration may say: those that others send must not decide which code is run.

conf/config.yaml decides that. Hydra runs what its own section names (callbacks, launchers, loggers), before any value
could be checked; so no other file may write into that section, or say which packages are allowed, to which cluster
work is sent, or to which server results.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from omegaconf import OmegaConf

from pipeline.settings.errors import UserError
from pipeline.settings.project import ROOT

ALONE = ("packages", "cluster", "tracking")  # whose code may run; what is sent code, and results and passwords
FOREIGN = ("hydra", *ALONE)
SUSPECT = (*FOREIGN, "@", "\\")  # the last may write any other word in disguise
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
    if any(word in text.replace(PACKAGE, "") for word in SUSPECT):  # else spared: reading a file takes milliseconds
        yield from _forbidden_keys(OmegaConf.to_container(OmegaConf.load(path)), parts[1:2] == ("experiment",))


def _forbidden_keys(values: Any, experiment: bool) -> Iterator[str]:
    own = dict(values) if isinstance(values, dict) else {}
    hydra = own.pop("hydra", None)
    swept = _swept(hydra) if experiment else None
    if hydra is not None and swept is None:
        yield "hydra"
    yield from (name for name in ALONE if name in own)
    words = [*(swept or ()), *(word for choice in own.get("defaults") or () for word in _words(choice))]
    yield from (word for word in words if "@" in word or word.lstrip("+~").split("/")[0].split(".")[0] in FOREIGN)


def _swept(hydra: Any) -> list[str] | None:
    """Return the names of what an experiment sweeps, if that is all that it says of Hydra."""
    sweeper = hydra.get("sweeper") if isinstance(hydra, dict) and list(hydra) == ["sweeper"] else None
    params = sweeper.get("params") if isinstance(sweeper, dict) and list(sweeper) == ["params"] else None
    return [str(name) for name in params] if isinstance(params, dict) else None


def _words(choice: Any) -> list[str]:
    """Return what an entry of a list of defaults names, without the word that lets it replace another."""
    names = [str(name) for name in choice] if isinstance(choice, dict) else [str(choice)]
    return [name.removeprefix("override ").lstrip("/") for name in names]
