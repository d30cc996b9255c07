"""Golden files: real exports of released libraries."""
