"""Models: estimators and pipelines of them, their parts by name, and the file that holds one."""
