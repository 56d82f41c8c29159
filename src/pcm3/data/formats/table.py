"""The formats of users' own recordings: one visible table. Data sets stand in `pcm3.data.datasets`."""

from __future__ import annotations

from collections.abc import Callable

from pcm3.data.formats import (
    amc,
    azure_kinect,
    bvh,
    c3d,
    csv_table,
    fpha,
    hdf5_poses,
    kinect_text,
    landmarks,
    npy,
    openpose,
    parquet,
    pose_file,
    trc,
)
from pcm3.data.formats.motion_file import FileFormat, TableFormat


def _begins(*magic: bytes) -> Callable[[str, bytes], bool]:
    return lambda name, head: head.startswith(magic)


FORMATS: dict[str, FileFormat] = {
    "bvh": FileFormat("BVH files", (".bvh",), bvh.matches, bvh.read),
    "c3d": FileFormat("C3D files", (".c3d",), c3d.matches, c3d.read),
    "trc": FileFormat("TRC files of markers", (".trc",), trc.matches, trc.read),
    "amc": FileFormat("AMC motions", (".amc",), amc.matches, amc.read, amc.with_skeletons),
    "hdf5": FileFormat(
        "HDF5 files of poses", (".h5", ".hdf5", ".nc", ".nwb", ".slp"), _begins(hdf5_poses.MAGIC), hdf5_poses.read
    ),
    "pose": FileFormat(".pose files", (".pose",), lambda name, head: True, pose_file.read),
    "fpha": FileFormat("hands of FPHA", ("skeleton.txt",), fpha.matches, fpha.read, pattern=fpha.PATTERN),
    "npy": FileFormat("NumPy arrays (.npy)", (".npy",), _begins(npy.MAGIC), npy.read),
    "parquet": FileFormat(
        "Parquet tables",
        (".parquet", ".pq"),
        _begins(b"PAR1"),
        parquet.read,
        table=TableFormat(parquet.names, parquet.columns),
    ),
    "skeleton": FileFormat("Kinect .skeleton files", (".skeleton",), lambda name, head: True, kinect_text.read),
    "openpose": FileFormat(
        "frames of OpenPose", ("_keypoints.json",), openpose.matches, openpose.read, openpose.frames_of_folders
    ),
    "azure-kinect": FileFormat("JSON files of Azure Kinect", (".json",), azure_kinect.matches, azure_kinect.read),
    "landmarks": FileFormat("JSON files of landmarks", (".json",), landmarks.matches, landmarks.read),
    "csv": FileFormat(
        "tables",
        (".csv", ".tsv", ".txt"),
        csv_table.matches,
        csv_table.read,
        table=TableFormat(csv_table.names, csv_table.columns),
    ),
}
"""Kind of import → its format; the more certain first, for `pcm3.data.recognise` goes through them in this order."""
