"""The benchmarks run, compare what they say they compare, and report it; how fast anything is, is not tested."""

import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from benchmarks import beside, detectors, processors, profile, references
from benchmarks.__main__ import main
from benchmarks.cases import make_cases
from benchmarks.contenders.imports import packages_imported_by
from benchmarks.harness import Case, CaseResult, Contender, DisagreementError, run_case
from benchmarks.report import HEADER, SUMMARY_HEADER, render, write
from benchmarks.tasks import Job, Settings
from benchmarks.worker import launch, perform
from rhohat.ops import NUMPY

ENVIRONMENT = {
    "date": "2024-02-29T12:00:00+00:00",
    "processor": "abacus",
    "cores": 2,
    "instructions": "AVX2",
    "python": "3.11",
    "packages": {"numpy": "2.0", "torch": None},
    "blas": [{"library": "openblas", "version": "0.3", "kernels": "Zen", "threads": 2}],
}
OURS = ("rhohat", "textbook", "bounds", "imports")
CASES = make_cases(quick=True)


def without_peers(case):
    return replace(case, contenders=tuple(one for one in case.contenders if one.module in OURS))


# Running.


@pytest.mark.parametrize("name", [name for name in CASES if name != "import"])
def test_every_case_runs_at_a_tiny_size(name):
    case = without_peers(CASES[name])
    result = run_case(case, perform)
    assert not result.skipped
    assert not result.unavailable
    assert len(result.runs) == len(case.contenders)
    for runs in result.runs.values():
        assert len(runs) == 1
        assert runs[0]["seconds"] > 0
        assert runs[0]["memory_peak"] >= runs[0]["memory_before"] > 0
    for contender in case.contenders:
        assert contender.name in result.unavailable or result.reached(contender.name)
    assert case.title in render([result], ENVIRONMENT)


def test_what_rhohat_imports_is_found_in_the_report_of_the_interpreter():
    report = (
        "import time: self [us] | cumulative | imported package\n"
        "import time:       100 |        100 |         numpy._core\n"
        "import time:       100 |        200 |       numpy\n"
        "import time:       100 |        100 |       json\n"
        "import time:       100 |        300 |     rhohat.common.arrays\n"
        "import time:       100 |        300 |     scipy.optimize\n"
        "import time:       100 |        300 |   rhohat.solvers\n"
        "import time:       100 |        100 |     joblib\n"
        "import time:       100 |        100 |   other\n"
        "import time:       900 |        900 | rhohat\n"
        "import time:       900 |        900 | unrelated\n"
    )
    assert packages_imported_by("rhohat", report) == ["numpy", "scipy.optimize", "other"]


def test_a_job_survives_the_way_to_its_process():
    settings = Settings(sizes=(3, 2), lbfgs={"memory": 3}, target_cost=0.1)
    job = Job("benchmarks.contenders.textbook", "evaluation", "folder", settings)
    assert Job.from_json(job.to_json()).settings.lbfgs == {"memory": 3}
    assert Job.from_json(job.to_json()).to_json() == job.to_json()


def test_a_process_of_its_own_computes_the_same():
    case = CASES["small64"]
    case = replace(case, contenders=tuple(one for one in case.contenders if one.module == "textbook"))
    alone = run_case(case, lambda job: launch(job) if job.function == "evaluation" else perform(job))
    here = run_case(case, perform)
    assert alone.runs[case.contenders[0].name][0]["agreement"] == pytest.approx(
        here.runs[case.contenders[0].name][0]["agreement"], rel=1e-12
    )


def test_imports_are_timed_in_a_fresh_interpreter(tmp_path):
    (tmp_path / "needs.json").write_text('["fractions", "json"]')
    record = perform(Job("benchmarks.contenders.imports", "import_needs", str(tmp_path), Settings()))
    assert record["seconds"] > 0
    assert record["memory_peak"] >= record["memory_before"] > 0


