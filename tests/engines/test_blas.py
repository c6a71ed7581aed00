"""BLAS is on one thread wherever we sum: in every thread, with every kind of library; afterwards it is as before."""

import threading
import warnings
from concurrent.futures import ThreadPoolExecutor

import joblib
import numpy as np
import pytest
from threadpoolctl import threadpool_info, threadpool_limits

from rhohat import FeedforwardRegressor, SparseAutoencoder
from rhohat.engines import ThreadEngine, blas, threads
from rhohat.engines.blas import BLAS, _BlasThreads

BLOCKS = [slice(start, start + 1) for start in range(20)]


class OfProcess:
    """A library whose number of threads belongs to the process."""

    internal_api = "fake"

    def __init__(self, count=3):
        self.num_threads = count

    def set_num_threads(self, count):
        self.num_threads = count


class OfThread:
    """A library of which each thread has a number of threads of its own."""

    internal_api = "fake"

    def __init__(self, count=3):
        self._default, self._own = count, threading.local()

    @property
    def num_threads(self):
        return getattr(self._own, "count", self._default)

    def set_num_threads(self, count):
        self._own.count = count


class OfFirstThread(OfProcess):
    """A library that threadpoolctl lets only the thread set that did so first, as it does from version 3.8 on."""

    controlling = None

    def set_num_threads(self, count):
        if self.controlling is None:
            self.controlling = threading.get_ident()
        if self.controlling == threading.get_ident():
            self.num_threads = count

    def clear_controlling_thread(self, force=False):
        if force or self.controlling == threading.get_ident():
            self.controlling = None


class Deaf(OfProcess):
    """A library that does not do as it is told."""

    def set_num_threads(self, count):
        pass


def in_a_thread(function):
    """Return what a function returns in another thread."""
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(function).result(timeout=60)


@pytest.fixture
def install(monkeypatch):
    """Return a function that lets the engine find these libraries in the place of the real ones."""

    def install(*libraries):
        class Controller:
            def __init__(self):
                self.lib_controllers = list(libraries)

            def select(self, user_api):
                assert user_api == "blas"
                return self

        monkeypatch.setattr(blas, "ThreadpoolController", Controller)
        found = _BlasThreads()
        monkeypatch.setattr(threads, "BLAS", found)
        return found

    return install


def counts_during_a_sum(engine, library):
    """Return the numbers of threads that the workers see; each of them takes part."""
    seen = []
    barrier = threading.Barrier(engine.n_workers)

    def look(part, worker):
        if part.start < engine.n_workers:
            barrier.wait(timeout=10)
        seen.append(library.num_threads)

    engine.for_each(look, BLOCKS)
    return seen


@pytest.mark.parametrize("kind", [OfProcess, OfThread, OfFirstThread])
@pytest.mark.parametrize("n_jobs", [1, 3])
def test_every_worker_of_a_sum_sees_one_thread_and_every_caller_what_it_saw_before(kind, n_jobs, install):
    library = kind()
    install(library)
    library.set_num_threads(4)  # by this thread first, which goes on living
    for call in (lambda function: function(), in_a_thread):
        before = call(lambda: library.num_threads)
        assert before > 1
        assert call(lambda: counts_during_a_sum(ThreadEngine(n_jobs), library)) == [1] * len(BLOCKS)
        assert call(lambda: library.num_threads) == before


@pytest.mark.parametrize("kind", [OfProcess, OfThread, OfFirstThread])
@pytest.mark.parametrize("first_leaves_first", [True, False])
def test_threads_that_hold_at_the_same_time_all_find_again_what_they_saw(kind, first_leaves_first, install):
    library = kind()
    found = install(library)
    entered, leave, left = threading.Event(), threading.Event(), threading.Event()
    seen = []

    def hold():
        seen.append(library.num_threads)
        with found.one_thread():
            seen.append(library.num_threads)
            entered.set()
            leave.wait(timeout=10)
        seen.append(library.num_threads)
        left.set()

    other = threading.Thread(target=hold)
    other.start()
    assert entered.wait(timeout=10)
    with found.one_thread() as n_threads:
        assert n_threads == 2
        assert library.num_threads == 1
        if first_leaves_first:
            leave.set()
            assert left.wait(timeout=10)
            assert library.num_threads == 1
    leave.set()
    other.join()
    assert library.num_threads == 3
    if isinstance(library, OfThread):
        assert seen == [3, 1, 3]


def test_a_thread_that_was_limited_keeps_its_limit_where_new_threads_are_on_one(install):
    library = OfThread(count=1)  # as with OMP_NUM_THREADS=1
    found = install(library)
    library.set_num_threads(4)
    with found.one_thread():
        assert library.num_threads == 1
        in_a_thread(lambda: found.one_thread().__enter__())  # it stays, as that of another fit
    assert library.num_threads == 4


