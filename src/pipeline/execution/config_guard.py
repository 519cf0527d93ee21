"""Configuration files that others send must not decide which code runs; only conf/config.yaml may.

Hydra runs what its own section names (callbacks, launchers, loggers) before any value can be checked. So no other file
may write into that section, allow packages, or choose the cluster that gets the work or the server that gets results.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from omegaconf import OmegaConf

from pipeline.settings.project import ROOT, UserError

ALONE = ("packages", "cluster", "tracking")  # whose code may run; what receives code; what receives results, passwords
FOREIGN = ("hydra", *ALONE)
SUSPECT = (*FOREIGN, "@", "\\")  # the last two can disguise any other word
PACKAGE, TOP = "# @package", "_global_"  # Hydra's mark of the section that a file sets, and the name of the top


def check_files() -> None:
    """Raise a `UserError` for a file that sets more than it may."""
    conf = ROOT / "conf"
    for path in (ROOT / "params.yaml", *sorted(conf.rglob("*.yaml"))):
        if path == conf / "config.yaml":
            continue
        for found in _forbidden(path, path.relative_to(ROOT).parts):
            name = path.relative_to(ROOT).as_posix()
            raise UserError(f"{name} says {found}: only conf/config.yaml may, since it decides which code runs.")


def _forbidden(path: Path, parts: tuple[str, ...]) -> Iterator[str]:
    try:
        text = path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise UserError(f"{'/'.join(parts)} is not a text file in UTF-8: {error}.") from error
    marks = [line.strip() for line in text.splitlines() if line.lstrip().startswith(PACKAGE)]
    sets_top = parts == ("params.yaml",) or parts[1] == "experiment"
    yield from (mark for mark in marks if not sets_top or mark != f"{PACKAGE} {TOP}")
    if parts[1:2] == ("hydra",):
        yield "what Hydra does"
    if any(word in text.replace(PACKAGE, "") for word in SUSPECT):  # parsing takes milliseconds
        yield from _forbidden_keys(OmegaConf.to_container(OmegaConf.load(path)), parts[1:2] == ("experiment",))


def _forbidden_keys(values: Any, experiment: bool) -> Iterator[str]:
    sections = dict(values) if isinstance(values, dict) else {}
    hydra = sections.pop("hydra", None)
    swept = _swept(hydra) if experiment else None
    if hydra is not None and swept is None:
        yield "hydra"
    yield from (name for name in ALONE if name in sections)
    words = [*(swept or ()), *(word for choice in sections.get("defaults") or () for word in _words(choice))]
    yield from (word for word in words if "@" in word or word.lstrip("+~").split("/")[0].split(".")[0] in FOREIGN)


def _swept(hydra: Any) -> list[str] | None:
    """Return the names of the values that an experiment sweeps, if it sets nothing else of Hydra."""
    sweeper = hydra.get("sweeper") if isinstance(hydra, dict) and list(hydra) == ["sweeper"] else None
    params = sweeper.get("params") if isinstance(sweeper, dict) and list(sweeper) == ["params"] else None
    return [str(name) for name in params] if isinstance(params, dict) else None


def _words(choice: Any) -> list[str]:
    """Return what an entry of a defaults list names, without the word that makes it replace another."""
    names = [str(name) for name in choice] if isinstance(choice, dict) else [str(choice)]
    return [name.removeprefix("override ").lstrip("/") for name in names]