def test_a_package_that_is_missing_is_reported_and_the_rest_goes_on(monkeypatch):
    for package in ("torch", "jax"):
        monkeypatch.setitem(sys.modules, package, None)
    for module in ("pytorch", "jax"):
        monkeypatch.delitem(sys.modules, f"benchmarks.contenders.{module}", raising=False)
    result = run_case(CASES["small64"], perform)
    assert result.unavailable == {"PyTorch autograd": "not installed", "JAX jit": "not installed"}
    assert len(result.runs["products alone"]) == 1
    assert "| PyTorch autograd | not installed |" in render([result], ENVIRONMENT)


@pytest.mark.parametrize(("name", "factor"), [("small64", 1 + 1e-9), ("small32", 1 + 1e-3)])
@pytest.mark.parametrize("what", ["J", "norm of the gradient"])
def test_contenders_that_disagree_stop_the_run(name, factor, what):
    def launch_a_wrong_one(job):
        record = perform(job)
        if job.module.endswith("rhohat"):
            record["agreement"][what] *= factor
        return record

    with pytest.raises(DisagreementError, match=rf"{name}: {what} is .* rhohat"):
        run_case(without_peers(CASES[name]), launch_a_wrong_one)


def test_contenders_alternate():
    order = []

    def launch_nothing(job):
        order.append(job.function)
        return {"seconds": 1.0}

    case = Case("case", "title", Settings(), (ours(), Contender("it", "textbook", "descent"), once()), repeats=2)
    run_case(case, launch_nothing)
    assert order == ["prepare", "evaluation", "descent", "products", "evaluation", "descent"]


# Descents.


def test_a_descent_ends_at_the_first_cost_that_is_low_enough():
    case = without_peers(CASES["patches"])
    result = run_case(case, perform)
    textbook = result.runs["textbook NumPy, SciPy"][0]
    assert textbook["iterations"] == case.settings.max_iter
    ours = result.runs["rhohat"][0]
    assert ours["reached"]
    assert ours["verified_cost"] <= textbook["cost"] * (1 + 1e-6)
    assert "theta" not in ours


@pytest.mark.parametrize(("excess", "reached"), [(1e-7, True), (1e-5, False)])
def test_what_counts_is_the_cost_in_float64(excess, reached):
    def launch_a_boaster(job):
        record = perform(job)
        if "verified_cost" in record:
            record["verified_cost"] = job.settings.target_cost * (1 + excess)
        return record

    result = run_case(without_peers(CASES["patches"]), launch_a_boaster)
    assert result.reached("rhohat") == reached
    assert ("not reached (J = " in render([result], ENVIRONMENT)) == (not reached)


def test_a_descent_that_is_broken_off_is_scaled_up():
    full = without_peers(CASES["mnist"])
    whole = run_case(full, perform).runs["textbook NumPy, SciPy"][0]
    stored = {
        "target_cost": whole["cost"],
        "start_cost": whole["agreement"]["J at the start"],
        "evaluations": {"float64": 1000},
    }
    case = without_peers(make_cases(quick=False, references=stored)["mnist"])
    assert not case.unavailable
    textbook = case.contenders[1]
    textbook = replace(textbook, settings={"limit": 0.0})
    case = replace(case, settings=full.settings, contenders=(full.contenders[-1], textbook))
    result = run_case(case, perform)
    run = result.runs[textbook.name][0]
    assert run["measured_evaluations"] == 1
    assert run["seconds"] == pytest.approx(1000 * run["measured_seconds"])
    assert run["evaluations"] == 1000
    text = render([result], ENVIRONMENT)
    assert "†" in text
    assert "scaled up" in text

    wrong = replace(case, references={**stored, "start_cost": stored["start_cost"] * (1 + 1e-8)})
    with pytest.raises(DisagreementError, match=r"J at the start .* references\.json"):
        run_case(wrong, perform)
    never = replace(case, references={**stored, "evaluations": {"float64": None}})
    assert not run_case(never, perform).reached(textbook.name)


def test_without_references_the_digits_are_skipped():
    result = run_case(make_cases(references=None)["mnist"], perform)
    assert "make bench-references" in result.skipped
    assert "**mnist** was skipped" in render([result], ENVIRONMENT)


def test_references_are_measured():
    found = references.measure_references(True, perform, lambda text: None)
    assert found["target_cost"] < found["start_cost"]
    assert found["evaluations"]["float64"] >= 5


