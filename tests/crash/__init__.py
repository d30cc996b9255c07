"""Crash tests: processes that are killed, and an oracle that is not."""
