"""Where results lie, and how they are written (aside, then renamed) and read back (only if they fit)."""

import dataclasses
import json
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np
from numpy.typing import NDArray

from pipeline.choices import digest, load_variant, params, plain
from pipeline.config import ROOT, Study, UserError
from pipeline.formats import write_text

# What each kind of result depends on: sections of the configuration.
TRAINING = ("task", "data", "model", "train", "seeds", "variant")
SECTIONS = {
    "data/train": ("task", "data"),
    "data/validation": ("task", "data"),
    "data/probe": ("task", "data", "probe"),
    "models": TRAINING,
    "attention": (*TRAINING, "probe", "explain"),
    "controls": ("task", "data", "model", "train", "variants", "controls"),
    "comparison": ("task", "data", "model", "train", "seeds", "variants", "probe", "explain", "controls", "compare"),
}
MAKERS = {"data": "dataset", "models": "train", "attention": "analyze", "comparison": "compare"}  # else the kind itself
PARAMS = "params.json"
DAMAGE = (ValueError, LookupError, BadZipFile, FileNotFoundError)  # what reading a file that is not whole raises
OUTPUTS = "outputs"  # folder of what is made with other values than the study's


def values(config: Study, kind: str) -> dict[str, Any]:
    """Return the values that a kind of result depends on, as JSON can hold them; variants with what defines them."""
    sections = {name: getattr(config, name) for name in SECTIONS[kind]}
    if "variants" in sections:
        sections["variants"] = [load_variant(name) for name in config.variants]
    return {name: plain(value) for name, value in sections.items()}


def folder(config: Study, kind: str) -> Path:
    """Return the folder of a kind of result.

    It is the one that `dvc repro` keeps where all values it depends on are those of params.yaml and conf/;
    for any other values it is a folder of their own in outputs/, so that work by hand leaves the study alone.
    """
    wanted = values(config, kind)
    study = dataclasses.replace(params(), variant=config.variant and load_variant(config.variant.name))
    base = ROOT if wanted == values(study, kind) else ROOT / OUTPUTS / digest(wanted)
    return base / kind / config.variant.name if "variant" in wanted and config.variant else base / kind


def shown(path: Path) -> str:
    """Return a path as a user would write it: relative to the project's root where it lies inside."""
    return path.relative_to(ROOT).as_posix() if path.is_relative_to(ROOT) else str(path)


@contextmanager
def writing(config: Study, kind: str) -> Iterator[Path]:
    """Yield an empty folder that takes the place of `folder(config, kind)` once the block has ended well.

    The folder also gets params.json, the values its content depends on. An error or Ctrl-C leaves what was there.

    Raises:
        UserError: if the folder cannot be written, for instance on a full disk.
    """
    target = folder(config, kind)
    try:
        with replacing(target) as aside:
            yield aside
            write_text(aside / PARAMS, json.dumps(values(config, kind), indent=2) + "\n")
    except OSError as error:
        raise UserError(f"{shown(target)} cannot be written: {error.strerror or error}.") from error


@contextmanager
def replacing(target: Path) -> Iterator[Path]:
    """Yield an empty folder that takes the place of another once the block has ended well, and not before."""
    aside, old = target.with_name(f"{target.name}.part"), target.with_name(f"{target.name}.old.part")
    try:
        shutil.rmtree(aside, ignore_errors=True)
        aside.mkdir(parents=True)
        yield aside
        if target.exists():
            target.replace(old)
        aside.replace(target)
    finally:
        shutil.rmtree(aside, ignore_errors=True)
        shutil.rmtree(old, ignore_errors=True)


def made(config: Study, kind: str) -> Path:
    """Return the folder of a kind of result, which must hold one that was made from these very values.

    Raises:
        UserError: if it does not exist, or was made from other values; it names the command that makes it.
    """
    path = folder(config, kind)
    try:
        found = json.loads((path / PARAMS).read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise UserError(f"{shown(path)} does not exist yet: {remedy(config, kind)}") from None
    except ValueError:
        raise UserError(f"{shown(path / PARAMS)} is damaged: {remedy(config, kind)}") from None
    difference = _difference(found, values(config, kind))
    if difference:
        raise UserError(f"{shown(path)} was made with other values ({difference}): {remedy(config, kind)}")
    return path


@contextmanager
def reading(config: Study, kind: str) -> Iterator[Path]:
    """Yield `made(config, kind)`; files in it that turn out damaged end the block with a `UserError`."""
    path = made(config, kind)
    try:
        yield path
    except DAMAGE as error:
        raise UserError(f"{shown(path)} is damaged: {remedy(config, kind)}") from error


def remedy(config: Study, kind: str) -> str:
    """Return the half-sentence that names the command that makes a kind of result."""
    made, variant = kind.split("/", maxsplit=1)[0], config.variant
    stage = MAKERS.get(made, made)
    words = [f"+variant={variant.name}"] if variant and "variant" in SECTIONS[kind] else []
    words += [word for word in sys.argv[1:] if "=" in word and not word.startswith(("+variant=", "-"))]
    return f"run `{' '.join(['python -m', f'pipeline.{stage}', *words])}`."


def _difference(found: Any, wanted: Any, name: str = "") -> str:
    """Return the first difference between two JSON values, in words; nothing if they are equal."""
    if isinstance(found, dict) and isinstance(wanted, dict):
        inner = (_difference(found.get(k), wanted.get(k), f"{name}.{k}".lstrip(".")) for k in {**wanted, **found})
        return next((words for words in inner if words), "")
    return "" if found == wanted else f"{name} {found}, not {wanted}"


def load_array(path: Path, shape: tuple[int, ...], dtype: str, advice: str) -> NDArray[Any]:
    """Return an array of a `.npy` file, mapped into memory and read-only.

    Raises:
        UserError: if the file is missing, cut off, foreign, or of another shape or type; it ends with `advice`.
    """
    try:
        array: NDArray[Any] = np.load(path, mmap_mode="r", allow_pickle=False)
        fits = isinstance(array, np.ndarray) and array.shape == shape and array.dtype == np.dtype(dtype)
    except (ValueError, OSError, EOFError):
        fits = False
    if not fits:
        raise UserError(f"{shown(path)} is not a whole array of {dtype} {shape}: {advice}")
    return array
