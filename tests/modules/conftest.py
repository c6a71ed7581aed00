"""Language models in folders, written once for all tests."""

import pytest


@pytest.fixture(scope="session")
def decoder(tmp_path_factory):
    """Make a model like GPT-2."""
    from tests.modules.language_models import Small, write_decoder

    return Small(write_decoder(tmp_path_factory.mktemp("models") / "decoder"))


@pytest.fixture(scope="session")
def encoder(tmp_path_factory):
    """Make a model like BERT."""
    from tests.modules.language_models import Small, write_encoder

    return Small(write_encoder(tmp_path_factory.mktemp("models") / "encoder"))


@pytest.fixture(autouse=True)
def one_thread():
    """Let PyTorch compute on one thread, since the models are small and other tests run at the same time."""
    torch = pytest.importorskip("torch")
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)