@pytest.mark.parametrize("kind", [OfProcess, OfThread, OfFirstThread])
def test_by_default_there_are_as_many_threads_as_blas_would_use_in_this_thread(kind, install):
    library = kind()
    found = install(library, OfProcess(2))
    assert threads.thread_count(None) == 3
    with found.one_thread():
        assert threads.thread_count(None) == 3
        assert in_a_thread(lambda: threads.thread_count(None)) == 3
    library.set_num_threads(1)
    assert threads.thread_count(None) == 2


def test_a_library_that_does_not_obey_is_said_once(install):
    install(OfProcess(), Deaf())
    engine = ThreadEngine(2)
    with pytest.warns(RuntimeWarning, match="fake could not be limited to one thread.*OMP_NUM_THREADS") as caught:
        engine.for_each(lambda part, worker: None, BLOCKS)
    assert len(caught) == 1
    engine.for_each(lambda part, worker: None, BLOCKS)
    with engine.session():
        engine.for_each(lambda part, worker: None, BLOCKS)


def test_a_library_that_does_not_obey_helpers_is_said_too(install):
    class OfCaller(OfThread):
        caller = threading.get_ident()

        def set_num_threads(self, count):
            if threading.get_ident() == self.caller:
                super().set_num_threads(count)

    library = OfCaller()
    install(library)
    engine = ThreadEngine(2)
    assert set(counts_during_a_sum(engine, library)) == {1, 3}
    with pytest.warns(RuntimeWarning, match="could not be limited"):
        engine.for_each(lambda part, worker: None, BLOCKS)


def test_a_library_that_is_on_one_thread_anyway_need_not_obey(install):
    install(Deaf(1))
    assert ThreadEngine(1).sum_blocks(lambda part, worker, sums: sums.fill(1), BLOCKS, 1, np.float64) == [20]


@pytest.mark.parametrize("kind", [OfProcess, OfThread, OfFirstThread])
def test_what_somebody_else_sets_is_held_again_at_the_next_sum_and_is_what_stays(kind, install):
    library = kind()
    found = install(library)
    engine = ThreadEngine(2)
    with engine.session():
        assert set(counts_during_a_sum(engine, library)) == {1}
        found._found()[0].set_count(5)
        assert set(counts_during_a_sum(engine, library)) == {1}
        assert threads.thread_count(None) == 5
    assert library.num_threads == 5


def test_what_somebody_else_set_last_is_left_alone(install):
    library = OfProcess()
    found = install(library)
    with found.one_thread():
        library.set_num_threads(7)
    assert library.num_threads == 7


def test_a_helper_that_starts_when_the_sum_is_over_changes_nothing(install):
    library = OfProcess()
    found = install(library)
    in_a_thread(found.hold_for_good)
    assert library.num_threads == 3


def test_a_block_that_was_cut_short_is_forgotten(install):
    library = OfProcess()
    found = install(library)
    forgotten = found.one_thread()
    forgotten.__enter__()
    assert library.num_threads == 1
    del forgotten.gen  # the frame goes, as after Ctrl-C within its end
    assert found.thread_count() == 3
    assert library.num_threads == 3


def test_a_block_that_has_ended_does_not_count_where_a_traceback_keeps_it(install):
    library = OfProcess()
    found = install(library)
    with found.one_thread():
        kept = found._own.newest()
    assert library.num_threads == 3
    assert set(counts_during_a_sum(ThreadEngine(1), library)) == {1}
    assert library.num_threads == 3
    del kept


# The libraries of this process.


def blas_threads():
    return max(library["num_threads"] for library in threadpool_info() if library["user_api"] == "blas")


def model(**parameters):
    return SparseAutoencoder(n_components=5, max_iter=20, random_state=0, **parameters)


def quietly(function):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return function()


@pytest.fixture(scope="module")
def rows():
    return np.random.default_rng(0).random((3000, 64))


@pytest.fixture
def two_threads():
    """Let this thread be the one that threadpoolctl lets set BLAS."""
    with threadpool_limits(2, user_api="blas"):
        yield


def fit_in_threads(fit, n_fits):
    with ThreadPoolExecutor(n_fits) as pool:
        return [future.result(timeout=120) for future in [pool.submit(fit) for _ in range(n_fits)]]


def fit_with_joblib(fit, n_fits):
    return joblib.Parallel(n_jobs=n_fits, backend="threading")(joblib.delayed(fit)() for _ in range(n_fits))


def fit_with_dask(fit, n_fits):
    dask = pytest.importorskip("dask")
    return dask.compute(*(dask.delayed(fit)() for _ in range(n_fits)), scheduler="threads", num_workers=n_fits)


