"""`python -m otel_exporter.cli`: the same as `tokentide`."""

from otel_exporter.cli.entry import main

main()
