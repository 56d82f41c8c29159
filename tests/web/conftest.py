"""An explorer of the tiny store, its work done, and a client that has the token."""

import pytest


@pytest.fixture
def explorer(store, finished_path, tmp_path):
    """Its work has not begun."""
    import pcm3
    from pcm3.web.explorer import Explorer

    opened = Explorer.open(pcm3.load(finished_path, device="cpu"), store, tmp_path / "store.explore")
    yield opened
    opened.stop()


@pytest.fixture(scope="session")
def shared(store_path, finished_path, tmp_path_factory):
    """One for all tests, with all that is found in the background; t-SNE is tested by itself."""
    import pcm3
    from pcm3.data.store import ClipStore
    from pcm3.web.explorer import Explorer
    from pcm3.web.maps import pca_map

    folder = tmp_path_factory.mktemp("explored") / "store.explore"
    opened = Explorer.open(pcm3.load(finished_path, device="cpu"), ClipStore.open(store_path), folder)
    opened.arrays["tsne"] = pca_map(opened.store.start[:, None].astype("float32"))
    opened.work()
    assert opened.progress.stage == "done", opened.progress.error
    yield opened
    opened.stop()


@pytest.fixture
def computed(shared):
    """The same, without labels."""
    if shared.labels.file.exists():
        shared.labels.give(shared.labels.given(), None)
        shared.labels.file.unlink()
    return shared


@pytest.fixture
def client(computed):
    from fastapi.testclient import TestClient

    from pcm3.web.guard import Guard
    from pcm3.web.routes import explorer_app

    app = Guard(explorer_app(computed), "secret", {"testserver"})
    return TestClient(app, headers={"Authorization": "Bearer secret"})
