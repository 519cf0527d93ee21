"""The certificate of reproducibility: how far two results agree, in words and as a file to send to a reviewer."""

import json
from collections.abc import Iterator
from itertools import islice
from typing import Any

from pipeline.report.agreement import ALL_DIGITS, Agreement, Difference, Number
from pipeline.report.revisions import Output, Results
from pipeline.results.file_formats import write_text
from pipeline.results.made_on import Machine
from pipeline.settings.project import ROOT, UserError

SHOWN = 10  # files of an output that are named


def first_line(agreement: Agreement, here: Results, there: Results) -> str:
    """Return in one line how far two results agree, what differs most, and on which processors they were made."""
    if agreement.settings:
        return f"Not compared: {_listed(agreement.settings, there, ' is', 3)}."
    if agreement.outputs:
        names = list(agreement.outputs)
        listed = f"{', '.join(names[:3])}{', …' if len(names) > 3 else ''}"
        said = ", ".join(_agreed(agreement, there))
        said = f"{said[0].upper()}{said[1:]}; other bytes in {len(names)} of {len(here.outputs)} outputs ({listed})"
    else:
        said = f"The same bytes in all {len(here.outputs)} outputs"
    return f"{said}{_worst(agreement, there)}; {_made(here, there)}."


def _made(here: Results, there: Results) -> str:
    a, b = here.processors(), there.processors()
    return f"{here.name} was made on {a}, {there.name} on {b}" if a != b else f"both were made on {a}"


def _agreed(agreement: Agreement, there: Results) -> Iterator[str]:
    """Yield how the digits, verdicts and conclusions agree, in words."""
    words = {0: "other numbers", ALL_DIGITS: "the same numbers in all tables"}
    yield words.get(agreement.digits, f"the same to {agreement.digits} digits")
    for kind in ("verdicts", "conclusions"):
        differ, total = getattr(agreement, kind)
        yield f"{len(differ)} of {total} {kind} differ ({_listed(differ, there)})" if differ else f"the same {kind}"


def _worst(agreement: Agreement, there: Results) -> str:
    """Return which number differs most, that of a run if there is one; if all are the same, an array that differs."""
    if not agreement.numbers:
        gaps = (
            f"{name}/{file} {gap}" for name, output in agreement.outputs.items() for file, gap in output.arrays.items()
        )
        return "".join(f"; for example {gap}" for gap in islice(gaps, 1))
    worst = next((number for number in agreement.numbers if number.table == "runs.csv"), agreement.numbers[0])
    return f"; largest difference: {_number(worst, there)}"


def _number(number: Number, there: Results) -> str:
    a, b = (f"{value:.9g}" for value in number.values)
    return f"{number.name} is {a}, {b} at {there.name} ({number.table})"


def _listed(differ: Difference, there: Results, sign: str = ":", most: int = 1) -> str:
    lines = [f"{name}{sign} {a}, {b} at {there.name}" for name, (a, b) in list(differ.items())[:most]]
    return "; ".join([*lines, *(["…"] if len(differ) > most else [])])


def details(agreement: Agreement, here: Results, there: Results) -> list[str]:
    """Return all that differs or may differ, a line for each thing."""
    lines = [f"{name}: {_output(name, agreement, here, there)}." for name in agreement.outputs]
    for kind, (differ, _) in (("verdict", agreement.verdicts), ("conclusion", agreement.conclusions)):
        lines += [f"{kind}: {_listed({name: pair}, there)}." for name, pair in differ.items()]
    lines += [f"{number.digits} digits agree: {_number(number, there)}." for number in agreement.numbers]
    return lines + [
        f"{code}: other processors may give other bytes, since no test covers it." for code in agreement.unproved
    ]


def _output(name: str, agreement: Agreement, here: Results, there: Results) -> str:
    """Return in words how the bytes of an output differ."""
    lacking = [results.name for results in (here, there) if name not in results.outputs]
    if lacking:
        return f"not in {lacking[0]}"
    files, arrays = agreement.outputs[name]
    if files is None:
        return (
            "its old files are not in DVC's cache, so only hashes are compared (`dvc fetch --all-commits` gets files)"
        )
    listed = [f"{file} {arrays.get(file, '')}".strip() for file in sorted(files, key=lambda file: file not in arrays)]
    more = [f"and {len(listed) - SHOWN} more files"] if len(listed) > SHOWN else []
    altered = "; not what `dvc repro` wrote, according to dvc.lock" if _is_altered(here.outputs[name]) else ""
    return f"{', '.join(listed[:SHOWN] + more)}{altered}"


def _is_altered(output: Output) -> bool:
    return output.hash != output.locked


def write(name: str, agreement: Agreement, here: Results, there: Results, digits: int) -> None:
    """Write the certificate to a file, given by its path from the project's root; a `UserError` if it cannot be."""
    try:
        write_text(ROOT / name, text(agreement, here, there, digits))
    except OSError as error:
        raise UserError(f"certificate is {name}: it cannot be written ({error.strerror}).") from error


def text(agreement: Agreement, here: Results, there: Results, digits: int) -> str:
    """Return the certificate as JSON; it contains no date, no path outside the project, no name of a host or a user.

    `digits` is how many digits must agree for the level of that name.
    """
    machines: list[Machine] = []
    for output in [*here.outputs.values(), *there.outputs.values()]:
        if output.machine and output.machine not in machines:
            machines.append(output.machine)
    stated = {
        "agreement": first_line(agreement, here, there),
        "level": agreement.level(digits),
        "digits": agreement.digits,
        "results": _stated(here, machines),
        "compared with": _stated(there, machines),
        "machines": {_key(number): machine for number, machine in enumerate(machines)},
        "settings that differ": agreement.settings,
        "outputs that differ": {name: _output(name, agreement, here, there) for name in agreement.outputs},
        "verdicts that differ": agreement.verdicts[0],
        "conclusions that differ": agreement.conclusions[0],
        "not tested on several processors": agreement.unproved,
        "least agreement in each table": [_number(number, there) for number in agreement.numbers],
    }
    return json.dumps(stated, indent=2, ensure_ascii=False) + "\n"


def _stated(results: Results, machines: list[Machine]) -> dict[str, Any]:
    outputs = {
        name: {"hash": output.hash, "machine": _key(machines.index(output.machine)) if output.machine else None}
        for name, output in results.outputs.items()
    }
    return {"name": results.name, "commit": results.commit, "outputs": outputs}


def _key(number: int) -> str:
    return f"machine {number + 1}"
