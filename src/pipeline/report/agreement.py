"""How far two results of the same study agree: in their bytes, digits, verdicts and conclusions."""

import io
import json
from collections.abc import Iterator, Mapping
from math import floor, inf, isfinite, isnan, log10, nan
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from pipeline.report.effects import SIGNIFICANCE
from pipeline.report.revisions import DAMAGE, IN_GIT, Output, Results, in_cache
from pipeline.report.verdicts import NOT_LEARNED
from pipeline.results.file_formats import read_rows
from pipeline.results.folders import CORRUPT, PARAMS
from pipeline.results.made_on import Files
from pipeline.results.stage_files import NULL_KEY, UNIFORM
from pipeline.settings.project import UserError
from pipeline.settings.user_code import TARGET

LEVELS = ("bytes", "digits", "verdicts", "conclusions")
NAMES = ("control", "effect", "metric", "explanation", "variant", "seed", "curve", "part", "batch", "step")
ALL_DIGITS = 9  # significant digits in the tables
NEGLIGIBLE = 1e-9  # absolute difference below which two numbers agree in all digits, since one of them may be zero
MISSING = "missing"
PROVED = "pipeline."  # code that has the same bytes on any x86-64 processor: tests/test_same_bytes.py
Pair = tuple[Any, Any]  # the same thing in the first and in the second results
Difference = dict[str, Pair]  # name -> what differs


class Number(NamedTuple):
    """A number of the tables in two results; `name` says which, with variant and seed."""

    table: str
    name: str
    values: tuple[float, float]

    @property
    def digits(self) -> int:
        """Return how many significant digits agree."""
        return agreeing_digits(*self.values)

    @property
    def relative(self) -> float:
        """Return the difference, as a share of the larger value."""
        return _relative(*self.values)


class Changed(NamedTuple):
    """An output whose bytes differ.

    `files` are those that differ, None if one of the results is known only by its hashes; `arrays` is file -> largest
    difference, which array it is in and, where the first axis is the seeds, which seeds differ.
    """

    files: list[str] | None
    arrays: dict[str, str]


class Agreement(NamedTuple):
    """What two results have in common; if their `settings` differ, nothing else was compared.

    Every number in the tables agrees to at least `digits` significant digits; `numbers` holds the number that agrees
    least, for each table with differences; `verdicts` and `conclusions` are those that differ, out of how many.
    `unproved` is code that no test of this project has run on several processors: the user's own, or of other packages.
    """

    settings: Difference
    outputs: dict[str, Changed]
    digits: int = 0
    numbers: list[Number] = []  # noqa: RUF012 (never changed)
    verdicts: tuple[Difference, int] = ({}, 0)
    conclusions: tuple[Difference, int] = ({}, 0)
    unproved: list[str] = []  # noqa: RUF012 (never changed)

    def level(self, digits: int) -> str | None:
        """Return the strictest of `LEVELS` that is reached, None if none is; a level includes those after it."""
        holds = (not self.outputs, self.digits >= digits, not self.verdicts[0], not self.conclusions[0])
        return next((level for n, level in enumerate(LEVELS) if all(holds[n:]) and not self.settings), None)

    def reaches(self, level: str, digits: int) -> bool:
        """Return whether a level is reached; for that of digits, `digits` of them must agree."""
        reached = self.level(digits)
        return reached is not None and LEVELS.index(reached) <= LEVELS.index(level)


class Contents(NamedTuple):
    """What the files of a comparison state: its settings, numbers by table and name, verdicts and conclusions."""

    settings: dict[str, Any]
    seeds: list[int]
    numbers: dict[tuple[str, str], float]
    verdicts: dict[str, str]
    conclusions: dict[str, str]


def compare(here: Results, there: Results) -> Agreement:
    """Return how far two results agree; a `UserError` if one of them is damaged."""
    a, b = _contents(here), _contents(there)
    settings = differing(a.settings, b.settings)
    if settings:
        return Agreement(settings, {})
    pairs = {name: (here.outputs.get(name), there.outputs.get(name)) for name in here.outputs | there.outputs}
    changed = {n: (x, y) for n, (x, y) in pairs.items() if not (x and y and x.hash == y.hash)}
    numbers = [Number(*name, (a.numbers.get(name, nan), b.numbers.get(name, nan))) for name in a.numbers | b.numbers]
    return Agreement(
        settings,
        {name: _changed(*outputs, a.seeds) for name, outputs in changed.items()},
        min((number.digits for number in numbers), default=ALL_DIGITS),
        _least_by_table(numbers),
        (differing(a.verdicts, b.verdicts), len(a.verdicts | b.verdicts)),
        (differing(a.conclusions, b.conclusions), len(a.conclusions | b.conclusions)),
        sorted({code for name, code in a.settings.items() if name.endswith(TARGET) and not code.startswith(PROVED)}),
    )


def _contents(results: Results) -> Contents:
    files = results.tables()
    try:
        settings = json.loads(files[PARAMS].read_text(encoding="utf-8"))
        numbers = (pair for name in sorted(files) if name.endswith(".csv") for pair in _numbers(files, name))
        return Contents(_flat(settings), settings["seeds"], dict(numbers), verdicts(files), conclusions(files))
    except DAMAGE as error:
        raise UserError(f"{IN_GIT} of {results.name} is damaged: run `make repro`.") from error


def differing(here: Mapping[str, Any], there: Mapping[str, Any]) -> Difference:
    """Return name -> both values, for the names whose values differ."""
    pairs = {name: (here.get(name, MISSING), there.get(name, MISSING)) for name in {**here, **there}}
    return {name: pair for name, pair in pairs.items() if pair[0] != pair[1]}