# Reporting, of records that are made up.


def ours(**fields):
    return Contender("rhohat", "rhohat", "evaluation", **fields)


def once(**fields):
    return Contender("products", "bounds", "products", compared="share", repeats=1, **fields)


def made_up(contender, its_seconds, our_seconds=(1.0, 2.0, 4.0), **record):
    case = Case("case", "title", Settings(), (ours(), contender), repeats=len(its_seconds))
    memory = {"memory_before": 100 * 2**20, "memory_peak": 164 * 2**20}
    runs = {
        "rhohat": [{"seconds": seconds, **memory} for seconds in our_seconds],
        contender.name: [{"seconds": seconds, **memory, **record} for seconds in its_seconds],
    }
    return CaseResult(case, runs)


def row(result, name):
    lines = render([result], ENVIRONMENT).splitlines()
    table = [line for line in lines[lines.index(HEADER) :] if line.startswith("| ")]
    cells = [[cell.strip() for cell in line.split("|")[1:-1]] for line in table[1:]]
    assert all(len(line) == HEADER.count("|") - 1 for line in cells)
    (found,) = [dict(zip(HEADER.strip("| ").split(" | "), line, strict=True)) for line in cells if line[1] == name]
    return found


@pytest.mark.parametrize(("target", "reached"), [(2.0, "yes"), (2.1, "missed"), (None, "")])
def test_ratios_are_taken_within_each_repeat(target, reached):
    """Ratios 2, 1 and 4; the ratio of the medians would be 1."""
    result = made_up(Contender("it", "textbook", "evaluation", target=target), (2.0, 2.0, 16.0))
    found = row(result, "it")
    assert (found["time"], found["against rhohat"], found["reached"]) == ("2 s", "2.00 ×", reached)
    assert found["target"] == ("" if target is None else f"≥ {target:g} ×")
    assert found["peak memory (growth)"] == "164 MiB (+64)"
    assert row(result, "rhohat")["against rhohat"] == ""


def test_the_summary_has_what_has_a_target_and_marks_what_falls_short():
    contenders = [
        Contender("textbook", "textbook", "evaluation", target=2.0),
        Contender("PyTorch", "pytorch", "evaluation", target=3.0),
        Contender("PyTorch, fused", "pytorch", "evaluation"),
        Contender("PyTorch float32", "pytorch", "evaluation", {"dtype": "float32"}, target=1.5),
        once(target=0.5),
    ]
    seconds = {
        "rhohat": 1.0,
        "textbook": 2.5,
        "PyTorch": 2.9,
        "PyTorch, fused": 1.0,
        "PyTorch float32": 1.6,
        "products": 0.6,
    }
    case = Case("case", "what it is", Settings(), (ours(), *contenders), repeats=1)
    result = CaseResult(case, {name: [{"seconds": value}] for name, value in seconds.items()})
    lines = render([result], ENVIRONMENT).splitlines()
    assert lines[lines.index(SUMMARY_HEADER) + 2] == (
        "| what it is | 1 s | 2.50 × (goal ≥ 2 ×) | 2.90 × missed (goal ≥ 3 ×); float32: 1.60 × (goal ≥ 1.5 ×) "
        "| – | 60% (goal ≥ 50%) |"
    )


@pytest.mark.parametrize(("target", "reached"), [(0.5, "yes"), (0.51, "missed")])
def test_a_lower_bound_is_given_as_its_share(target, reached):
    found = row(made_up(once(target=target), (0.5,)), "products")
    assert (found["against rhohat"], found["target"], found["reached"]) == ("50%", f"≥ {target:.0%}", reached)


@pytest.mark.parametrize(("target", "reached"), [(1.25, "yes"), (1.2, "missed")])
def test_an_overhead_is_to_be_small(target, reached):
    result = made_up(Contender("it", "imports", "import_needs", compared="overhead", target=target), (0.8, 1.6, 3.2))
    found = row(result, "it")
    assert (found["against rhohat"], found["target"], found["reached"]) == ("1.25 ×", f"≤ {target:g} ×", reached)


