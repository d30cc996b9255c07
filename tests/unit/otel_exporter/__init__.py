"""Tests of the service, file by file."""
