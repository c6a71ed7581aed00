"""scikit-learn's own checks of the estimator contract, whole and without exceptions."""

import pytest
from sklearn.utils.estimator_checks import check_estimator, parametrize_with_checks

from rhohat import SparseAutoencoder

# The checks fit toy data for a handful of iterations, and a warning about that is the right answer.
pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")


@parametrize_with_checks([SparseAutoencoder(), SparseAutoencoder(activation="tanh", output_activation="identity")])
def test_each_check(estimator, check):
    check(estimator)


def test_check_estimator_passes_whole():
    results = check_estimator(SparseAutoencoder(), on_skip=None)
    assert {result["status"] for result in results} <= {"passed", "skipped"}
    skipped = {result["check_name"] for result in results if result["status"] == "skipped"}
    assert skipped <= {"check_array_api_input"}
