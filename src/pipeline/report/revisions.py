"""The results of a study in the working folder or a git revision: hashes, files, and where they were made."""

import io
import json
import subprocess
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple
from zipfile import Path as PathInZip

import yaml

from pipeline.results import made_on
from pipeline.results.file_formats import File
from pipeline.results.made_on import Files, Machine
from pipeline.settings.project import ROOT, UserError

LOCK, CERTIFICATE = "dvc.lock", "docs/certificate.json"  # the second says where committed results were made
IN_GIT = "comparison"  # the output that git itself holds


class Output(NamedTuple):
    """A folder that a stage writes.

    `hash` is that of its files, and `locked` the one in dvc.lock: they differ if the files were changed afterwards.
    `files` is None where only the hash is known, since DVC's cache lacks the files.
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
    if not (ROOT / LOCK).is_file():
        raise UserError(f"{LOCK} does not exist yet: run `make repro`.")
    commit = _git("describe", "--always", "--dirty", "--abbrev=40", "--exclude=*") or None
    outputs, machines = {}, _machines(ROOT / CERTIFICATE)
    for name, locked in _locked(ROOT / LOCK).items():
        files = made_on.files_in(ROOT / name)
        if not files:
            raise UserError(f"{name} does not exist yet: run `make repro`, or `dvc pull` if its files were pushed.")
        outputs[name] = _output(made_on.content_hash(files), locked, files, machines)
    return _with_comparison(Results("the working folder", commit, outputs))


def in_revision(revision: str, parameter: str) -> Results:
    """Return the results of a git revision; a `UserError` names the parameter if there are none or no such revision."""
    commit = _git("rev-parse", "--verify", "--quiet", "--end-of-options", f"{revision}^{{commit}}")
    if not commit:
        raise UserError(
            f"{parameter} is {revision}: it must be a commit, branch or tag of this project's git repository."
        )
    content = PathInZip(io.BytesIO(_git_bytes("-c", "core.autocrlf=false", "archive", "--format=zip", commit)))
    if not (content / LOCK).is_file():
        raise UserError(f"{parameter} is {revision}: it must be a revision with results, but {LOCK} is not in it.")
    outputs, machines = {}, _machines(content / CERTIFICATE)
    for name, locked in _locked(content / LOCK).items():
        if files := _in_zip(content / name):
            outputs[name] = _output(made_on.content_hash(files), locked, files, machines)
        else:
            outputs[name] = _output(locked, locked, _in_cache(locked), machines)
    shown = revision if commit.startswith(revision) else f"{revision} ({commit[:7]})"
    return _with_comparison(Results(shown, commit, outputs))


def _output(content: str, locked: str, files: Files | None, machines: Mapping[str, Machine]) -> Output:
    return Output(content, locked, files, made_on.machine_of(content) or machines.get(content, {}))


def _with_comparison(results: Results) -> Results:
    if IN_GIT not in results.outputs or not results.tables():
        raise UserError(f"{IN_GIT} does not exist in {results.name}: run `make repro`, and commit what it writes.")
    return results


def _locked(lock: File) -> dict[str, str]:
    """Return output -> hash in a dvc.lock, for outputs that are folders, in the order of their names."""
    stages = yaml.safe_load(lock.read_text(encoding="utf-8"))["stages"].values()
    hashes = {out["path"]: out["md5"] for stage in stages for out in stage.get("outs", ())}
    return {name: content for name, content in sorted(hashes.items()) if content.endswith(".dir")}


def _machines(certificate: File) -> dict[str, Machine]:
    """Return hash of an output -> machine, as a certificate states it; empty if there is none."""
    if not certificate.is_file():
        return {}
    try:
        stated: Any = json.loads(certificate.read_text(encoding="utf-8"))
        outputs = [output for side in ("results", "compared with") for output in stated[side]["outputs"].values()]
        return {output["hash"]: stated["machines"][output["machine"]] for output in outputs if output["machine"]}
    except (ValueError, LookupError, TypeError, AttributeError) as error:
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


def _in_cache(locked: str) -> Files | None:
    """Return the files of an output from DVC's cache; None if it lacks any of them."""
    listing = _cached(locked)
    if not listing.is_file():
        return None
    files = {part["relpath"]: _cached(part["md5"]) for part in json.loads(listing.read_text(encoding="utf-8"))}
    return files if all(path.is_file() for path in files.values()) else None


def _cached(content: str) -> Path:
    """Return where DVC's cache has a content with this hash, if it has it."""
    return Path(_cache().oid_to_path(content))


@cache
def _cache() -> Any:
    from dvc.repo import Repo  # here, since it takes a third of a second that two equal revisions do not need

    with Repo(str(ROOT)) as repo:
        return repo.cache.local


def _git(*words: str) -> str:
    return _git_bytes(*words).decode().strip()


def _git_bytes(*words: str) -> bytes:
    """Return what a git command prints; nothing if it fails."""
    return subprocess.run(["git", *words], cwd=ROOT, capture_output=True, check=False).stdout
