"""Looks whether tests notice mutants: each runs in a copy of a process that has collected the tests already.

mutmut collects the tests anew for every mutant, which takes longer than most tests. Here a process collects them once,
runs some to load what they need, and is copied by a fork for each mutant. The copy runs the tests of the function that
the mutant is of, and ends with the first that fails. Tests that have noticed mutants of the same function come first,
then those that have noticed mutants of the same file, then all others, the fastest first.
"""

import argparse
import gc
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

__all__ = ["NOTICED", "TestsFailError", "run"]

#: What becomes of mutants that some test notices, and of others.
NOTICED = ("killed", "timeout")
_KILLED, _TIMEOUT = NOTICED
_SURVIVED, _NO_TESTS = "survived", "no tests"
#: Seconds that tests may take that run before the process is copied; slower ones cost more than they save.
_FAST_ENOUGH = 0.3
#: A mutant may take so many times as long as its tests took before, and some seconds on top.
_PATIENCE, _SECONDS_ON_TOP = 20, 60


class TestsFailError(RuntimeError):
    """Error of tests that fail without any mutant, so that they cannot tell one."""

    __test__ = False


def run(folder, mutants, arguments, *, shortest=0.0, longest=float("inf")):
    """Return what became of mutants, by their names.

    Parameters
    ----------
    folder : Path
        Where mutmut has put the changed sources, the tests, and what it knows of these.
    mutants : list of str
    arguments : list of str
        Arguments of pytest that select tests.
    shortest, longest : float
        Seconds that a test takes; others are left out. Tests that mutmut does not know are always run.

    Raises
    ------
    TestsFailError
        If a test fails without any mutant.
    """
    task, answer = folder / "runner-task.json", folder / "runner-answer.json"
    answer.unlink(missing_ok=True)
    task.write_text(json.dumps({"mutants": mutants, "shortest": shortest, "longest": longest}), encoding="utf-8")
    # Threads of OpenMP do not survive the fork of a process, so that tests with PyTorch would wait for them for ever.
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "MUTANT_UNDER_TEST": "", "PY_IGNORE_IMPORTMISMATCH": "1"}
    command = [sys.executable, str(Path(__file__)), task.name, answer.name, *arguments]
    if subprocess.run(command, cwd=folder, env=environment, check=False).returncode:
        raise TestsFailError("the tests could not be run, or fail without any mutant.")
    return json.loads(answer.read_text(encoding="utf-8"))


class _Runner:
    """Plugin of pytest that runs mutants in the place of tests."""

    def __init__(self, mutants, shortest, longest):
        known = json.loads(Path("mutmut-stats.json").read_text(encoding="utf-8"))
        self._seconds, self._tests_of = known["duration_by_test"], known["tests_by_mangled_function_name"]
        self._mutants, self._shortest, self._longest = mutants, shortest, longest
        self._failed = ""
        self._noticing = {}
        self.results = {}

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_makereport(self, item, call):
        """Report a failure without its traceback, which takes long to make from sources with thousands of mutants."""
        if call.excinfo is None or call.excinfo.errisinstance(pytest.skip.Exception):
            return None
        return pytest.TestReport(item.nodeid, item.location, {}, "failed", "", call.when)

    def pytest_runtest_logreport(self, report):
        """Remember a test that fails."""
        if report.failed:
            self._failed = report.nodeid

    def pytest_runtestloop(self, session):
        """Run the mutants, as many at a time as there are processors."""
        unknown = [item for item in session.items if item.nodeid not in self._seconds]
        by_name = {item.nodeid: item for item in session.items}
        self._run([item for item in session.items if self._seconds.get(item.nodeid, 0) < _FAST_ENOUGH])
        if self._failed:
            raise SystemExit(f"{self._failed} fails without any mutant.")
        gc.freeze()  # a collection would touch, and so copy, all that the copies share
        waiting, running = list(reversed(self._mutants)), {}
        while waiting or running:
            while waiting and len(running) < (os.cpu_count() or 1):
                mutant = waiting.pop()
                tests = unknown + [by_name[name] for name in self._tests(mutant) if name in by_name]
                if tests:
                    process, reader = self._start(mutant, tests)
                    running[process] = mutant, reader
                else:
                    self.results[mutant] = _NO_TESTS
            if running:
                process, status = os.wait()
                self._note(*running.pop(process), os.waitstatus_to_exitcode(status))
        return True

    def _tests(self, mutant):
        """Return the names of the tests of a mutant, in the order in which they are run."""
        function = mutant.partition("__mutmut_")[0]
        names = self._tests_of.get(function, [])
        names = [name for name in names if self._shortest <= self._seconds[name] < self._longest]
        of_function, of_file = (self._noticing.get(key, []) for key in (function, function.rpartition(".")[0]))
        return sorted(names, key=lambda name: (name not in of_function, name not in of_file, self._seconds[name]))

    def _start(self, mutant, tests):
        """Start a process with a mutant, and return its number, and where it writes which test has failed."""
        reader, writer = os.pipe()
        process = os.fork()
        if process:
            os.close(writer)
            return process, reader
        try:
            os.environ["MUTANT_UNDER_TEST"] = mutant
            signal.alarm(int(_SECONDS_ON_TOP + _PATIENCE * sum(self._seconds.get(item.nodeid, 1.0) for item in tests)))
            with open(os.devnull, "w", encoding="utf-8") as nowhere:
                os.dup2(nowhere.fileno(), 1)
                os.dup2(nowhere.fileno(), 2)
            self._run(tests)
            os.write(writer, self._failed.encode())
        except BaseException:
            os._exit(1)
        os._exit(bool(self._failed))

    def _note(self, mutant, reader, code):
        """Note what became of a mutant."""
        with open(reader, encoding="utf-8") as file:
            failed = file.read()
        function = mutant.partition("__mutmut_")[0]
        for key in (function, function.rpartition(".")[0]):
            if failed:
                self._noticing.setdefault(key, set()).add(failed)
        self.results[mutant] = {0: _SURVIVED, 1: _KILLED}.get(code, _TIMEOUT)
        if len(self.results) % 100 == 0:
            n_survivors = sum(result == _SURVIVED for result in self.results.values())
            print(f"{len(self.results)} of {len(self._mutants)} mutants, {n_survivors} survive", flush=True)

    def _run(self, tests):
        """Run tests up to the first that fails."""
        for item, following in zip(tests, [*tests[1:], None], strict=True):
            item.config.hook.pytest_runtest_protocol(item=item, nextitem=following)
            if self._failed:
                break


def main():
    """Run the mutants of a file with the tests of a folder that mutmut has made, and write what became of them."""
    parser = argparse.ArgumentParser(description="Run mutants; see tests/mutants.py.")
    parser.add_argument("task", type=Path)
    parser.add_argument("answer", type=Path)
    options, arguments = parser.parse_known_args()
    sys.path[:0] = [str(Path("src").resolve()), str(Path.cwd())]
    runner = _Runner(**json.loads(options.task.read_text(encoding="utf-8")))
    quiet = [
        "--rootdir=.",
        "--quiet",
        "--quiet",
        "-p",
        "no:cacheprovider",
        "-p",
        "no:xdist",
        "-p",
        "no:terminalreporter",
    ]
    code = pytest.main([*quiet, *arguments], plugins=[runner])
    if code != pytest.ExitCode.OK:
        sys.exit(int(code))
    options.answer.write_text(json.dumps(runner.results), encoding="utf-8")


if __name__ == "__main__":
    main()
