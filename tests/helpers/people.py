"""Simulated people as recordings, and stores of them that a test has altered."""

from dataclasses import replace

from pcm3.data.audit.check import check_store
from pcm3.data.importer import import_recordings
from pcm3.data.recording import Recording
from pcm3.data.store import ClipStore
from pcm3.data.store_writer import write_store
from pcm3.simulate import simulate
from pcm3.skeleton import load_layout

KINECT = load_layout("kinect_v2")
PROTOCOLS = {"xsub": {"by": "subject", "train": [1]}}


def simulated_people(folder, **settings):
    """24 simulated clips of one person, no chair among them, as recordings with room for another body."""
    simulate(folder / "raw", subjects=3, repetitions=1, cameras=2, actions=4)
    import_recordings("ntu60", folder / "raw", folder / "store", progress=False, workers=1, **settings)
    store = ClipStore.open(folder / "store")
    clips = [
        Recording(str(store.ids[i]), store.clip(i), int(store.label[i]) % 2, int(store.subject[i]))
        for i in range(len(store))
    ]
    for clip in clips:
        clip.frames[:, 1] = 0
    return clips


def altered(people, change, number=5):
    """The clips, one of them with frames (T, 2, 25, 3) that a function changed in place, and its id."""
    clips = [replace(clip, frames=clip.frames.copy()) for clip in people]
    change(clips[number].frames)
    return clips, clips[number].id


def store_of(path, clips, protocols=None, **changes):
    """The clips as a store."""
    about = {"layout": KINECT, "fps": 30.0, "bodies": 2, "kind": "npz", "classes": ["walk", "run"]}
    return write_store(path / "s", clips, protocols=PROTOCOLS if protocols is None else protocols, **(about | changes))


def findings(path, clips, **settings):
    """What a check of the clips finds, by name."""
    return {finding.name: finding for finding in check_store(store_of(path, clips, **settings)).findings}
