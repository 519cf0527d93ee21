"""The results of a study in the working folder or a git revision: hashes, files, and where they were made."""

import csv
import io
import json
import subprocess
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple
from zipfile import Path as PathInZip

import yaml

from pipeline.results import made_on
from pipeline.results.file_formats import File
from pipeline.results.folders import PARAMS
from pipeline.results.made_on import Files, Machine
from pipeline.settings.project import ROOT, UserError

LOCK, CERTIFICATE = "dvc.lock", "docs/certificate.json"  # the second says where committed results were made
IN_GIT = "comparison"  # the output that git itself holds
HERE = "the working folder"
DAMAGE = (ValueError, LookupError, TypeError, AttributeError, csv.Error)  # raised on reading what is not as expected


class Output(NamedTuple):
    """A folder that a stage writes.

    `hash` is that of its files, and `locked` the one in dvc.lock: they differ if the files were changed afterwards.
    `files` is None where only the hash is known: `in_cache` may have the files. `machine` is the one on which they
    were made: for a revision only what its certificate says, since another machine may have made the same bytes later.
    """

    hash: str
    locked: str
    files: Files | None
    machine: Machine


class Results(NamedTuple):
    """All results of a study: output -> its content; `name` is where they are, `commit` what git calls it."""

    name: str
    commit: str | None
    outputs: dict[str, Output]

    def tables(self) -> Files:
        """Return the files of the comparison."""
        return self.outputs[IN_GIT].files or {}

    def processors(self) -> str:
        """Return on which processors the results were made."""
        names = [output.machine.get("processor", "an unrecorded processor") for output in self.outputs.values()]
        return " and ".join(dict.fromkeys(names))


def in_working_folder() -> Results:
    """Return the results in the working folder, hashed now; a `UserError` if there are none, or some are missing."""
    commit = _git("describe", "--always", "--dirty", "--abbrev=40", "--exclude=*") or None
    outputs, machines = {}, _machines(ROOT / CERTIFICATE)
    for name, locked in _locked(ROOT, HERE).items():
        files = made_on.files_in(ROOT / name)
        if not files:
            raise UserError(f"{name} does not exist yet: run `make repro`, or `dvc pull` if its files were pushed.")
        content = made_on.content_hash(files)
        outputs[name] = Output(content, locked, files, made_on.machine_of(content) or machines.get(content, {}))
    return Results(HERE, commit, outputs)


def in_revision(revision: str, parameter: str) -> Results:
    """Return the results of a git revision; a `UserError` names the parameter if there are none or no such revision."""
    commit = _git("rev-parse", "--verify", "--quiet", "--end-of-options", f"{revision}^{{commit}}")
    if not commit:
        words = "a commit, branch or tag of the project's git repository"
        raise UserError(f"{parameter} is {revision}: it must be {words}.")
    archive = PathInZip(io.BytesIO(_git_bytes("-c", "core.autocrlf=false", "archive", "--format=zip", commit)))
    outputs, machines = {}, _machines(archive / CERTIFICATE)
    for name, locked in _locked(archive, f"{parameter} is {revision}, which").items():
        in_git = _in_zip(archive / name)
        content = made_on.content_hash(in_git) if in_git else locked
        outputs[name] = Output(content, locked, in_git or None, machines.get(content, {}))
    return Results(revision if commit.startswith(revision) else f"{revision} ({commit[:7]})", commit, outputs)


def _locked(root: File, where: str) -> dict[str, str]:
    """Return output -> hash in dvc.lock; a `UserError` if there are no results.

    DVC keeps the entries of variants that are no longer in the study; those are left out.
    """
    lock, settings = root / LOCK, root / IN_GIT / PARAMS
    if not (lock.is_file() and settings.is_file()):
        raise UserError(f"{where} has no results: run `make repro`, and commit what it writes.")
    try:
        variants = [variant["name"] for variant in json.loads(settings.read_text(encoding="utf-8"))["variants"]]
        stages = yaml.safe_load(lock.read_text(encoding="utf-8"))["stages"].items()
        outs = [out for name, stage in stages if name.partition("@")[2] in ("", *variants) for out in stage["outs"]]
        return {out["path"]: out["md5"] for out in sorted(outs, key=lambda out: out["path"])}
    except DAMAGE as error:
        raise UserError(f"{where} has a damaged {LOCK} or {IN_GIT}/{PARAMS}: run `make repro`.") from error


def _machines(certificate: File) -> dict[str, Machine]:
    """Return hash of an output -> machine, as a certificate states it; empty if there is none."""
    if not certificate.is_file():
        return {}
    try:
        stated: Any = json.loads(certificate.read_text(encoding="utf-8"))
        outputs = [output for side in ("results", "compared with") for output in stated[side]["outputs"].values()]
        return {output["hash"]: stated["machines"][output["machine"]] for output in outputs if output["machine"]}
    except DAMAGE as error:
        advice = f"write it again: `python -m pipeline.verify certificate={CERTIFICATE}`"
        raise UserError(f"{CERTIFICATE} is damaged: remove it, or {advice}.") from error


def _in_zip(folder: PathInZip) -> dict[str, PathInZip]:
    """Return path inside a folder of an archive -> file; empty if there is no such folder."""
    found: dict[str, PathInZip] = {}
    for path in folder.iterdir() if folder.is_dir() else ():
        if path.is_dir():
            found |= {f"{path.name}/{name}": file for name, file in _in_zip(path).items()}
        else:
            found[path.name] = path
    return found


def in_cache(content: str) -> Files | None:
    """Return the files of an output with this hash from DVC's cache; None if it lacks any of them."""
    listing = _cached(content)
    if not listing.is_file():
        return None
    files = {part["relpath"]: _cached(part["md5"]) for part in json.loads(listing.read_text(encoding="utf-8"))}
    return files if all(path.is_file() for path in files.values()) else None


def _cached(content: str) -> Path:
    """Return where DVC's cache has a content with this hash, if it has it."""
    return Path(_cache().oid_to_path(content))


@cache
def _cache() -> Any:
    from dvc.repo import Repo  # here, since it takes a third of a second that equal results do not need

    with Repo(str(ROOT)) as repo:
        return repo.cache.local


def _git(*words: str) -> str:
    return _git_bytes(*words).decode().strip()


def _git_bytes(*words: str) -> bytes:
    """Return what a git command prints; nothing if it fails."""
    return subprocess.run(["git", *words], cwd=ROOT, capture_output=True, check=False).stdout
