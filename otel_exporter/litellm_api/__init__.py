"""A client of the LiteLLM proxy's management API: what its books say, read only."""
