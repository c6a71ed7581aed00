"""Reproduced results: one script for each; `python -m reproductions` runs them and writes RESULTS.md."""
