"""`tokentide doctor`: who sends what, what is lost on the way, and the change that mends it.

`probe` sends a span through the whole path; `shapes` names the producers; `advice` holds the findings as data, each one
question in SQL with the sentence and the mend; `examine` asks, `show` prints.
"""

from otel_exporter.doctor.examine import Examination, examine
from otel_exporter.doctor.probe import Probe, send_probe
from otel_exporter.doctor.show import show

__all__ = ["Examination", "Probe", "examine", "send_probe", "show"]
