"""Variants whose weights are relevance, of any sum over the steps: told apart by name in every table and figure."""

import dataclasses
from collections.abc import Iterable
from typing import TypeVar

from pipeline.report.tables import VariantResult
from pipeline.results.stage_files import AttendedSeed, ControlRun

Part = TypeVar("Part", VariantResult, ControlRun)
NOTE = (
    "Variants called *NAME: relevance* have weights that need not sum to 1 over the steps. Each sample's are divided "
    "by their sum, so that its measures compare with those of attention: which step is largest, and the order of the "
    "steps, stay as they are; what the sum says is lost. The mean of the sums is `weight_sum` in runs.csv."
)


def shown_name(name: str, seeds: Iterable[AttendedSeed]) -> str:
    """Return the name of a variant as tables and figures show it, given the attention of its seeds."""
    return f"{name}: relevance" if any(seed.relevance for seed in seeds) else name


def marked(results: list[VariantResult], controls: list[ControlRun]) -> tuple[list[VariantResult], list[ControlRun]]:
    """Return results and control runs with the names of their variants as tables and figures show them."""
    names = {result.variant.name: shown_name(result.variant.name, result.attended.values()) for result in results}

    def named(part: Part) -> Part:
        name = names.get(part.variant.name, part.variant.name)
        return part._replace(variant=dataclasses.replace(part.variant, name=name))

    return [named(result) for result in results], [named(run) for run in controls]
