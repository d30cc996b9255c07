"""Alerting: SQL rules over the ledger become alerts in Alertmanager, with the semantics of Prometheus' rules.

files -> rules -> (database) -> evaluation -> states -> journal, notifier
"""
