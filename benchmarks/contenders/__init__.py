"""A module for each contender. A function of one takes a `Task` and returns a record, a dict with "seconds" in it."""
