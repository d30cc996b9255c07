"""The books: periods that were closed, their statements, and what stood at a moment (docs/books.md)."""
