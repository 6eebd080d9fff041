"""The studies that ship, shrunken, and as they are."""

import pytest

from .shrunken import Checkout, make_shrunk, write_stores


@pytest.fixture(scope="session")
def stores(tmp_path_factory):
    """A data folder with small stores of all sets that the studies use."""
    folder = tmp_path_factory.mktemp("stores")
    write_stores(folder)
    return folder


@pytest.fixture(scope="session")
def shipped(tmp_path_factory, stores):
    """A checkout with the studies as they ship."""
    return Checkout(tmp_path_factory.mktemp("shipped") / "checkout", stores)


@pytest.fixture(scope="session")
def shrunk(tmp_path_factory, stores):
    """A checkout with all studies shrunk, and weights; its results are shared by the tests."""
    return make_shrunk(tmp_path_factory.mktemp("shrunk") / "checkout", stores)
