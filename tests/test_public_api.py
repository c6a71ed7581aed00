"""What the package offers changes on purpose only."""

from difflib import unified_diff

from tests.public_api import COMMAND, SNAPSHOT, public_api


def test_the_public_interface_is_that_of_the_snapshot():
    written = SNAPSHOT.read_text(encoding="utf-8").splitlines()
    changes = list(unified_diff(written, public_api().splitlines(), "written", "found", lineterm="", n=0))
    assert not changes, "\n".join(
        [f"The public interface has changed. If it was meant to: {COMMAND}, and a line in CHANGELOG.md.", *changes]
    )


def test_the_snapshot_holds_functions_classes_and_what_belongs_to_them():
    names = SNAPSHOT.read_text(encoding="utf-8").splitlines()
    assert "rhohat.load(path, *, activation_scale=None)" in names
    assert "rhohat.SparseAutoencoder.fit(X, y=None, sample_weight=None)" in names
    assert "rhohat.SparseAutoencoder.coefs_" in names
    assert "rhohat.RowSource.short_name" in names
    assert "rhohat.solvers.LBFGS is rhohat.LBFGS" in names
    assert not [name for name in names if "._" in name or " at 0x" in name]
