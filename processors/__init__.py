"""The pure core: the batch, the dialects, what is done to a batch, and the ledger's join."""