def test_who_never_arrives_is_beaten_and_has_no_ratio():
    peer = Contender("it", "pytorch", "descent", target=5.0)
    found = row(made_up(peer, (2.0, 2.0, 2.0), reached=False, cost=0.25), "it")
    assert (found["time"], found["against rhohat"], found["reached"]) == ("not reached (J = 0.25)", "", "yes")
    result = made_up(peer, (2.0, 2.0, 2.0))
    result.runs["rhohat"][1].update(reached=False, cost=0.5)
    assert row(result, "it")["reached"] == "missed"
    assert row(result, "rhohat")["time"] == "not reached (J = 0.5)"


def test_the_first_of_ours_that_ran_is_what_others_are_compared_with():
    peer = Contender("it", "textbook", "evaluation")
    result = made_up(peer, (3.0,), (1.5,))
    newer = Contender("newer", "rhohat", "descent")
    result.case = replace(result.case, contenders=(newer, *result.case.contenders))
    result.unavailable["newer"] = "not here"
    assert row(result, "it")["against rhohat"] == "2.00 ×"
    assert row(result, "newer")["time"] == "not here"


def test_a_rate_is_in_rows_a_second():
    result = made_up(Contender("it", "textbook", "evaluation"), (0.5,), (0.25,))
    result.case = replace(result.case, rate=True, settings=Settings(sizes=(10_000, 3)))
    assert row(result, "it")["time"] == "500 ms (20,000 rows/s)"


def test_curves_have_tables_of_their_own():
    rows = make_cases()["rows"]
    sizes = [one.settings["n_rows"] for one in rows.contenders]
    result = CaseResult(rows, {one.name: [{"seconds": 1e-5 * one.settings["n_rows"]}] for one in rows.contenders})
    result.runs[rows.contenders[0].name][0]["seconds"] *= 1.5
    text = render([result], ENVIRONMENT)
    assert HEADER not in text
    assert f"| {sizes[0]:,} | {15 * sizes[0] / 1000:.3g} ms | 15.00 µs |" in text
    assert "costs 1.50 times the cheapest" in text

    threads = make_cases()["threads"]
    seconds = {"rhohat": 0.2, "bounds": 0.1}
    result = CaseResult(threads, {one.name: [{"seconds": seconds[one.module]}] for one in threads.contenders})
    assert "| 1 | 200 ms | 1.00 × | 100 ms | 50% |" in render([result], ENVIRONMENT)


def test_everything_is_written(tmp_path):
    result = made_up(Contender("it", "textbook", "evaluation", target=3.0), (2.0, 2.0, 16.0))
    curve = CASES["threads"]
    curve = CaseResult(curve, {one.name: [{"seconds": 0.1}] for one in curve.contenders})
    written = write([result, curve], ENVIRONMENT, tmp_path / "results")
    assert {path.name for path in written} == {"results.md", "results.json", "curves.png"}
    assert all(path.stat().st_size > 0 for path in written)
    stored = json.loads((tmp_path / "results" / "results.json").read_text(encoding="utf-8"))
    assert stored["environment"] == ENVIRONMENT
    it = stored["cases"]["case"]["contenders"]["it"]
    assert [run["seconds"] for run in it["runs"]] == [2.0, 2.0, 16.0]
    assert (it["comparison"], it["target_reached"]) == (2.0, False)


def test_two_runs_stand_side_by_side(tmp_path):
    case = without_peers(CASES["small64"])
    records = []
    for name in ("one", "other"):
        write([run_case(case, perform)], ENVIRONMENT, tmp_path / name)
        records.append(json.loads((tmp_path / name / "results.json").read_text(encoding="utf-8")))
    for record, share, reached in zip(records, (0.75, 0.5), (True, False), strict=True):
        contender = record["cases"]["small64"]["contenders"]["products alone"]
        contender.update(comparison=share, target_reached=reached)
    table = beside.render(*records)
    assert table.count("abacus") == 2
    (row,) = [line for line in table.splitlines() if line.startswith(f"| {case.title}")]
    assert "| 75% / 50% missed (goal ≥ 60%) |" in row
    assert row.count(" / ") == 3  # of rhohat, the textbook and the bound


