"""`tokentide demo`: the whole path on this machine, with made-up history and real LiteLLM calls, all marked DEMO.

traffic (another process: LiteLLM and the OTLP wire) ──► serve, in its own directory and ports ──► report
"""

from __future__ import annotations
