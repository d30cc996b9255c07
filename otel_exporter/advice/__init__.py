"""Advice with a number: what a change would have cost or saved on the calls of a period (docs/advice.md)."""
