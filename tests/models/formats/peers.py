"""`make peers`: other libraries, in environments of their own, load what rhohat exports, and rhohat what they write.

It installs SAELens (of today, and two versions before 6), sparsify and dictionary_learning, which takes some GB and
some minutes. Then rhohat loads dictionaries that they have just written, and compares codes and reconstructions with
theirs; and they load dictionaries that rhohat has trained and exported, and encode the same rows. A line is printed for
each.
"""

import argparse
import os
import subprocess
import sys
import tempfile
import warnings
from pathlib import Path

import numpy as np

import rhohat
from tests.models.formats.fixtures_of import FIXTURES, expected, made_by, precision_of, precision_of_rows

_TORCH = "torch==2.13.0"
#: What is installed into each environment.
ENVIRONMENTS = {
    "saelens": ["sae-lens==6.54.12"],
    "sparsify": ["eai-sparsify==1.3.3"],
    "dictionary_learning": ["dictionary-learning==0.1.0"],
}
_BEFORE_6 = ("3.22.2", "5.11.0")  # installed beside SAELens of today, for its dependencies
_EXACT = 1e-5  # how far apart codes may be, relative to the largest
_UNTRANSLATED = ("groupmax",)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--environments", type=Path, default=Path(".venv-peers"), help="where they are, or are made")
    parser.add_argument("--write-fixtures", action="store_true", help="replace those in the repository")
    arguments = parser.parse_args()
    environments = arguments.environments.resolve()
    for name, packages in ENVIRONMENTS.items():
        _install(environments, name, packages)
    with tempfile.TemporaryDirectory() as folder:
        written = FIXTURES if arguments.write_fixtures else Path(folder) / "theirs"
        failures = read_theirs(environments, written)
        failures += give_ours(environments, Path(folder) / "ours")
    sys.exit(f"{failures} comparisons failed" if failures else 0)


def _install(environments, name, packages):
    """Make an environment, unless it is there."""
    folder = environments / name
    if (folder / "bin" / "python").exists():
        return
    print(f"installing {', '.join(packages)} into {folder}", flush=True)
    subprocess.run([sys.executable, "-m", "venv", folder], check=True)
    pip = [folder / "bin" / "python", "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    subprocess.run([*pip, _TORCH], check=True)
    subprocess.run([*pip, _TORCH, *packages], check=True)
    if name == "saelens":
        for version in _BEFORE_6:
            target = ["--target", environments / f"saelens-{version}"]
            subprocess.run([*pip, "--no-deps", *target, f"sae-lens=={version}"], check=True)


def _run(environments, name, program, folder, path=None):
    """Run a program of the fixtures in an environment."""
    folder.mkdir(parents=True, exist_ok=True)
    variables = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    if path is not None:
        variables["PYTHONPATH"] = str(path)
    command = [environments / name / "bin" / "python", FIXTURES / program, folder]
    done = subprocess.run(command, env=variables, capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(f"{program} failed:\n{done.stderr[-2000:]}")


def read_theirs(environments, folder):
    """Let the libraries write dictionaries, load them, and return how often what is computed differs from theirs."""
    _run(environments, "saelens", "writers/saelens.py", folder / "saelens")
    _run(environments, "saelens", "writers/scopes.py", folder / "scopes")
    for version in _BEFORE_6:
        path, name = environments / f"saelens-{version}", f"saelens-{version}"
        _run(environments, "saelens", "writers/saelens_before_6.py", folder / name, path)
    _run(environments, "sparsify", "writers/sparsify.py", folder / "sparsify")
    _run(environments, "dictionary_learning", "writers/dictionary_learning.py", folder / "dictionary_learning")
    failures = 0
    for file in sorted(folder.rglob("expected.npz")):
        name = file.parent.relative_to(folder).as_posix()
        if name.endswith(_UNTRANSLATED):
            continue
        rows, *theirs = expected(file.parent)
        ours = made_by(rhohat.load(file.parent), rows)
        allowed = precision_of(name), precision_of_rows(name)
        failures += _compare(f"theirs  {name}", ours, theirs, allowed)
    return failures


def give_ours(environments, folder):
    """Export dictionaries, let the libraries encode rows, and return how often what they compute differs from ours."""
    from tests.models.formats.test_round_trips import OUTPUTS, ROWS, SUPPORTED, UNFITTED

    failures = 0
    for library in ("saelens", "sparsify", "dictionary_learning"):
        models = {}
        folded = [name for name in _FOLDED.get(library, ()) if name not in SUPPORTED[library]]
        for name in [*SUPPORTED[library], *folded]:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", UserWarning)
                models[name] = UNFITTED[name].fit(ROWS, OUTPUTS)
            rhohat.export(models[name], folder / library / name, format=library)
            np.save(folder / library / name / "rows.npy", ROWS)
        _run(environments, library, f"readers/{library}.py", folder / library)
        for name, model in models.items():
            with np.load(folder / library / name / "theirs.npz") as arrays:
                theirs = arrays["codes"], arrays["reconstructions"]
            rounding = 5 * _EXACT if name == "layer norm" else _EXACT
            failures += _compare(f"ours    {library}: {name}", made_by(model, ROWS), theirs, (_EXACT, rounding))
    return failures


#: Dictionaries whose biases an export changes, because the library treats them in its own way.
_FOLDED = {
    "sparsify": ("topk not centered",),
    "dictionary_learning": ("l1", "topk not centered", "jumprelu", "gated not centered"),
}


def _compare(what, ours, theirs, allowed):
    """Print how far codes and reconstructions are apart, relative to the largest, and return whether it is too far."""
    distances = []
    for mine, other in zip(ours, theirs, strict=True):
        scale = max(1.0, float(np.abs(other).max()))
        distances.append(float(np.abs(mine - other).max()) / scale)
    is_empty = not (theirs[0] > 0).any()  # which would be equal to anything that is empty as well
    failed = is_empty or any(distance > most for distance, most in zip(distances, allowed, strict=True))
    codes, made = distances
    print(f"{what:75} codes {codes:.1e}  reconstructions {made:.1e}{'  FAILED' * failed}", flush=True)
    return int(failed)


if __name__ == "__main__":
    main()
