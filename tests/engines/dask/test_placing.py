from rhohat.engines.dask.placing import deal, threads_of


def test_parts_are_dealt_evenly_and_stay_where_they_are():
    assert deal([None] * 6, {"b": 2, "a": 1}) == ["a", "a", "b", "b", "b", "b"]
    assert deal(["a", "x", "b", "b", "a", "b"], {"a": 1, "b": 1}) == ["a", "a", "b", "b", "a", "b"]
    assert deal(["a"] * 4, {"a": 1, "b": 1, "c": 2}) == ["a", "b", "c", "c"]
    assert deal(["a"], {"b": 1, "c": 1, "d": 9}) == ["d"]


def test_a_worker_that_is_new_gets_parts_of_the_others():
    """And nobody moves more than has to."""
    homes = deal([None] * 6, {"a": 1, "b": 1})
    moved = deal(homes, {"a": 1, "b": 1, "c": 1})
    assert moved == ["a", "a", "c", "b", "b", "c"]


def test_threads_are_those_that_the_scheduler_knows_of():
    assert threads_of({"a": {"nthreads": 2, "memory_limit": 0}, "b": {"nthreads": 1}}) == {"a": 2, "b": 1}
