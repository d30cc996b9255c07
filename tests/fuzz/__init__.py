"""A seeded, structure-aware fuzzer: `make fuzz`. docs/security.md says what it has run."""