def agreeing_digits(a: float, b: float) -> int:
    """Return how many significant digits of two numbers agree: N if they differ by at most 10^-N of the larger one."""
    relative = max(_relative(a, b), 10**-ALL_DIGITS)
    return max(0, floor(-log10(relative))) if relative < inf else 0


def _relative(a: float, b: float) -> float:
    """Return the difference of two numbers as a share of the larger; 0 if it is negligible, infinite with NaN."""
    if a == b or (isnan(a) and isnan(b)):
        return 0
    difference = abs(a - b)
    if not isfinite(difference):
        return inf
    return 0 if difference <= NEGLIGIBLE else difference / max(abs(a), abs(b))


def verdicts(files: Files) -> dict[str, str]:
    """Return run -> its verdict, for the runs of the study and the controls."""
    return {_name(row): row["verdict"] for name in ("runs.csv", "controls.csv") for row in _rows(files, name)}


def conclusions(files: Files) -> dict[str, str]:
    """Return name -> what the report concludes from the numbers.

    These are the step at which each variant's attention peaks; the direction of each effect that is significant after
    Holm's correction; whether models learn with frozen attention, and with a null key.
    """
    found = {f"peak of {row['variant']}": f"step {row['peak_step']}" for row in _rows(files, "summary.csv")}
    for row in _rows(files, "effects.csv"):
        direction = "positive" if row["iqm"] > 0 else "negative"
        significant = row["p_holm"] < SIGNIFICANCE
        found[f"effect of {row['effect']} on {row['metric']}"] = direction if significant else "not significant"
    outcomes: dict[str, set[bool]] = {}
    for row in _rows(files, "controls.csv"):
        name = {UNIFORM: f"{UNIFORM} {row['placement']} the LSTM", NULL_KEY: NULL_KEY}.get(row["control"])
        if name:
            outcomes.setdefault(name, set()).add(row["verdict"] != NOT_LEARNED)
    words = {(True,): "all learn", (False,): "none learns", (False, True): "some learn"}
    return found | {name: words[tuple(sorted(learned))] for name, learned in outcomes.items()}


def _rows(files: Files, table: str) -> list[dict[str, Any]]:
    """Return the rows of a table of a comparison; none if it is not there."""
    return read_rows(files[table]) if table in files else []


def _name(row: Mapping[str, Any]) -> str:
    """Return what tells a row of a table from the others, such as "after_shared, seed 3"."""
    words = {"seed": "seed ", "part": "part ", "batch": "batch ", "step": "step "}
    return ", ".join(f"{words.get(name, '')}{row[name]}" for name in NAMES if name in row)


def _numbers(files: Files, table: str) -> Iterator[tuple[tuple[str, str], float]]:
    """Yield table and name of each number in a table, and the number."""
    for row in _rows(files, table):
        for column, value in row.items():
            if column not in NAMES and not isinstance(value, str):
                yield (table, f"{column} of {_name(row)}"), float(value)


def _least_by_table(numbers: list[Number]) -> list[Number]:
    """Return the number that agrees least in each table, those that agree least first."""
    least: dict[str, Number] = {}
    for number in sorted(numbers, key=lambda number: -number.relative):
        if number.relative > 0:
            least.setdefault(number.table, number)
    return list(least.values())


def _flat(values: Any, name: str = "") -> dict[str, Any]:
    """Return nested settings as section.name -> value; definitions of variants by their names."""
    if isinstance(values, list) and values and isinstance(values[0], dict):
        values = {value["name"]: value for value in values}
    if isinstance(values, dict):
        return {k: v for key, value in values.items() for k, v in _flat(value, f"{name}.{key}".lstrip(".")).items()}
    return {name: values}


def _changed(here: Output | None, there: Output | None, seeds: list[int]) -> Changed:
    """Return in which files two outputs of other bytes differ, and by how much in the arrays among them."""
    sides = [(output.files or in_cache(output.hash) or {}) if output else {} for output in (here, there)]
    if not all(sides):
        return Changed(None, {})
    pairs = {n: [side[n].read_bytes() if n in side else b"" for side in sides] for n in sorted({*sides[0], *sides[1]})}
    pairs = {name: pair for name, pair in pairs.items() if pair[0] != pair[1]}
    arrays = {n: pair for n, pair in pairs.items() if n.endswith((".npz", ".npy")) and all(pair)}
    return Changed(
        list(pairs), {n: _gap(pair[0], pair[1], [] if "seed-" in n else seeds) for n, pair in arrays.items()}
    )


def _gap(here: bytes, there: bytes, seeds: list[int]) -> str:
    """Return by how much the arrays in two files differ at most, in which array and, by the first axis, which seeds."""
    try:
        pairs = zip(_arrays(here).items(), _arrays(there).values(), strict=True)
        gaps = {name: np.nan_to_num(np.abs(a.astype(float) - b), nan=inf, posinf=inf) for (name, a), b in pairs}
    except CORRUPT:
        return "damaged, or of another shape"
    name = max(gaps, key=lambda name: float(gaps[name].max(initial=0)))
    found = f"up to {gaps[name].max(initial=0):.2g}" + (f" in {name}" if name else "")
    by_seed = zip(seeds, gaps[name], strict=True) if len(gaps[name]) == len(seeds) else ()
    differing_seeds = [str(seed) for seed, part in by_seed if part.any()]
    return f"{found} (seed {', '.join(differing_seeds)})" if differing_seeds else found


def _arrays(content: bytes) -> dict[str, NDArray[Any]]:
    """Return name -> array of a file; an `.npy` file has one, without a name."""
    loaded: Any = np.load(io.BytesIO(content), allow_pickle=False)
    return {"": loaded} if isinstance(loaded, np.ndarray) else dict(loaded)
