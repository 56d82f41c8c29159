"""Features of one clip by a model that `pcm3 export` wrote, without pcm3: numpy and onnxruntime.

python onnx_python.py model.onnx clip.npy     a clip is (T, V, 3): metres, y up, every joint there, at the model's rate
"""

import json
import sys

import numpy as np
import onnxruntime


def prepare(clip, layout):
    """The body's centre to the origin; up onto z, and from left to right in the first frame onto x."""
    left, right = layout["across"]
    z = np.array([0.0, 1.0, 0.0])
    across = clip[0, right] - clip[0, left]
    x = across - (across @ z) * z
    x /= np.linalg.norm(x)
    return (clip - clip[:, layout["centre"], None]) @ np.stack([x, np.cross(z, x), z]).T


session = onnxruntime.InferenceSession(sys.argv[1])
about = json.loads(session.get_modelmeta().custom_metadata_map["pcm3"])
clip = prepare(np.load(sys.argv[2]), about["layout"]).astype(np.float32)
clips = np.zeros((1, len(clip), about["bodies"], *clip.shape[1:]), np.float32)
clips[0, :, 0] = clip
(result,) = session.run(None, {"clips": clips, "lengths": np.array([len(clip)])})
names = about["classes"]  # none: the result is the feature
print(json.dumps(dict(zip(names, result[0].tolist(), strict=True)) if names else result[0].tolist()))
