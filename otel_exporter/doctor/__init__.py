"""`tokentide doctor`: who sends what, what is lost on the way, and the change that mends it.

`probe` sends a span through the whole path; `shapes` names the producers; `advice` holds the findings as data, each one
question in SQL with the sentence and the mend; `examination` asks, `output` prints.
"""

from otel_exporter.doctor.examination import Examination, examine
from otel_exporter.doctor.output import show
from otel_exporter.doctor.probe import Probe, send_probe

__all__ = ["Examination", "Probe", "examine", "send_probe", "show"]
