/** Skeletons of a static copy: few frames of single bytes, see web/static_copy.py; between them joints move straight. */

const ABSENT = 255;
const STEPS = 254;
const HEAD = 8; // float32 numbers

/** (frames, bodies, joints, 3), metres; joints that are absent are not numbers. */
export function unpack(data: ArrayBuffer, bodies: number, joints: number): Float32Array {
  const head = new Float32Array(data, 0, HEAD);
  const [frames = 0, kept = 0, there = 0, , x = 0, y = 0, z = 0, extent = 1] = head;
  const low = [x, y, z];
  const bytes = new Uint8Array(data, 4 * HEAD);
  const clip = new Float32Array(frames * bodies * joints * 3).fill(Number.NaN);
  const size = there * joints * 3; // of a kept frame
  for (let frame = 0; frame < frames; frame += 1) {
    const place = frames > 1 ? (frame * (kept - 1)) / (frames - 1) : 0;
    const before = Math.floor(place);
    const after = Math.min(before + 1, kept - 1);
    const share = place - before;
    for (let value = 0; value < size; value += 1) {
      const [a, b] = [bytes[before * size + value] ?? ABSENT, bytes[after * size + value] ?? ABSENT];
      const step = a === ABSENT || b === ABSENT ? (share < 0.5 ? a : b) : a + (b - a) * share;
      if (step !== ABSENT) clip[frame * bodies * joints * 3 + value] = (low[value % 3] ?? 0) + (step / STEPS) * extent;
    }
  }
  return clip;
}
