"""A gateway's books next to our ledger: do they agree, and if not, why."""
