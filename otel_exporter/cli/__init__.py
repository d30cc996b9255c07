"""The `tokentide` command. One module per command; heavy modules are imported when a command runs."""

from otel_exporter.cli.entry import app, main

__all__ = ["app", "main"]
