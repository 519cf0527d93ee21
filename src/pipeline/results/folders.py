"""Where results are, and how they are written (aside, then renamed) and read (only if they fit the settings)."""

import csv
import dataclasses
import json
import shlex
import shutil
import sys
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from zipfile import BadZipFile

import numpy as np
from numpy.typing import NDArray

from pipeline.results.file_formats import sync, sync_names, write_text
from pipeline.settings.project import ROOT, UserError
from pipeline.settings.schema import Study
from pipeline.settings.study import digest, load_variant, params, plain

# The sections of the configuration that each kind of result depends on.
TRAINING = ("task", "data", "model", "train", "seeds", "variant")
SECTIONS = {
    "definitions": ("variant",),
    "data/train": ("task", "data"),
    "data/validation": ("task", "data"),
    "data/probe": ("task", "data", "probe"),
    "models": TRAINING,
    "attention": (*TRAINING, "probe", "explain"),
    "controls": ("task", "data", "model", "train", "variants", "controls"),
    "comparison": ("task", "data", "model", "train", "seeds", "variants", "probe", "explain", "controls", "compare"),
}
STAGES = {  # else the kind itself
    "definitions": "define",
    "data": "dataset",
    "models": "train",
    "attention": "analyze",
    "comparison": "compare",
}
PARAMS = "params.json"
# Raised on reading corrupt or incomplete files.
CORRUPT = (ValueError, LookupError, EOFError, OSError, BadZipFile, RuntimeError, csv.Error, zlib.error)
OUTPUTS = "outputs"  # folder of results with other values than the study's


def values(study: Study, kind: str) -> dict[str, Any]:
    """Return the values that a kind of result depends on, as JSON can hold them; variants with their definitions."""
    sections = {name: getattr(study, name) for name in SECTIONS[kind]}
    if "variants" in sections:
        sections["variants"] = [load_variant(name) for name in study.variants]
    return {name: plain(value) for name, value in sections.items()}


def folder(study: Study, kind: str) -> Path:
    """Return the folder of a kind of result.

    It is the folder that `dvc repro` keeps if all values it depends on are those of params.yaml and conf/. Any other
    values, and a variant that is not in the study, have a folder in outputs/, so that work by hand does not touch it.
    """
    wanted = values(study, kind)
    name = study.variant.name if "variant" in wanted and study.variant else None
    committed = dataclasses.replace(params(), variant=study.variant and load_variant(study.variant.name))
    is_study = wanted == values(committed, kind) and (name is None or name in params().variants)
    return (ROOT if is_study else _elsewhere(wanted)) / kind / (name or "")


def _elsewhere(values: Any) -> Path:
    return ROOT / OUTPUTS / digest(values)


def _move_removed_variants() -> None:
    """Move the results of variants that are no longer in the study to where those by hand are.

    A stage of DVC that depends on all variants of the study depends on the folder that contains theirs, and no others.
    """
    for kind in (kind for kind, sections in SECTIONS.items() if "variant" in sections):
        for path in sorted((ROOT / kind).glob(f"*/{PARAMS}")):
            found = path.parent
            if found.name not in params().variants and not found.name.endswith(".part"):
                target = _elsewhere(_json(path.read_text(encoding="utf-8"))) / kind / found.name
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.rmtree(found) if target.exists() else found.replace(target)


def _json(text: str) -> Any:
    """Return what a text says in JSON, or the text if that is damaged."""
    try:
        return json.loads(text)
    except ValueError:
        return text


def shown(path: Path) -> str:
    """Return a path as a user would write it: relative to the project's root if it is inside."""
    return path.relative_to(ROOT).as_posix() if path.is_relative_to(ROOT) else str(path)


@contextmanager
def writing(study: Study, kind: str) -> Iterator[Path]:
    """Yield an empty folder that replaces `folder(study, kind)` when the block succeeds.

    The folder also gets params.json, the values that its content depends on. After an error or Ctrl-C, the previous
    folder is unchanged; a `UserError` if it cannot be written, for instance on a full disk.
    """
    target = folder(study, kind)
    try:
        if "variants" in SECTIONS[kind]:
            _move_removed_variants()
        with replacing(target) as aside:
            yield aside
            write_text(aside / PARAMS, json.dumps(values(study, kind), indent=2) + "\n")
    except OSError as error:
        raise UserError(f"{shown(target)} cannot be written: {error.strerror or error}.") from error


@contextmanager
def temporary(parent: Path) -> Iterator[Path]:
    """Yield an empty folder inside another one of the project; it is removed at the end of the block."""
    (ROOT / parent).mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(dir=ROOT / parent) as folder:
        yield Path(folder)


