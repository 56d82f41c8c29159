"""An explorer of the tiny store, its work done, and a client that has the token."""

import pytest


@pytest.fixture(scope="session")
def browser(tmp_path_factory):
    """One for all tests: it takes seconds to start."""
    from visitors import chromium

    with chromium(tmp_path_factory.mktemp("profile")) as opened:
        yield opened


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
    opened.mine.arrays["tsne"] = pca_map(opened.store.start[:, None].astype("float32"))
    opened.work()
    assert opened.progress.stage == "done", opened.progress.error
    yield opened
    opened.stop()


@pytest.fixture
def computed(shared):
    """The same, without labels and dropped files."""
    shared.guests.clear()
    if shared.labels.file.exists():
        shared.labels.give(shared.labels.given(), None)
        for name, parts in shared.labels.stretches().items():
            shared.labels.mark(name, parts, ())
        shared.labels.file.unlink()
    return shared


@pytest.fixture
def compare_with(store, finished_path, tmp_path):
    """Gives an explorer that compares the model with something, its work done; all are closed at the end."""
    import pcm3
    from pcm3.web.explorer import Explorer
    from pcm3.web.maps import pca_map

    opened = []

    def compared(word):
        model, folder = pcm3.load(finished_path, device="cpu"), tmp_path / f"kept {len(opened)}"
        one = Explorer.open(model, store, folder, name="mine", compare=str(word))
        for side in one.sides:
            side.arrays["tsne"] = pca_map(store.start[:, None].astype("float32"))
        one.work()
        assert one.progress.stage == "done", one.progress.error
        opened.append(one)
        return one

    yield compared
    for one in opened:
        one.stop()


@pytest.fixture(scope="session")
def shared_app(shared):
    from pcm3.web.guard import Guard
    from pcm3.web.routes import explorer_app

    return Guard(explorer_app(shared), "secret", {"testserver"})


@pytest.fixture
def client(shared_app, computed):
    from fastapi.testclient import TestClient

    return TestClient(shared_app, headers={"Authorization": "Bearer secret"})


@pytest.fixture
def untrimmed(recordings, write_tiny, finished_path, tmp_path):
    """The tiny clips of each person behind each other, with the classes of the first five told."""
    import numpy as np

    import pcm3
    from pcm3.data.recording import Interval, Recording
    from pcm3.web.explorer import Explorer

    made = []
    for subject in (1, 2, 3, 4):
        mine = [clip for clip in recordings if clip.subject == subject]
        stops = np.cumsum([len(clip.frames) for clip in mine]).tolist()
        spans = [Interval(stop - len(clip.frames), stop, clip.label) for clip, stop in zip(mine, stops, strict=True)]
        frames = np.concatenate([clip.frames for clip in mine])
        made.append(Recording(f"r{subject}", frames, subject=subject, intervals=tuple(spans[:5])))
    store = write_tiny(tmp_path / "untrimmed", made)
    opened = Explorer.open(pcm3.load(finished_path, device="cpu"), store, tmp_path / "kept")
    opened.mine.arrays["tsne"] = np.zeros((len(store), 2), np.float32)
    opened.work()
    assert opened.progress.stage == "done", opened.progress.error
    yield opened
    opened.stop()
