"""One module a dashboard: what is asked, in which words, in which order."""
