import subprocess
import sys
import traceback

import pytest
import sklearn

from rhohat.common.exceptions import MissingExtraError
from rhohat.common.extras import import_extra

SKLEARN = tuple(map(int, sklearn.__version__.split(".")[:2]))

# Not pandas: scikit-learn itself loads it where it is installed.
OPTIONAL = ["matplotlib", "typer", "rich", "jinja2", "skimage", "imageio", "PIL", "dask", "torch", "triton", "h5py"]


def run(code):
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()


def test_importing_the_library_loads_no_optional_package():
    loaded = run("import rhohat, sys; print(*{name.partition('.')[0] for name in sys.modules})")
    assert "sklearn" in loaded
    assert not set(OPTIONAL) & set(loaded)


def test_fitting_loads_no_optional_package():
    loaded = run(
        "import warnings; warnings.simplefilter('ignore');"
        "import numpy as np, rhohat, sys;"
        "rhohat.SparseAutoencoder(max_iter=2).fit(np.eye(9)).transform(np.eye(9));"
        "print(*{name.partition('.')[0] for name in sys.modules})"
    )
    assert not set(OPTIONAL) & set(loaded)


#: What scikit-learn and SciPy import for functions that rhohat does not call.
SLOW = ["scipy.stats", "scipy.optimize", "scipy.ndimage", "pandas", "narwhals", "numpy.f2py", "numpy.testing"]


@pytest.mark.skipif(SKLEARN < (1, 7), reason="older versions of scikit-learn use what they import")
@pytest.mark.parametrize("module", ["rhohat", "rhohat.cli"])
def test_importing_loads_nothing_slow_and_nothing_that_stands_in_for_it(module):
    loaded = run(f"import {module}, sys; print(*sys.modules)")
    assert not set(SLOW) & set(loaded)


def test_what_scikit_learn_needs_only_sometimes_is_imported_then():
    found = run(
        "import rhohat, sys;"
        "from sklearn.utils import fixes, validation;"
        "print('scipy.stats' in sys.modules, fixes._mode([1, 1, 2])[0].item(), 'scipy.stats' in sys.modules);"
        "print('narwhals' in sys.modules, *validation.check_array([[1]]), 'narwhals' in sys.modules);"
        "import scipy, numpy, scipy.stats;"
        "print(scipy.stats.__spec__.name, numpy.testing.__spec__.name, numpy.f2py.__spec__.name)"
    )
    assert found[:3] == ["False", "1", "True"]
    assert found[-3:] == ["scipy.stats", "numpy.testing", "numpy.f2py"]


def test_frames_of_pandas_are_known_that_was_imported_later():
    pytest.importorskip("pandas")
    found = run(
        "import numpy as np, rhohat, warnings; warnings.simplefilter('ignore');"
        "import pandas;"
        "frame = pandas.DataFrame(np.eye(4), columns=list('abcd'));"
        "model = rhohat.SparseAutoencoder(n_components=2, max_iter=2).fit(frame);"
        "print(*model.feature_names_in_)"
    )
    assert found == list("abcd")


def test_a_missing_package_is_named_with_the_extra_that_installs_it():
    with pytest.raises(MissingExtraError, match=r"no_such_package is needed.*pip install .*\[app\]'") as caught:
        import_extra("no_such_package.part", "app")
    assert issubclass(MissingExtraError, ImportError)
    shown = "".join(traceback.format_exception(caught.value))
    assert "ModuleNotFoundError" not in shown, "one error is enough"


def test_an_error_inside_an_installed_package_passes_through(tmp_path, monkeypatch):
    (tmp_path / "broken_package.py").write_text("import another_missing_package")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(ModuleNotFoundError, match="another_missing_package") as caught:
        import_extra("broken_package", "app")
    assert not isinstance(caught.value, MissingExtraError)


def test_without_the_app_extra_the_command_line_says_what_to_install():
    code = "import sys; sys.modules['typer'] = None; from rhohat.__main__ import main; main()"
    outcome = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert outcome.returncode == 1
    assert "typer is needed" in outcome.stderr
    assert "Traceback" not in outcome.stderr


@pytest.mark.parametrize("function", ["rhohat.photographs()", "rhohat.plot_kl()"])
def test_without_the_app_extra_pictures_say_what_to_install(function):
    code = (
        "import sys; sys.modules['skimage'] = sys.modules['matplotlib.pyplot'] = None;"
        f"sys.modules['matplotlib'] = None; import rhohat\ntry: {function}\n"
        "except ImportError as error: print(type(error).__name__)"
    )
    assert run(code) == ["MissingExtraError"]
