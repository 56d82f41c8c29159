"""What a check of the store finds, as the page lists it."""

from dataclasses import replace

from pcm3.data.audit.check import check_store, odd_clips
from pcm3.data.audit.findings import Finding
from pcm3.data.store import ClipStore
from pcm3.web.payloads import findings_payload


def test_odd_clips_are_those_of_a_check_and_the_store_is_only_read(recordings, write_tiny, tmp_path, content):
    recordings[20].frames[5:9, 0, 7] += 4  # a hand far away
    copied = next(place for place, clip in enumerate(recordings) if clip.subject == 3)
    recordings[copied] = replace(recordings[copied], frames=recordings[0].frames.copy())
    store = write_tiny(tmp_path / "store", recordings)
    before = content(tmp_path / "store")
    found = odd_clips(ClipStore.open(store.path))
    assert content(tmp_path / "store") == before
    assert found == check_store(store).findings
    assert "leak" in {finding.name for finding in found}


def test_findings_are_told_with_the_clips_that_they_are_about(client, computed, monkeypatch):
    assert client.get("/api/findings").json() == findings_payload(computed, odd_clips(computed.store))
    ids = [str(name) for name in computed.store.ids]
    odd = Finding("leak", "two\x1b[1m\nlines", [ids[1], ids[5], ids[7], "gone"], [(ids[7], ids[1])])
    (told,) = findings_payload(computed, [odd])
    assert told["clips"] == [7, 1, 5]
    assert told["text"].isprintable()
    monkeypatch.setattr(computed, "findings", None)
    assert client.get("/api/findings").status_code == 409
