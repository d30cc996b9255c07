"""The kinds of panel of this pack, each from what differs between panels: a title, a sentence, SQL, units.

``needs`` names what fills a panel when not every installation can; it becomes the last line of the description,
`Filled by: ...`, which people and tests read.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, Final, Literal

from grafana_foundation_sdk.builders import barchart, bargauge, stat, table, timeseries, xychart
from grafana_foundation_sdk.builders import common as look
from grafana_foundation_sdk.builders import dashboard as build
from grafana_foundation_sdk.models import common, dashboard

from grafana.query import Format, Query, source

#: What can fill a panel that not everybody's data fill, in the words of the description.
FEATURES: Final = {
    "gateway": "a gateway's telemetry (LiteLLM proxy)",
    "refusals": "requests that a gateway refused",
    "limits": "LiteLLM's budgets of keys and teams, on its default spans",
    "headroom": "rate-limit headers of the provider, on LiteLLM's default spans",
    "attempts": "retries and fallbacks that a gateway or router shows",
    "streaming": "instrumentation that measures the time to the first token",
    "prompt cache": "calls that read the provider's prompt cache",
    "gateway cache": "answers from the gateway's cache",
    "failures": "calls that failed",
    "discounts": "discounts or margins in the configuration",
    "unpriced": "calls without a known price",
    "issues": "calls of which something is not known",
    "end users": "the request parameter user",
    "enrichment": "cost centres and owners from the configuration",
    "sessions": "a session or conversation id",
    "agents": "agent names in the telemetry",
    "tools": "tool spans in the traces",
    "coding agents": "Claude Code, Codex, Copilot or Gemini CLI",
    "forecasting": "the forecasting job",
    "advice": "the advice job",
    "alerting": "the alerting job",
    "self-monitoring": "Tokentide's own metrics, which `serve` writes unless self_monitoring.enabled is off",
    "trace": "calls that arrive as spans",
    "comparison": "tokentide compare litellm",
    "counters": "metrics that count calls or tokens, Tokentide's callback in LiteLLM, or an import",
    "silence": "applications or keys that used to send regularly",
}
_FILLED_BY: Final = re.compile(r"\n\nFilled by: (.+)\.$")

Panel = Any  # the SDK's panel builders share no type that has their methods
Links = Mapping[str, str]  # what is offered -> address


def describe(text: str, needs: Sequence[str]) -> str:
    """A description with what fills the panel."""
    if unknown := set(needs) - FEATURES.keys():
        raise KeyError(f"unknown features: {unknown}")
    return f"{text}\n\nFilled by: {'; '.join(FEATURES[need] for need in needs)}." if needs else text


def features(description: str) -> tuple[str, ...]:
    """The features named in a description; none for a panel that everybody's data fill."""
    found = _FILLED_BY.search(description)
    words = {text: name for name, text in FEATURES.items()}
    return tuple(words[text] for text in found[1].split("; ")) if found else ()


def address(uid: str, **values: str) -> str:
    """Another dashboard of the pack, same time range and data source, with variables set."""
    chosen = "".join(f"&var-{name}={value}" for name, value in values.items())
    return f"/d/{uid}?${{__url_time_range}}&${{datasource:queryparam}}{chosen}"


def number(
    title: str,
    text: str,
    sql: str,
    unit: str,
    *,
    width: int = 4,
    needs: Sequence[str] = (),
    links: Links | None = None,
    limits: Sequence[tuple[float, str]] = (),
    area: bool = False,
) -> Panel:
    """One number; with ``area`` the query is a series, its sum the number and its shape the background."""
    calc = "sum" if area else "lastNotNull"
    panel = (
        _begun(stat.Panel(), title, text, sql, Format.TIMESERIES if area else Format.TABLE, needs)
        .unit(unit)
        .span(width)
        .height(4)
        .reduce_options(look.ReduceDataOptions().calcs([calc]).fields("").values(False))
        .graph_mode(common.BigValueGraphMode.AREA if area else common.BigValueGraphMode.NONE)
        .color_mode(common.BigValueColorMode.VALUE)
        .thresholds(_steps(limits))
        .color_scheme(_colour("thresholds" if limits else "fixed"))
        .data_links(_links(links))
    )
    return panel.interval("1h") if area else panel


def lines(
    title: str,
    text: str,
    sql: str,
    unit: str,
    *,
    by: str = "",
    width: int = 12,
    height: int = 8,
    style: Literal["line", "bars", "stack"] = "line",
    step: str = "1h",
    needs: Sequence[str] = (),
    links: Links | None = None,
    band: tuple[str, str] | None = None,
    units: Mapping[str, str] | None = None,
) -> Panel:
    """Series over time. ``by`` is the label column whose value names a series; ``band`` fills between two columns."""
    bars, stacked = style != "line", style == "stack"
    panel = (
        _begun(timeseries.Panel(), title, text, sql, Format.TIMESERIES, needs)
        .unit(unit)
        .span(width)
        .height(height)
        .interval(step)
        .draw_style(common.GraphDrawStyle.BARS if bars else common.GraphDrawStyle.LINE)
        .fill_opacity(70 if bars else 8)
        .line_width(0 if bars else 2)
        .stacking(look.StackingConfig().mode(common.StackingMode.NORMAL if stacked else common.StackingMode.NONE))
        .show_points(common.VisibilityMode.AUTO)
        .legend(
            look.VizLegendOptions()
            .display_mode(common.LegendDisplayMode.TABLE if by else common.LegendDisplayMode.LIST)
            .placement(common.LegendPlacement.RIGHT if by else common.LegendPlacement.BOTTOM)
            .show_legend(True)
            .calcs(["sum" if bars else "mean"] if by else [])
        )
        .tooltip(look.VizTooltipOptions().mode(common.TooltipDisplayMode.MULTI).sort(common.SortOrder.DESCENDING))
        .data_links(_links(links))
    )
    if by:
        panel = panel.display_name(f"${{__field.labels.{by}}}")
    for name, own in (units or {}).items():
        panel = panel.override_by_name(
            name, [_property("unit", own), _property("custom.axisPlacement", "right"), _property("custom.lineWidth", 1)]
        )
    if band:
        low, high = band
        panel = panel.override_by_name(
            high,
            [
                _property("custom.fillBelowTo", low),
                _property("custom.fillOpacity", 20),
                _property("custom.lineWidth", 0),
            ],
        ).override_by_name(low, [_property("custom.lineWidth", 0), _property("custom.fillOpacity", 0)])
    return panel


