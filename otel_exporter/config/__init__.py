"""The configuration: one YAML file, `TOKENTIDE_*` variables and flags, as one frozen typed tree."""

from otel_exporter.config.faults import ConfigFaults, Fault
from otel_exporter.config.load import Configuration, load
from otel_exporter.config.sources import Flag
from otel_exporter.config.tree import Settings
from otel_exporter.config.values import Secret

__all__ = ["ConfigFaults", "Configuration", "Fault", "Flag", "Secret", "Settings", "load"]
