import subprocess
import sys

import pytest

from rhohat.common.exceptions import MissingExtraError
from rhohat.common.extras import import_extra

# Not pandas: scikit-learn itself loads it where it is installed.
OPTIONAL = ["matplotlib", "typer", "rich", "jinja2", "skimage", "imageio", "PIL", "dask", "torch", "h5py"]


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


def test_a_missing_package_is_named_with_the_extra_that_installs_it():
    with pytest.raises(MissingExtraError, match=r"no_such_package is needed.*pip install 'rhohat\[app\]'"):
        import_extra("no_such_package.part", "app")
    assert issubclass(MissingExtraError, ImportError)


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
