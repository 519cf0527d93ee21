"""Saved views of MLflow's page of runs: what they show, as the tags of the experiment in which MLflow keeps them.

Their ids are fixed, so that they are brought up to date and never doubled. Views with other ids are the user's own.
"""

import json
from typing import Any, NamedTuple

VIEW = "mlflow.sharedViewState."  # tag of an experiment: this and the view's id
SINCE = 1_767_225_600_000  # milliseconds; MLflow asks when a view was made: a fixed time, so that equal views are equal
SECTION = "attention-charts"
GROUPED = {"aggregateFunction": "average", "groupByKeys": [{"mode": "tag", "groupByData": "variant"}]}
ALL_SEEDS = "tags.kind = 'seed'"
WIDTH, HEIGHT = 170, 500  # of a column and of a chart, in pixels


class View(NamedTuple):
    """A view: its title, and the charts in it; without any, it is the list of runs."""

    title: str
    charts: tuple[str, ...] = ()  # metrics, each drawn as lines over its steps


KEY_MASS_LEARNED = "key_mass_by_batch"  # metric of a run: key mass while its model trained
VARIANTS, STEPS, LEARNING = (f"{VIEW}attention-{name}" for name in ("variants", "steps", "learning"))
VIEWS = {
    VARIANTS: View("The four variants"),
    STEPS: View("Attention over the time steps", ("attention",)),
    LEARNING: View("Learning", ("train_loss", KEY_MASS_LEARNED)),
}


def tags(score: str = "balanced_accuracy", variants: int = 4, comparison: str = "") -> dict[str, str]:
    """Return the tags of an experiment that hold the views.

    Args:
        score: the metric that says whether the task is learned.
        variants: how many are compared.
        comparison: the hash of the comparison whose runs are shown; without one, the runs of all seeds are.
    """
    shown = f"tags.comparison = '{comparison}'" if comparison else ALL_SEEDS
    columns = ["metrics.`key_mass`", "metrics.`hit_rate`", f"metrics.`{score}`", "tags.`verdict`"]
    views = VIEWS if variants == 4 else VIEWS | {VARIANTS: View("The variants")}
    return {tag: _saved(view, columns, shown) for tag, view in views.items()}


def links(address: str, experiment_id: str, found: dict[str, str]) -> dict[str, str]:
    """Return title -> link of each of the project's views.

    Args:
        address: that of MLflow's pages, which end with a slash; empty for links inside of a page.
        experiment_id: of the experiment whose runs are shown.
        found: the tags of that experiment, perhaps without some of the views.
    """
    page = f"{address}#/experiments/{experiment_id}/runs?viewStateShareKey="
    charts = "&compareRunsMode=CHART"
    return {
        json.loads(found[tag])["name"]: f"{page}{tag.removeprefix(VIEW)}{charts * bool(view.charts)}"
        for tag, view in VIEWS.items()
        if tag in found
    }


def _saved(view: View, columns: list[str], shown: str) -> str:
    """Return a view in the form in which MLflow 3.17 saves one."""
    state: dict[str, Any] = {"searchFilter": shown, "orderByKey": "tags.`variant`", "orderByAsc": True}
    state |= {"groupBy": GROUPED, "runsHiddenMode": "SHOW_ALL", "useGroupedValuesInCharts": True}
    state |= {"selectedColumns": columns, "columnOrder": columns, "columnWidths": dict.fromkeys(columns, WIDTH)}
    state |= _charts(view.charts) if view.charts else {}
    named = {"name": view.title, "createdAt": SINCE, "updatedAt": SINCE}
    return json.dumps({**named, "state": json.dumps(state, ensure_ascii=False)}, ensure_ascii=False)


def _charts(metrics: tuple[str, ...]) -> dict[str, Any]:
    """Return the part of a view's state that draws some metrics; the filter leaves out the charts that MLflow adds."""
    line = {"type": "LINE", "metricSectionId": SECTION, "deleted": False, "isGenerated": False}
    line |= {"runsCountToCompare": 100, "xAxisKey": "step", "useGlobalXaxisKey": True, "useGlobalLineSmoothing": True}
    line |= {"lineSmoothness": 0, "scaleType": "linear", "xAxisScaleType": "linear", "selectedXAxisMetricKey": ""}
    line |= {"range": {}, "yAxisKey": "metric", "yAxisExpressions": [], "ignoreOutliers": False}
    section = {"uuid": SECTION, "name": "Model metrics", "display": True, "isReordered": False, "deleted": False}
    section |= {"isGenerated": False, "columns": len(metrics), "cardHeight": HEIGHT}
    return {
        "compareRunCharts": [{**line, "uuid": f"attention-{metric}", "metricKey": metric} for metric in metrics],
        "compareRunSections": [section],
        "chartsSearchFilter": f"^({'|'.join(metrics)})$",
        "hideEmptyCharts": True,
    }
