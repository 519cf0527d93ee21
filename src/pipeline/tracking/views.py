"""Saved views of MLflow's page of runs: what they show, as the tags of the experiment in which MLflow keeps them.

Their ids are fixed, so that they are brought up to date and never doubled. Views with other ids are the user's own.
"""

import json
import re
from typing import Any, NamedTuple

VIEW = "mlflow.sharedViewState."  # tag of an experiment: this and the view's id
OWN = f"{VIEW}attention-"  # how the tags of the project's views begin
FORM = "3.17."  # how the versions of MLflow begin whose pages read a view in this form
SINCE = 1_767_225_600_000  # milliseconds; MLflow asks when a view was made: a fixed time, so that equal views are equal
SECTION = "attention-charts"
GROUPED = {"aggregateFunction": "average", "groupByKeys": [{"mode": "tag", "groupByData": "variant"}]}
ALL_SEEDS = "tags.kind = 'seed'"
WIDTH, HEIGHT = 170, 500  # of a column and of a chart, in pixels


class View(NamedTuple):
    """A view: its title, and the charts in it; without any, it is the list of runs."""

    title: str
    charts: tuple[str, ...] = ()  # metrics, each drawn as lines over its steps, or as points over `along`
    grouped: bool = True  # by variant, with the mean of each
    along: str = ""  # the param along x


KEY_MASS_LEARNED = "key_mass_by_batch"  # metric of a run: key mass while its model trained
VARIANTS, STEPS, LEARNING, WRONG = (f"{OWN}{name}" for name in ("variants", "steps", "learning", "wrong"))
SWEEP = f"{OWN}sweep-"  # a sweep's name begins with sweep-
VIEWS = {
    VARIANTS: View("The four variants"),
    STEPS: View("Attention over the time steps", ("attention",)),
    LEARNING: View("Learning", ("train_loss", KEY_MASS_LEARNED)),
    WRONG: View("Seeds that went wrong", grouped=False),
}


def tags(score: str = "balanced_accuracy", variants: int = 4, comparison: str = "") -> dict[str, str]:
    """Return the tags of an experiment that hold the views.

    Args:
        score: the metric that says whether the task is learned.
        variants: how many are compared.
        comparison: the hash of the comparison whose runs are shown; without one, the runs of all seeds are.
    """
    shown = f"tags.comparison = '{comparison}'" if comparison else ALL_SEEDS
    views = VIEWS if variants == 4 else VIEWS | {VARIANTS: View("The variants")}
    wrong = f"{shown} AND tags.verdict != 'correct'"
    return {tag: _saved(view, _columns(score), wrong if tag == WRONG else shown) for tag, view in views.items()}


def of_sweep(name: str, along: str, score: str) -> dict[str, str]:
    """Return the tag that holds the view of a sweep: the runs that have a tag with its name.

    Args:
        name: of the sweep.
        along: the param of these runs along x.
        score: the metric that says whether the task is learned.
    """
    view = View(f"Sweep of {along} ({name})", ("key_mass", score), grouped=False, along=along)
    columns = [f"params.`{along}`", *_columns(score)]
    return {f"{OWN}{name}": _saved(view, columns, f"tags.`{name}` LIKE '%'")}


def links(address: str, experiment_id: str, found: dict[str, str]) -> dict[str, str]:
    """Return title -> link of each of the project's views.

    Args:
        address: that of MLflow's pages, which end with a slash; empty for links inside of a page.
        experiment_id: of the experiment whose runs are shown.
        found: the tags of that experiment, perhaps without some of the views.
    """
    page = f"{address}#/experiments/{experiment_id}/runs?viewStateShareKey="
    charts = "&compareRunsMode=CHART"
    tags = [*(tag for tag in VIEWS if tag in found), *sorted(tag for tag in found if tag.startswith(SWEEP))]
    opened = {tag: charts if tag not in VIEWS or VIEWS[tag].charts else "" for tag in tags}
    return {json.loads(found[tag])["name"]: f"{page}{tag.removeprefix(VIEW)}{way}" for tag, way in opened.items()}


def _columns(score: str) -> list[str]:
    return ["metrics.`key_mass`", "metrics.`hit_rate`", f"metrics.`{score}`", "tags.`verdict`"]


def _saved(view: View, columns: list[str], shown: str) -> str:
    """Return a view in the form in which MLflow 3.17 saves one."""
    state: dict[str, Any] = {"searchFilter": shown, "orderByKey": "tags.`variant`", "orderByAsc": True}
    state |= {"groupBy": GROUPED if view.grouped else None, "runsHiddenMode": "SHOW_ALL"}
    state |= {"useGroupedValuesInCharts": view.grouped}
    state |= {"selectedColumns": columns, "columnOrder": columns, "columnWidths": dict.fromkeys(columns, WIDTH)}
    state |= _charts(view) if view.charts else {}
    named = {"name": view.title, "createdAt": SINCE, "updatedAt": SINCE}
    return json.dumps({**named, "state": json.dumps(state, ensure_ascii=False)}, ensure_ascii=False)


def _charts(view: View) -> dict[str, Any]:
    """Return the part of a view's state that draws its charts; the filter leaves out the charts that MLflow adds."""
    section = {"uuid": SECTION, "name": "Model metrics", "display": True, "isReordered": False, "deleted": False}
    section |= {"isGenerated": False, "columns": len(view.charts), "cardHeight": HEIGHT}
    found = [view.along] if view.along else view.charts  # MLflow's own bars have the metrics of the points, no param
    return {
        "compareRunCharts": [_points(view.along, name) if view.along else _lines(name) for name in view.charts],
        "compareRunSections": [section],
        "chartsSearchFilter": f"^({'|'.join(map(re.escape, found))})$",
        "hideEmptyCharts": True,
    }


def _lines(metric: str) -> dict[str, Any]:
    line = {"type": "LINE", "xAxisKey": "step", "useGlobalXaxisKey": True, "useGlobalLineSmoothing": True}
    line |= {"lineSmoothness": 0, "scaleType": "linear", "xAxisScaleType": "linear", "selectedXAxisMetricKey": ""}
    line |= {"range": {}, "yAxisKey": "metric", "yAxisExpressions": [], "ignoreOutliers": False}
    return {**_chart(metric), **line, "metricKey": metric}


def _points(param: str, metric: str) -> dict[str, Any]:
    axes = {"xaxis": {"key": param, "type": "PARAM"}, "yaxis": {"key": metric, "type": "METRIC"}}
    return {**_chart(metric), "type": "SCATTER", **axes}


def _chart(metric: str) -> dict[str, Any]:
    chart = {"uuid": f"attention-{metric}", "metricSectionId": SECTION, "deleted": False, "isGenerated": False}
    return {**chart, "runsCountToCompare": 100}
