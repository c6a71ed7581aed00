"""Models, which are estimators or pipelines that end in one: applying them, saving them, and their known classes."""