@contextmanager
def replacing(target: Path) -> Iterator[Path]:
    """Yield an empty folder that replaces another when the block succeeds, and not before.

    Whenever the process or the machine stops, the old or the new folder is complete; see `complete_exchange`.
    """
    complete_exchange(target)
    aside, old = _asides(target)
    with _filled(aside):
        yield aside
    try:
        if target.exists():
            target.replace(old)
        aside.replace(target)
        sync_names(target.parent)
    finally:
        complete_exchange(target)


@contextmanager
def added_to(target: Path) -> Iterator[Path]:
    """Yield an empty folder whose files replace those of a folder, and no others, when the block succeeds."""
    aside, _ = _asides(target)
    with _filled(aside):
        yield aside
    try:
        for path in sorted(path for path in aside.rglob("*") if path.is_file()):
            (target / path.relative_to(aside)).parent.mkdir(parents=True, exist_ok=True)
            path.replace(target / path.relative_to(aside))
    finally:
        shutil.rmtree(aside, ignore_errors=True)


@contextmanager
def _filled(aside: Path) -> Iterator[None]:
    """Create an empty folder, and bring what the block writes into it to the disk; remove it if the block fails."""
    shutil.rmtree(aside, ignore_errors=True)
    aside.mkdir(parents=True)
    try:
        yield
        sync(aside)
    except BaseException:
        shutil.rmtree(aside, ignore_errors=True)
        raise


def complete_exchange(target: Path) -> None:
    """Complete the exchange of a folder by another that was interrupted between its two renames, if it was."""
    aside, old = _asides(target)
    if old.exists() and not target.exists():
        (aside if aside.exists() else old).replace(target)
    if old.exists():
        shutil.rmtree(aside, ignore_errors=True)
        old.replace(aside)  # a removal that is interrupted must leave nothing that could be taken for a result
        shutil.rmtree(aside, ignore_errors=True)


def _asides(target: Path) -> tuple[Path, Path]:
    """Return the folder in which a new one is written, and the one to which the old one is moved."""
    return target.with_name(f"{target.name}.part"), target.with_name(f"{target.name}.old.part")


def existing(study: Study, kind: str) -> Path:
    """Return the folder of a result made with these values; if none is, a `UserError` names the command for it."""
    path = folder(study, kind)
    complete_exchange(path)
    try:
        found = json.loads((path / PARAMS).read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise UserError(f"{shown(path)} does not exist yet: {remedy(study, kind)}") from None
    except ValueError:
        raise UserError(f"{shown(path / PARAMS)} is damaged: {remedy(study, kind)}") from None
    difference = _difference(found, values(study, kind))
    if difference:
        raise UserError(f"{shown(path)} was made with other values ({difference}): {remedy(study, kind)}")
    return path


def exists(study: Study, kind: str) -> bool:
    """Return whether there is a result of a kind made with these values."""
    try:
        existing(study, kind)
    except UserError:
        return False
    return True


@contextmanager
def reading(study: Study, kind: str) -> Iterator[Path]:
    """Yield `existing(study, kind)`; a corrupt file in it ends the block with a `UserError`."""
    path = existing(study, kind)
    try:
        yield path
    except PermissionError:
        raise
    except CORRUPT as error:
        raise UserError(f"{shown(path)} is damaged: {remedy(study, kind)}") from error


def remedy(study: Study, kind: str) -> str:
    """Return the half-sentence that names the command that makes a kind of result."""
    output, variant = kind.split("/", maxsplit=1)[0], study.variant
    stage = STAGES.get(output, output)
    words = [f"+variant={variant.name}"] if variant and "variant" in SECTIONS[kind] else []
    words += [shlex.quote(word) for word in sys.argv[1:] if "=" in word and not word.startswith(("+variant=", "-"))]
    return f"run `{' '.join(['python -m', f'pipeline.{stage}', *words])}`."


def _difference(found: Any, wanted: Any, name: str = "") -> str:
    """Return the first difference between two JSON values, in words; an empty string if they are equal."""
    if isinstance(found, dict) and isinstance(wanted, dict):
        inner = (_difference(found.get(k), wanted.get(k), f"{name}.{k}".lstrip(".")) for k in {**wanted, **found})
        return next((words for words in inner if words), "")
    return "" if found == wanted else f"{name} {found}, not {wanted}"


def load_array(path: Path, shape: tuple[int, ...], dtype: str, advice: str) -> NDArray[Any]:
    """Return an array of a `.npy` file, mapped into memory and read-only.

    A `UserError` if the file is missing, incomplete, no array, or of another shape or type; it ends with `advice`.
    """
    try:
        array: NDArray[Any] = np.load(path, mmap_mode="r", allow_pickle=False)
        fits = isinstance(array, np.ndarray) and array.shape == shape and array.dtype == np.dtype(dtype)
    except (ValueError, OSError, EOFError):
        fits = False
    if not fits:
        raise UserError(f"{shown(path)} is not a complete array of {np.dtype(dtype)} {shape}: {advice}")
    return array
