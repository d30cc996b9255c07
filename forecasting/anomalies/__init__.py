"""Anomalies: what a series has never done before, and what caused it.

`novelty` scores, `episodes` turns scores into incidents, `causes` explains them, `sessions` watches runaway agents;
these are pure. `watch` reads and writes.
"""
