"""Mutation testing: ``make mutants`` changes the source here and there, and looks whether a test notices.

mutmut makes the mutants, each of which is a small change of one function, and finds out which test calls which
function; mutant_runner.py runs the tests of the function up to the first that fails. A mutant that no test notices is a
survivor: it wants a test, or a line in mutants_explained.txt that says why it changes nothing that matters. Results are
kept in ``mutants/``, and a second run goes on from there: it runs the mutants that no test has noticed, and those of
functions that have changed. Without that folder, everything is made anew; then a test that existed before is known to
call what it has come to call since.

Three kinds of changes are explained by what they are, because no test has to notice them:

* ``strict=True`` of ``zip`` is left out, or is no longer true. It states that lengths agree, as an assertion does, and
  here they agree by how things are made: what users give is compared before, with a message of its own.
* A text of at least five words, which people read, is put in capitals or small letters, or between two XX. Shorter
  texts may be names or keys, on which something depends.
* The −1 by which ``reshape`` is told to find a length becomes −2, which NumPy takes for the same. PyTorch does not, and
  tests/ops notice.

``make mutants FILES=terms/penalties.py`` looks at the mutants of some files only (with spaces between them, or rooms
such as ``layers``), and ``LIMIT=50`` at so many of them, spread evenly over the files.
"""

import argparse
import json
import re
import subprocess
import sys
import tomllib
from pathlib import Path

from tests import mutant_runner

__all__ = ["chosen", "explained_by_kind", "name_and_change", "read_explained"]

ROOT = Path(__file__).parent.parent
EXPLAINED = Path(__file__).with_name("mutants_explained.txt")
_MUTMUT = [sys.executable, "-m", "mutmut"]
_PACKAGE = "src/rhohat/"
_FOLDER = ROOT / "mutants"
_RESULTS = _FOLDER / "results.json"
#: How many mutants are run between two times that results are kept.
_AT_ONCE = 1000
#: Seconds of tests that are run only if all faster ones have not noticed a mutant that nobody has explained.
_SLOW = 0.1

_STRICT = re.compile(r"(zip\(.*, )strict=(?:True|False)\)")
_RESHAPED = re.compile(r"(\.reshape\([^()]*(?:\([^()]*\)[^()]*)*)-1\b")
_TEXT = re.compile(r'"([^"]*)"')
_WORDS = 5


def read_explained(text):
    """Return why survivors may live, by function and change.

    Parameters
    ----------
    text : str
        Of the file: a line ``function: old line -> new line`` for each, followed by its reason, indented.

    Returns
    -------
    dict of (function, change) to str

    Raises
    ------
    ValueError
        If a line lacks its reason, or what a reason is for.
    """
    found, key = {}, None
    for line in text.splitlines():
        if not line.strip() or line.startswith("#"):
            continue
        if not line.startswith(" "):
            function, _, change = line.partition(": ")
            if key in found or key is None:
                key = function, change
                continue
            raise ValueError(f"there is no reason for {': '.join(key)}")
        if key is None:
            raise ValueError(f"what is this a reason for: {line.strip()}")
        found[key] = " ".join([*([found[key]] if key in found else []), line.strip()])
    if key is not None and key not in found:
        raise ValueError(f"there is no reason for {': '.join(key)}")
    return found


def name_and_change(mutant, difference):
    """Return the function that a mutant is of, and what it changes, from mutmut's name and difference."""
    module, _, rest = mutant.rpartition("__mutmut_")[0].partition(".x")
    if not rest:
        raise ValueError(f"{mutant} is no name of a mutant")
    function = rest.removeprefix("_") if rest.startswith("_") else rest.strip("ǁ").replace("ǁ", ".")
    lines = difference.splitlines()
    old, new = (
        " ".join(line[1:].strip() for line in lines if line.startswith(sign) and not line.startswith(3 * sign))
        for sign in "-+"
    )
    return f"{module.removeprefix('rhohat.')}.{function}", f"{old} -> {new}"


def explained_by_kind(change):
    """Return whether a change is of a kind that no test has to notice; see the head of this file."""
    old, _, new = change.partition(" -> ")
    if new != old and new in (_STRICT.sub(rf"\1{other})", old) for other in ("strict=False", "strict=None", "")):
        return True
    if new != old and any(new == f"{old[: found.end(1)]}-2{old[found.end() :]}" for found in _RESHAPED.finditer(old)):
        return True
    texts, new_texts = _TEXT.findall(old), _TEXT.findall(new)
    changed = [pair for pair in zip(texts, new_texts, strict=False) if pair[0] != pair[1]]
    if len(texts) != len(new_texts) or len(changed) != 1 or _TEXT.sub("", old) != _TEXT.sub("", new):
        return False
    text, new_text = changed[0]
    same_letters = new_text == f"XX{text}XX" or new_text.lower() == text.lower()
    return same_letters and len(text.split()) >= _WORDS


