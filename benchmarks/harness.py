"""Runs the contenders of a case in alternation, checks that they compute the same, and sums their records up."""

from __future__ import annotations

import math
import statistics
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from benchmarks.tasks import Job, Record, Settings

__all__ = ["Case", "CaseResult", "Contender", "DisagreementError", "run_case"]

#: How well contenders have to agree on J and on the norm of its gradient, relative.
_AGREEMENT = {"float64": 1e-10, "float32": 1e-4}

#: How far above the target the cost that a descent ended at may be when it is computed anew in float64, relative. In
#: float32 PyTorch and JAX sum in float32, and stop where they themselves see the target.
_VERIFIED = {"rhohat": 1e-6, "float64": 1e-6, "float32": 1e-4}


class DisagreementError(Exception):
    """Contenders of one case do not compute the same."""


@dataclass(frozen=True)
class Contender:
    """One way of doing what a case asks for.

    Attributes
    ----------
    name : str
        As the table has it; unique in its case.
    module, function : str
        In `benchmarks.contenders`.
    settings : mapping
        Settings of its own, in the place of the case's.
    compared : {"times", "share", "overhead"}
        How it is put beside rhohat: its time / rhohat's; the same as a percentage, for lower bounds; or rhohat's / its.
    target : float, default=None
        What that number should be: at least, for "times" and "share" (a fraction), at most for "overhead".
    beside : str, default=None
        The contender it is compared with; None means the first of rhohat's that ran. One that is beside itself is not
        compared.
    sets_target : bool
        Whether the cost that it ends at is what the others have to reach.
    reference : str, default=None
        The name of the descent in `references.json` by whose evaluations its time is scaled up.
    repeats : int, default=None
        Take part in the first so many repeats only; None means all.
    """

    name: str
    module: str
    function: str
    settings: Mapping[str, Any] = field(default_factory=dict)
    compared: Literal["times", "share", "overhead"] = "times"
    target: float | None = None
    beside: str | None = None
    sets_target: bool = False
    reference: str | None = None
    repeats: int | None = None


@dataclass(frozen=True)
class Case:
    """A task, and who does it.

    Attributes
    ----------
    name, title : str
    settings : Settings
    contenders : tuple of Contender
        In the order in which they run, and stand in the table.
    repeats : int
    agreement : float, default=None
        Relative tolerance to which contenders have to agree; None takes that of the precision.
    curve : {"n_rows", "n_threads"}, default=None
        The setting along which rhohat is measured; the case then has a table of its own.
    references : mapping, default=None
        What `references.json` has for this case, where times are scaled up by it.
    unavailable : str
        Why the case cannot be run; empty if it can.
    rate : bool
        Whether the table says how many rows a second that is.
    """

    name: str
    title: str
    settings: Settings
    contenders: tuple[Contender, ...]
    repeats: int = 5
    agreement: float | None = None
    curve: str | None = None
    references: Mapping[str, Any] | None = None
    unavailable: str = ""
    rate: bool = False

    def settings_of(self, contender: Contender) -> Settings:
        """Return the settings that a contender works with."""
        return replace(self.settings, **contender.settings)


@dataclass
class CaseResult:
    """What came of a case.

    Attributes
    ----------
    case : Case
    runs : dict of str to list of Record
        By contender, one record for each repeat that it took part in.
    unavailable : dict of str to str
        By contender, why it did not run.
    skipped : str
        Why the case did not run; empty if it did.
    remark : str
        What the rows are, if not what the case promises.
    """

    case: Case
    runs: dict[str, list[Record]] = field(default_factory=dict)
    unavailable: dict[str, str] = field(default_factory=dict)
    skipped: str = ""
    remark: str = ""

    def subject_of(self, contender: Contender) -> str:
        """Return the name of the contender that this one is compared with; its own where it is not."""
        if contender.beside is not None:
            return contender.beside
        ours = [one.name for one in self.case.contenders if one.module in ("rhohat", "imports")]
        return next((name for name in ours if name not in self.unavailable), contender.name)

    def median(self, name: str, key: str = "seconds") -> float | None:
        """Return the median over a contender's runs, or None where it has none with that key."""
        values = [run[key] for run in self.runs.get(name, []) if run.get(key) is not None]
        return statistics.median(values) if values else None

    def reached(self, name: str) -> bool:
        """Return whether every run of a descent reached its target; True for what has none."""
        return all(run.get("reached", True) for run in self.runs.get(name, []))

    def comparison(self, contender: Contender) -> float | None:
        """Return the number that the contender's target is about: the median of ratios within each repeat."""
        subject = self.subject_of(contender)
        if contender.name == subject or not (self.reached(subject) and self.reached(contender.name)):
            return None
        pairs = zip(self.runs.get(contender.name, []), self.runs.get(subject, []), strict=False)
        ratios = [its["seconds"] / ours["seconds"] for its, ours in pairs]
        if not ratios:
            return None
        return statistics.median(1 / ratio if contender.compared == "overhead" else ratio for ratio in ratios)

    def target_reached(self, contender: Contender) -> bool | None:
        """Return whether the contender's target is reached, or None where it has none or was not measured.

        A peer that never comes down to the cost is beaten; where rhohat does not, every target is missed.
        """
        if contender.target is None or contender.name in self.unavailable or not self.runs.get(contender.name):
            return None
        subject = self.subject_of(contender)
        if subject in self.unavailable or not self.reached(subject):
            return False
        number = self.comparison(contender)
        if number is None:
            return not self.reached(contender.name)
        return number <= contender.target if contender.compared == "overhead" else number >= contender.target