def test_a_process_that_keeps_a_core_busy_is_named():
    with subprocess.Popen([sys.executable, "-c", "while True: pass"]) as spinning:
        try:
            # On a machine that is busy itself, the process may have to wait for its turn.
            assert any(one.startswith(f"{spinning.pid} (") for _ in range(10) for one in processors.busy_processes())
        finally:
            spinning.kill()


def test_instructions_are_those_that_a_run_is_kept_to(monkeypatch):
    monkeypatch.delenv("RHOHAT_BENCH_INSTRUCTIONS", raising=False)
    widest = processors.instructions()
    assert widest
    monkeypatch.setenv("RHOHAT_BENCH_INSTRUCTIONS", "abacus")
    assert processors.instructions() == f"abacus (of {widest})"


def test_a_run_kept_to_avx2_tells_every_process(monkeypatch, tmp_path, capsys):
    for name, value in processors.AVX2.items():
        monkeypatch.setenv(name, value)  # so that it is taken back after the test
    for name in processors.AVX2:
        monkeypatch.delenv(name)
    assert main(["small64", "--quick", "--avx2", "--output", str(tmp_path)]) == 0
    assert {name: os.environ[name] for name in processors.AVX2} == processors.AVX2
    environment = json.loads((tmp_path / "results.json").read_text(encoding="utf-8"))["environment"]
    assert environment["instructions"].startswith("AVX2")
    assert "small64" in capsys.readouterr().out


def test_parts_of_an_evaluation_are_timed():
    with np.errstate(all="ignore"):  # what is computed again and again overflows
        parts = profile.parts_of_evaluation(NUMPY, 64, 16, 8, 32, np.float64)
    assert list(parts) == ["matrix products", "biases and sigmoids", "loss", "pull-backs", "sums over rows"]
    assert min(parts.values()) > 0


def test_detectors_are_compared_on_the_same_rows(monkeypatch, capsys):
    monkeypatch.delenv("RHOHAT_DATA", raising=False)
    monkeypatch.setattr("sys.argv", ["detectors", "--seeds", "1", "--only", "wine"])
    detectors.main()
    lines = [line for line in capsys.readouterr().out.splitlines() if line.startswith("|")]
    assert len(lines) == 3
    assert lines[2].startswith("| wine: 129 × 13, 10 | ")
    areas = [float(cell.split(" ± ")[0]) for cell in lines[2].split(" | ")[1:]]
    assert len(areas) >= 3
    assert all(0 <= area <= 1 for area in areas)


def test_outliers_of_the_benchmark_are_rows_of_the_other_class():
    draw = detectors._mixture(np.zeros((50, 2)), np.ones((20, 2)), 5, n_usual=30)
    X, is_outlier = draw(np.random.default_rng(0))
    assert X.shape == (35, 2)
    assert np.array_equal(X[:, 0] == 1, is_outlier)
    assert is_outlier.sum() == 5


def test_the_script_for_gpus_checks_and_measures_everything_that_a_processor_can(tmp_path):
    """As on a machine with a GPU, where nothing but the source is at hand."""
    root = Path(__file__).parents[1]
    script = [sys.executable, str(root / "benchmarks" / "gpu.py"), "--cpu", "--output", str(tmp_path)]
    environment = {**os.environ, "PYTHONPATH": str(root / "src"), "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        script, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=600, check=False
    )
    assert done.returncode == 0, done.stderr
    results = json.loads((tmp_path / "results.json").read_text(encoding="utf-8"))
    assert {"kernels", "TopKAutoencoder", "RecurrentClassifier", "two"} <= {
        line.split()[0].strip(",:") for line in results["checked"]
    }
    cases = {row["case"].split(":")[0] for row in results["rows"]}
    assert cases == {
        "J, ∇J",
        "two epochs of Adam, whole fits",
        "an epoch of LeNet",
        "an epoch of LSTM of 128 units",
        "a step of TopK",
    }
    assert all(row["milliseconds"] > 0 for row in results["rows"])
    assert (tmp_path / "results.md").read_text(encoding="utf-8").count("\n| ") == len(results["rows"]) + 1
