"""Panels with the product's manners: a description, a unit and the data-source variable on each, and no more than that.

Sizes are of Grafana's grid, 24 columns wide.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from grafana_foundation_sdk.builders import bargauge, common, dashboard, stat, statetimeline, table, text, timeseries
from grafana_foundation_sdk.models import common as c
from grafana_foundation_sdk.models import dashboard as d

from grafana.queries import SOURCE, Asked, Query

# How Grafana names the units of parameters; others are written after the number.
UNITS = {
    "dB(A)": "suffix: dB(A)", "mg/m3": "conmgm3", "ug/m3": "conμgm3", "ng/m3": "conngm3", "%": "percent",
    "degC": "celsius", "kPa": "pressurekpa", "kg": "masskg", "t": "masst", "share": "percentunit", "s": "dtdurations",
    "": "short",
}  # fmt: skip
GOOD, WARN, BAD, PLAIN = "green", "orange", "red", "text"
WIDE, HALF, THIRD, QUARTER = 24, 12, 8, 6

AnyPanel = Any  # the SDK's panel builders have no type in common


def unit(name: str) -> str:
    """Grafana's name of a unit."""
    return UNITS.get(name, f"suffix: {name}")


def series(title: str, about: str, of: str, *queries: Query, width: int = HALF, height: int = 9) -> AnyPanel:
    """Values over time. Limits, whatever clause they are of, are dashed red lines. of: the unit."""
    panel = (
        _common(timeseries.Panel(), title, about, queries, width, height)
        .unit(unit(of)).line_width(1).fill_opacity(0).show_points(c.VisibilityMode.AUTO).span_nulls(False)
        .legend(common.VizLegendOptions().show_legend(True).display_mode(c.LegendDisplayMode.LIST)
                .placement(c.LegendPlacement.BOTTOM).calcs(["lastNotNull", "max"]))
        .tooltip(common.VizTooltipOptions().mode(c.TooltipDisplayMode.MULTI).sort(c.SortOrder.DESCENDING))
    )  # fmt: skip
    return panel.override_by_regexp("/limit/i", [
        _property("color", {"mode": "fixed", "fixedColor": BAD}),
        _property("custom.lineStyle", {"fill": "dash", "dash": [8, 6]}),
        _property("custom.lineInterpolation", "stepAfter"), _property("custom.spanNulls", True),
        _property("custom.showPoints", "never"), _property("custom.lineWidth", 2),
    ])  # fmt: skip


def bars(title: str, about: str, of: str, *queries: Query, width: int = HALF, height: int = 9) -> AnyPanel:
    """Numbers by day as bars."""
    drawn = series(title, about, of, *queries, width=width, height=height)
    return drawn.draw_style(c.GraphDrawStyle.BARS).fill_opacity(60)


def number(
    title: str, about: str, of: str, query: Query, *, steps: Sequence[tuple[float | None, str]], width: int = QUARTER
) -> AnyPanel:
    """One number, coloured from each step on (None = from the lowest)."""
    return (
        _common(stat.Panel(), title, about, (query,), width, 4).unit(unit(of)).thresholds(_steps(steps)).no_value("0")
        .reduce_options(common.ReduceDataOptions().calcs(["lastNotNull"])).color_mode(c.BigValueColorMode.VALUE)
        .graph_mode(c.BigValueGraphMode.NONE)
    )  # fmt: skip


def shares(title: str, about: str, query: Query, *, least: float, width: int = HALF, height: int = 9) -> AnyPanel:
    """Shares from 0 to 1 as bars; below `least` they are red."""
    return (
        _common(bargauge.Panel(), title, about, (query,), width, height).unit("percentunit").min(0).max(1)
        .thresholds(_steps([(None, BAD), (least, GOOD)])).orientation(c.VizOrientation.HORIZONTAL)
        .reduce_options(common.ReduceDataOptions().calcs(["lastNotNull"]))
    )  # fmt: skip


Texts = Mapping[int, tuple[str, str]]  # by number, text and colour


def rows(
    title: str, about: str, query: Query, *, names: Mapping[str, str], mapped: Mapping[str, Texts] | None = None,
    width: int = WIDE, height: int = 9,
) -> AnyPanel:  # fmt: skip
    """A table. names: what its columns are called. mapped: what the numbers of some columns mean."""
    renamed = d.DataTransformerConfig(id_val="organize", options={"renameByName": dict(names)})
    panel = _common(table.Panel(), title, about, (query,), width, height).unit("short").with_transformation(renamed)
    for column, words in (mapped or {}).items():
        shown = d.DynamicConfigValue(id_val="mappings", value=[d.ValueMap(options=_texts(words))])
        panel = panel.override_by_name(names.get(column, column), [shown])
    return panel


def states(title: str, about: str, query: Query, *, words: Texts, width: int = WIDE, height: int = 7) -> AnyPanel:
    """What held when."""
    return (
        _common(statetimeline.Panel(), title, about, (query,), width, height).unit("short")
        .mappings([d.ValueMap(options=_texts(words))]).show_value(c.VisibilityMode.NEVER).row_height(0.85)
    )  # fmt: skip


def words(title: str, about: str, markdown: str, *, width: int = HALF, height: int = 9) -> AnyPanel:
    """Text to read."""
    panel = text.Panel().title(title).description(about).span(width).height(height).transparent(True)
    return panel.mode("markdown").content(markdown).datasource(_source())  # type: ignore[arg-type]


def _texts(words: Texts) -> dict[str, d.ValueMappingResult]:
    return {str(value): d.ValueMappingResult(text=said, color=color) for value, (said, color) in words.items()}


def _common(panel: AnyPanel, title: str, about: str, queries: Sequence[Query], width: int, height: int) -> AnyPanel:
    panel = panel.title(title).description(about).datasource(_source()).span(width).height(height)
    for number, query in enumerate(queries):
        query.ref = chr(ord("A") + number)
        panel = panel.with_target(Asked(query))
    return panel


def _source() -> c.DataSourceRef:
    return c.DataSourceRef(type_val="influxdb", uid=SOURCE)


def _steps(steps: Sequence[tuple[float | None, str]]) -> dashboard.ThresholdsConfig:
    made = [d.Threshold(value=value, color=color) for value, color in steps]
    return dashboard.ThresholdsConfig().mode(d.ThresholdsMode.ABSOLUTE).steps(made)


def _property(name: str, value: object) -> d.DynamicConfigValue:
    return d.DynamicConfigValue(id_val=name, value=value)