def chosen(mutants, files, limit):
    """Return the mutants that are in some files or rooms, at most so many, spread evenly."""
    starts = [
        f"rhohat.{file.removeprefix(_PACKAGE).removesuffix('.py').strip('/').replace('/', '.')}." for file in files
    ]
    of_files = [mutant for mutant in mutants if not starts or mutant.startswith(tuple(starts))]
    n_chosen = len(of_files) if limit is None else min(limit, len(of_files))
    return [of_files[number * len(of_files) // n_chosen] for number in range(n_chosen)]


def _made():
    """Let mutmut make the mutants, and return the hash of the function that each is of, by the mutant's name."""
    print("Making the mutants, and looking which test calls which function, which takes some minutes.", flush=True)
    made = subprocess.run([*_MUTMUT, "run", "none"], cwd=ROOT, capture_output=True, text=True, check=False)
    if (
        "nothing matches" not in made.stderr
    ):  # there is no mutant of this name, and mutmut says so when all else is done
        sys.exit(f"mutmut could not make the mutants:\n{made.stdout[-3000:]}\n{made.stderr[-3000:]}")
    found = {}
    for path in sorted(_FOLDER.glob("src/**/*.meta")):
        meta = json.loads(path.read_text(encoding="utf-8"))
        hashes = meta["hash_by_function_name"]
        for mutant in meta["exit_code_by_key"]:
            found[mutant] = hashes.get(mutant.partition("__mutmut_")[0].rpartition(".")[2])
    return found


def _show(mutant):
    shown = subprocess.run([*_MUTMUT, "show", mutant], cwd=ROOT, capture_output=True, text=True, check=True)
    return name_and_change(mutant, shown.stdout)


def main():
    """Run mutants, print the survivors that nobody has explained, and exit with 1 where there are any."""
    parser = argparse.ArgumentParser(prog="make mutants", description="Mutation testing.")
    parser.add_argument("files", nargs="*", help="files or rooms, such as terms/penalties.py or layers; all without")
    parser.add_argument("--limit", type=int, help="look at so many mutants at most")
    options = parser.parse_args()
    explained = read_explained(EXPLAINED.read_text(encoding="utf-8"))
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["mutmut"]
    arguments = settings["pytest_add_cli_args_test_selection"] + settings["pytest_add_cli_args"]
    hashes = _made()
    mutants = chosen(list(hashes), options.files, options.limit)
    if not mutants:
        sys.exit(f"there are no mutants of {', '.join(options.files) or 'anything'}")
    kept = json.loads(_RESULTS.read_text(encoding="utf-8")) if _RESULTS.exists() else {}
    noticed = {
        name
        for name, (made_of, result) in kept.items()
        if hashes.get(name) == made_of and result in mutant_runner.NOTICED
    }
    shown = {}

    def run(some, **which):
        for start in range(0, len(some), _AT_ONCE):  # what is known stays known where this is interrupted
            results = mutant_runner.run(_FOLDER, some[start : start + _AT_ONCE], arguments, **which)
            kept.update({name: (hashes[name], result) for name, result in results.items()})
            _RESULTS.write_text(json.dumps(kept), encoding="utf-8")
        left = [name for name in some if kept[name][1] not in mutant_runner.NOTICED]
        shown.update({name: _show(name) for name in left if name not in shown})
        return [name for name in left if shown[name] not in explained and not explained_by_kind(shown[name][1])]

    unexplained = run([name for name in mutants if name not in noticed], longest=_SLOW)
    unexplained = run(unexplained, shortest=_SLOW)
    n_noticed = sum(name in noticed or kept[name][1] in mutant_runner.NOTICED for name in mutants)
    n_explained = len(mutants) - n_noticed - len(unexplained)
    print(f"\n{n_noticed} of {len(mutants)} mutants were noticed, {n_explained} are explained.")
    for name in unexplained:
        print(f"{kept[name][1]}: {name}\n{': '.join(shown[name])}")
    sys.exit(bool(unexplained))


if __name__ == "__main__":
    main()
