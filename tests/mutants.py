"""Mutation testing: ``make mutants`` changes the source here and there, and looks whether a test notices.

mutmut makes the mutants, each of which is a small change of one function, and runs the tests of the room that it is in,
which stop at the first that fails. A mutant that no test notices is a survivor: it wants a test, or a line in
mutants_explained.txt that says why it changes nothing that matters. Results are kept in ``mutants/``, and a second run
goes on from there; mutants of functions that changed since are made anew.

Two kinds of changes are explained by what they are, because no test has to notice them:

* ``strict=True`` of ``zip`` is left out, or is no longer true. It states that lengths agree, as an assertion does, and
  here they agree by how things are made: what users give is compared before, with a message of its own.
* A text of at least five words, which people read, is put in capitals or small letters, or between two XX. Shorter
  texts may be names or keys, on which something depends.

A whole run takes hours. ``make mutants FILES=terms/penalties.py`` looks at the mutants of some files only (with spaces
between them, or rooms such as ``layers``), and ``LIMIT=50`` at so many of them, spread evenly over the files.
"""

import argparse
import os
import re
import subprocess
import sys
from pathlib import Path

__all__ = ["chosen", "explained_by_kind", "name_and_change", "read_explained"]

ROOT = Path(__file__).parent.parent
EXPLAINED = Path(__file__).with_name("mutants_explained.txt")
_MUTMUT = [sys.executable, "-m", "mutmut"]
_PACKAGE = "src/rhohat/"
#: What mutmut says of mutants that some test has noticed.
_NOTICED = {"killed", "timeout", "caught by type check", "segfault"}

_AT_ONCE = 500
_STRICT = re.compile(r"(zip\(.*, )strict=(?:True|False)\)")
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


def _results():
    """Return what is known of every mutant, by its name."""
    answer = subprocess.run(
        [*_MUTMUT, "results", "--all", "true"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    pairs = [line.strip().rsplit(": ", 1) for line in answer.stdout.splitlines() if "__mutmut_" in line]
    return dict(pairs)


def _show(mutant):
    return name_and_change(mutant, _asked("show", mutant))


def _asked(*arguments):
    return subprocess.run([*_MUTMUT, *arguments], cwd=ROOT, capture_output=True, text=True, check=True).stdout


def _run(patterns):
    # Threads of OpenMP do not survive the fork of a process, so that tests with PyTorch would wait for them for ever.
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    subprocess.run([*_MUTMUT, "run", *patterns], cwd=ROOT, check=False, env=environment)


def main():
    """Run mutants, print the survivors that nobody has explained, and exit with 1 where there are any."""
    parser = argparse.ArgumentParser(prog="make mutants", description="Mutation testing.")
    parser.add_argument("files", nargs="*", help="files or rooms, such as terms/penalties.py or layers; all without")
    parser.add_argument("--limit", type=int, help="look at so many mutants at most")
    options = parser.parse_args()
    explained = read_explained(EXPLAINED.read_text(encoding="utf-8"))
    if not (ROOT / "mutants").exists():
        print("Making the mutants; that no name matches is as it should be.")
        _run(["none"])
    mutants = chosen(list(_results()), options.files, options.limit)
    if not mutants:
        sys.exit(f"there are no mutants of {', '.join(options.files) or 'anything'}")
    for start in range(0, len(mutants), _AT_ONCE):  # what is known stays known where this is interrupted
        _run(mutants[start : start + _AT_ONCE])
    results = _results()
    noticed = [mutant for mutant in mutants if results[mutant] in _NOTICED]
    survivors = {mutant: _show(mutant) for mutant in mutants if mutant not in noticed}
    unexplained = {
        mutant: shown
        for mutant, shown in survivors.items()
        if shown not in explained and not explained_by_kind(shown[1])
    }
    print(
        f"\n{len(noticed)} of {len(mutants)} mutants were noticed, {len(survivors) - len(unexplained)} are explained."
    )
    for mutant, (function, change) in unexplained.items():
        print(f"{results[mutant]}: {mutant}\n{function}: {change}")
    sys.exit(bool(unexplained))


if __name__ == "__main__":
    main()
