"""`tokentide budgets`: how much of each budget is spent, how its period will end, when the money is gone."""

from __future__ import annotations

from otel_exporter.cli.options import ClickhouseUrl, ConfigFile, DataDir, OutputFormat, settings_for
from otel_exporter.render import Format, render


def budgets(
    config: ConfigFile = None,
    data_dir: DataDir = None,
    clickhouse_url: ClickhouseUrl = None,
    form: OutputFormat = Format.TABLE,
) -> None:
    """Show every budget, those most likely to overrun first.

    Budgets are the configuration's, and LiteLLM's own limits. serve computes the outlook every few minutes; it may run.
    """
    from otel_exporter import outlooks

    found = outlooks.listed(settings_for(config, data_dir, clickhouse_url))
    render(outlooks.brief(found) if form is Format.TABLE else found, form)
