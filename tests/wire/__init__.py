"""OTLP on the wire: what senders see, well-behaved and not."""