def run_case(
    case: Case, launch: Callable[[Job], Record], tell: Callable[[str], None] = lambda text: None
) -> CaseResult:
    """Run the contenders of a case in alternation: A B C A B C ….

    Parameters
    ----------
    case : Case
    launch : callable
        Performs a job: `worker.launch` in a process of its own.
    tell : callable, default=nothing
        Called with a line on what is being done.

    Returns
    -------
    CaseResult

    Raises
    ------
    DisagreementError
        If contenders differ in what they computed.
    """
    result = CaseResult(case, skipped=case.unavailable)
    if result.skipped:
        return result
    with tempfile.TemporaryDirectory(prefix="rhohat-bench-") as folder:
        tell(f"{case.name}: data")
        data = launch(Job("benchmarks.data", "prepare", folder, case.settings))
        result.skipped, result.remark = data.get("unavailable", ""), data.get("remark", "")
        if result.skipped:
            return result
        target = case.references["target_cost"] if case.references else None
        for repeat in range(case.repeats):
            for contender in case.contenders:
                if repeat >= (contender.repeats or case.repeats) or contender.name in result.unavailable:
                    continue
                tell(f"{case.name}, {repeat + 1} of {case.repeats}: {contender.name}")
                settings = case.settings_of(contender)
                if not contender.sets_target:
                    settings = replace(settings, target_cost=target)
                job = Job(f"benchmarks.contenders.{contender.module}", contender.function, folder, settings)
                record = _take_in(launch(job), case, contender, target)
                if "unavailable" in record:
                    result.unavailable[contender.name] = record["unavailable"]
                    continue
                if contender.sets_target:
                    target = record["cost"]
                result.runs.setdefault(contender.name, []).append(record)
    _check_agreement(result)
    return result


def _take_in(record: Record, case: Case, contender: Contender, target: float | None) -> Record:
    """Return a record whose descent is judged by its cost in float64, and whose time is scaled up where that is due."""
    if "unavailable" in record:
        return record
    if contender.sets_target:
        return {**record, "reached": True}
    if record.get("reached"):
        assert target is not None
        kind = "rhohat" if contender.module == "rhohat" else case.settings_of(contender).dtype
        return {**record, "reached": record["verified_cost"] <= target * (1 + _VERIFIED[kind])}
    if contender.reference is None or case.references is None:
        return record
    if contender.reference not in case.references["evaluations"]:
        return {"unavailable": "not in references.json"}
    return _scale_up(record, case.references["evaluations"][contender.reference])


def _scale_up(record: Record, evaluations: int | None) -> Record:
    """Return the record of a descent that was broken off as if it had taken so many evaluations; None is never."""
    measured = {"measured_seconds": record["seconds"], "measured_evaluations": record["evaluations"]}
    if evaluations is None:
        return {**record, **measured}
    seconds = evaluations * record["seconds"] / record["evaluations"]
    return {**record, **measured, "seconds": seconds, "evaluations": evaluations, "reached": True, "scaled": True}


def _check_agreement(result: CaseResult) -> None:
    """Raise DisagreementError unless all that are compared with each other computed the same numbers."""
    case = result.case
    seen: dict[tuple[str, str], tuple[str, str, float]] = {}
    if case.references:
        seen[result.subject_of(case.contenders[0]), "J at the start"] = (
            "references.json",
            "float64",
            case.references["start_cost"],
        )
    # What is more exact comes first, and is what the others are compared with.
    for contender in sorted(case.contenders, key=lambda one: case.settings_of(one).dtype, reverse=True):
        dtype = case.settings_of(contender).dtype
        for record in result.runs.get(contender.name, []):
            for what, number in record.get("agreement", {}).items():
                key = result.subject_of(contender), what
                name, precision, expected = seen.setdefault(key, (contender.name, dtype, number))
                tolerance = case.agreement or max(_AGREEMENT[dtype], _AGREEMENT[precision])
                if not math.isclose(number, expected, rel_tol=tolerance):
                    raise DisagreementError(
                        f"{case.name}: {what} is {number!r} for {contender.name} and {expected!r} for {name}; they"
                        f" have to agree to {tolerance:g}."
                    )
