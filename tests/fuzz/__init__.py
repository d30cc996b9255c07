"""A seeded, structure-aware fuzzer: `make fuzz`, or `python -m tests.fuzz --help`. docs/security.md says what it has run."""