@pytest.mark.usefixtures("two_threads")
@pytest.mark.parametrize("n_fits", [1, 3])
@pytest.mark.parametrize("run", [fit_in_threads, fit_with_joblib, fit_with_dask])
@pytest.mark.parametrize(
    ("parameters", "dtype"),
    [({}, np.float64), ({}, np.float32), ({"solver": "adam"}, np.float64), ({"n_jobs": 1}, np.float64)],
)
def test_a_fit_has_the_same_bits_in_any_thread_and_beside_others(run, n_fits, parameters, dtype, rows):
    rows = rows.astype(dtype)

    def fit():
        fitted = model(**parameters).fit(rows)
        return fitted.theta_, fitted.transform(rows)

    def check():
        reference = fit()
        for found in run(fit, n_fits):
            np.testing.assert_array_equal(found[0], reference[0])
            np.testing.assert_array_equal(found[1], reference[1])

    quietly(check)
    assert blas_threads() == 2


@pytest.mark.parametrize("noise_covariance", ["estimate", np.eye(40)])
def test_a_log_likelihood_has_the_same_bits_for_any_number_of_threads_of_blas(noise_covariance):
    rng = np.random.default_rng(0)
    X, Y = rng.random((20_000, 4)), rng.normal(size=(20_000, 40))
    found = []
    for n_threads in (1, 2):
        model = FeedforwardRegressor(
            hidden_layer_sizes=(2,),
            noise_covariance=noise_covariance,
            max_iter=2,
            max_covariance_updates=1,
            random_state=0,
        )
        with threadpool_limits(n_threads, user_api="blas"):
            found.append(quietly(lambda model=model: model.fit(X, Y).log_likelihood_curve_))
    assert found[0] == found[1]


@pytest.mark.usefixtures("two_threads")
def test_blas_is_held_in_a_thread_that_threadpoolctl_would_not_let_set_it():
    seen = []
    in_a_thread(lambda: ThreadEngine(2).for_each(lambda part, worker: seen.append(blas_threads()), BLOCKS))
    assert set(seen) == {1}
    assert blas_threads() == 2


def test_threadpoolctl_goes_on_working_in_other_threads_before_during_and_after():
    def limit(count):
        with threadpool_limits(count, user_api="blas"):
            return blas_threads()

    with threadpool_limits(2, user_api="blas"):
        pass  # so that this thread has done with it
    before = blas_threads()
    assert in_a_thread(lambda: limit(3)) == 3
    with ThreadEngine(1).session():
        assert in_a_thread(lambda: limit(3)) == 3
        ThreadEngine(1).for_each(lambda part, worker: None, BLOCKS)
        assert blas_threads() == 1
    assert blas_threads() == before
    assert in_a_thread(lambda: limit(3)) == 3
    assert blas_threads() == before


def test_who_limits_blas_in_another_thread_for_good_is_noticed():
    before = blas_threads()
    entered, leave = threading.Event(), threading.Event()

    def limit():
        with threadpool_limits(1, user_api="blas"):
            entered.set()
            leave.wait(timeout=10)

    other = threading.Thread(target=limit)
    other.start()
    entered.wait(timeout=10)
    engine, seen = ThreadEngine(1), []
    with engine.session():
        leave.set()
        other.join()  # and BLAS is what it was before
        engine.for_each(lambda part, worker: seen.append(blas_threads()), BLOCKS)
    assert set(seen) == {1}
    assert blas_threads() == before


def workers_of_a_sum(engine, expected):
    """Return the workers of a sum, the first so many of which have to take part in it."""
    workers, barrier = set(), threading.Barrier(expected)

    def note(part, worker):
        if worker not in workers:
            workers.add(worker)
            barrier.wait(timeout=10)

    engine.for_each(note, BLOCKS)
    return workers


def test_sums_beside_others_share_the_cores(monkeypatch):
    engine = ThreadEngine(4)
    monkeypatch.setattr(engine._cores, "n_cores", 4)
    barrier = threading.Barrier(5)

    def sum_beside_others():
        with BLAS.one_thread():
            barrier.wait(timeout=10)
            workers = workers_of_a_sum(engine, 1)
            barrier.wait(timeout=10)
            return workers

    with engine.session():
        assert workers_of_a_sum(engine, 4) == {0, 1, 2, 3}
        assert in_a_thread(lambda: workers_of_a_sum(engine, 2)) == {0, 1}
        with BLAS.one_thread():  # held once more by the same thread
            assert workers_of_a_sum(engine, 4) == {0, 1, 2, 3}
    with ThreadPoolExecutor(5) as pool:
        assert [f.result(timeout=60) for f in [pool.submit(sum_beside_others) for _ in range(5)]] == [{0}] * 5
    assert workers_of_a_sum(engine, 4) == {0, 1, 2, 3}
