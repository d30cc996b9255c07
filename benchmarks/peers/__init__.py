"""Tokentide against others that store OTLP traces: same machine, same run, same requests, same ClickHouse engine.

``python -m benchmarks.peers [PEER ...] [--spans N]`` (``make bench-peers``) runs ours and every peer that is installed:

- ``collector``: the OpenTelemetry Collector with its ``clickhouseexporter`` (``deploy/collector/build.sh``),
- ``rotel``: its agent with its ClickHouse exporter (``pip install rotel``),
- ``phoenix``: Arize Phoenix with its SQLite database (``pip install arize-phoenix``).

The Collector and rotel write over ClickHouse's HTTP interface into the embedded engine that ours uses, in a process of
its own; by default into the Collector's table (`tables.sql`), with ``--tables ours`` into ours. They store spans as
they are. Ours does everything it does: dialects, prices, the ledger and its rollups, redaction, and an fsync before
each answer. A peer that is not there is said to be not there.
"""