def rows(
    title: str,
    text: str,
    sql: str,
    units: Mapping[str, str],
    *,
    width: int = 24,
    height: int = 8,
    needs: Sequence[str] = (),
    links: Mapping[str, tuple[str, str]] | None = None,
    gauges: Sequence[str] = (),
) -> Panel:
    """A table. ``units`` by column (text needs none); ``links``: column -> (what is offered, address)."""
    panel = (
        _begun(table.Panel(), title, text, sql, Format.TABLE, needs)
        .unit("short")
        .span(width)
        .height(height)
        .filterable(True)
        .cell_height(common.TableCellHeight.SM)
    )
    for column in dict.fromkeys([*units, *(links or {}), *gauges]):
        properties = [_property("unit", units[column])] if column in units else []
        if links and column in links:
            offer, url = links[column]
            properties.append(_property("links", [{"title": offer, "url": url}]))
        if column in gauges:
            properties.append(
                _property("custom.cellOptions", {"type": "gauge", "mode": "basic", "valueDisplayMode": "text"})
            )
            properties.append(_property("min", 0))
        panel = panel.override_by_name(column, properties)
    return panel


def columns(
    title: str, text: str, sql: str, unit: str, *, x: str, width: int = 12, height: int = 8, needs: Sequence[str] = ()
) -> Panel:
    """Bars over categories: the first column names them, every other one is a bar."""
    return (
        _begun(barchart.Panel(), title, text, sql, Format.TABLE, needs)
        .unit(unit)
        .span(width)
        .height(height)
        .x_field(x)
        .legend(
            look.VizLegendOptions()
            .display_mode(common.LegendDisplayMode.LIST)
            .placement(common.LegendPlacement.BOTTOM)
            .show_legend(True)
        )
    )


def meters(
    title: str,
    text: str,
    sql: str,
    unit: str,
    *,
    width: int = 12,
    height: int = 8,
    maximum: float | None = None,
    needs: Sequence[str] = (),
    limits: Sequence[tuple[float, str]] = (),
) -> Panel:
    """A horizontal bar for each row; the text column names it."""
    panel = (
        _begun(bargauge.Panel(), title, text, sql, Format.TABLE, needs)
        .unit(unit)
        .span(width)
        .height(height)
        .min(0)
        .orientation(common.VizOrientation.HORIZONTAL)
        .display_mode(common.BarGaugeDisplayMode.BASIC)
        .reduce_options(look.ReduceDataOptions().calcs(["lastNotNull"]).fields("").values(True).limit(20))
        .thresholds(_steps(limits))
        .color_scheme(_colour("thresholds" if limits else "fixed"))
    )
    return panel if maximum is None else panel.max(maximum)


def scatter(
    title: str, text: str, sql: str, units: Mapping[str, str], *, width: int = 12, needs: Sequence[str] = ()
) -> Panel:
    """One point for each row: the first number against every other one."""
    panel = (
        _begun(xychart.Panel(), title, text, sql, Format.TABLE, needs)
        .unit("short")
        .span(width)
        .height(8)
        .mapping("auto")
        .series([])
        .legend(
            look.VizLegendOptions()
            .display_mode(common.LegendDisplayMode.LIST)
            .placement(common.LegendPlacement.BOTTOM)
            .show_legend(True)
        )
        .tooltip(look.VizTooltipOptions().mode(common.TooltipDisplayMode.SINGLE).sort(common.SortOrder.NONE))
    )
    for column, unit in units.items():
        panel = panel.override_by_name(column, [_property("unit", unit)])
    return panel


def trace(title: str, text: str, sql: str, *, needs: Sequence[str]) -> Panel:
    """A trace with its spans, as Explore shows it."""
    return _begun(build.Panel().type("traces"), title, text, sql, Format.TRACES, needs).unit("ms").span(24).height(16)


def row(title: str) -> Any:
    """What follows belongs together."""
    return build.Row(title)


def _begun(panel: Any, title: str, text: str, sql: str, shape: Format, needs: Sequence[str]) -> Any:
    panel = panel.title(title).description(describe(text, needs)).datasource(source())
    panel = panel.with_target(Query(sql, shape))
    return panel.no_value("no data: see the description") if needs else panel.no_value("no data")


def _property(name: str, value: object) -> dashboard.DynamicConfigValue:
    return dashboard.DynamicConfigValue(id_val=name, value=value)


def _links(links: Links | None) -> list[Any]:
    return [build.DashboardLink(title).url(url) for title, url in (links or {}).items()]


def _steps(limits: Sequence[tuple[float, str]]) -> build.ThresholdsConfig:
    steps = [dashboard.Threshold(value=None, color="green")]
    steps += [dashboard.Threshold(value=value, color=color) for value, color in limits]
    return build.ThresholdsConfig().mode(dashboard.ThresholdsMode.ABSOLUTE).steps(steps)


def _colour(mode: str) -> build.FieldColor:
    colour = build.FieldColor().mode(dashboard.FieldColorModeId(mode))
    return colour.fixed_color("text") if mode == "fixed" else colour
