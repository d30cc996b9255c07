"""The ledger test: clients, a real Collector, two receivers and a ClickHouse, tormented; the money must be exact.

    python -m tests.crash.ledger --seconds 600 --seed 1

`calls` makes traffic whose cost is known, `clients` sends it and keeps the books, `faults` plans and injects what goes
wrong, `houses` are the processes, `verdict` compares the books with what ClickHouse says.
"""
