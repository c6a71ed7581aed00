"""What a run was done on: processor, cores, and versions of everything that computes."""

from __future__ import annotations

import platform
from datetime import UTC, datetime
from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from benchmarks.cases import available_cores
from benchmarks.processors import instructions

__all__ = ["describe", "summarise"]

_PACKAGES = ("rhohat", "numpy", "scipy", "scikit-learn", "numba", "torch", "jax", "jaxlib", "matplotlib")


def describe() -> dict[str, Any]:
    """Return the record of this machine and this environment."""
    return {
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "processor": _processor(),
        "cores": available_cores(),
        "instructions": instructions(),
        "system": platform.platform(),
        "python": platform.python_version(),
        "packages": {name: _version(name) for name in _PACKAGES},
        "blas": _blas(),
    }


def summarise(environment: dict[str, Any]) -> str:
    """Return the record as one line of Markdown."""
    packages = ", ".join(f"{name} {found}" for name, found in environment["packages"].items() if found)
    blas = ", ".join(
        sorted(
            f"{one['library']} {one['version']} ({one['kernels']}, {one['threads']} threads)"
            for one in {str(one): one for one in environment["blas"]}.values()
        )
    )
    machine = f"{environment['processor']}, {environment['cores']} cores, {environment['instructions']}"
    return f"{machine}; Python {environment['python']}, {packages}; BLAS: {blas}; {environment['date'][:10]}"


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def _processor() -> str:
    """Return the processor's name, as the system tells it."""
    described = Path("/proc/cpuinfo")
    lines = described.read_text().splitlines() if described.exists() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()


def _blas() -> list[dict[str, Any]]:
    """Return the BLAS libraries of NumPy and SciPy: the processors whose kernels run, and the number of threads."""
    for module in ("numpy", "scipy.linalg"):
        import_module(module)
    from threadpoolctl import threadpool_info

    return [
        {
            "library": one["internal_api"],
            "version": one["version"],
            "kernels": one.get("architecture", "unknown kernels"),
            "threads": one["num_threads"],
        }
        for one in threadpool_info()
        if one["user_api"] == "blas"
    ]
