"""Variants whose weights are relevance, of any sum over the steps: told apart by name wherever they are shown.

In tables on disk the names are those of the variants, and the column `weight_sum` tells them apart.
"""

import dataclasses
from collections.abc import Iterable
from typing import TypeVar

from pandas import DataFrame

from pipeline.report.tables import Tables, VariantResult
from pipeline.results.stage_files import AttendedSeed, ControlRun

Part = TypeVar("Part", VariantResult, ControlRun)
NOTE = (
    "Variants called *NAME: relevance* have weights that need not sum to 1 over the steps. Each sample's are divided "
    "by their sum, so that its measures compare with those of attention: which step is largest, and the order of the "
    "steps, stay as they are; what the sum says is lost. The mean of the sums is `weight_sum` in runs.csv."
)


def shown_name(name: str, seeds: Iterable[AttendedSeed]) -> str:
    """Return the name of a variant as figures and printed tables show it, given the attention of its seeds."""
    return marked(name) if any(seed.relevance for seed in seeds) else name


def marked(name: str) -> str:
    """Return the name of a variant of relevance as it is shown."""
    return f"{name}: relevance"


def shown_names(results: list[VariantResult]) -> dict[str, str]:
    """Return name of a variant -> name as it is shown."""
    return {result.variant.name: shown_name(result.variant.name, result.attended.values()) for result in results}


def renamed(part: Part, names: dict[str, str]) -> Part:
    """Return the results of a variant, or a control run, with the name as it is shown."""
    name = part.variant.name
    return part._replace(variant=dataclasses.replace(part.variant, name=names.get(name, name)))


def renamed_table(table: DataFrame, names: dict[str, str]) -> DataFrame:
    """Return a table with the names in its column `variant`, if it has one, as they are shown."""
    return table.assign(variant=table["variant"].replace(names)) if "variant" in table else table


def renamed_tables(tables: Tables, names: dict[str, str]) -> Tables:
    """Return the tables of a comparison with the names as they are shown."""
    return Tables(*(renamed_table(table, names) for table in tables))
