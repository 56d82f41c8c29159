/** Where on a picture a place in the room of a clip appears: z is up, people look along y, as render/scene.py sees them. */

const VIEW = (30 * Math.PI) / 180; // from the upper to the lower edge of a picture
export const NEAREST = 0.05; // metres before a camera from which on it sees

export type Place3 = readonly [number, number, number];

/** What a camera must see of a clip. */
export interface Extent {
  middle: Place3;
  radius: number;
}

/** Around (0: in front), above the horizon, how near: radians, radians, times the distance at which all is seen. */
export interface Stand {
  turn: number;
  lift: number;
  near: number;
}

export interface Camera {
  /** Metres to the right, up and ahead, as the camera looks. */
  seen: (place: Place3) => Place3;
  /** Pixels of such a place from the left and from the top, and of a metre there. */
  drawn: (seen: Place3) => Place3;
}

/** Looks at all that moves, with so many pixels of a picture's height left free above it. */
export function cameraOf({ middle, radius }: Extent, { turn, lift, near }: Stand, width: number, height: number, free: number): Camera {
  const above = free / height;
  const far = (radius / Math.sin(VIEW / 2) / Math.min(1 - 0.4 * above, width / height)) * near;
  const target = [middle[0], middle[1], middle[2] + 0.8 * above * radius] as const; // what moves leaves room in its sphere
  const ahead = [Math.sin(turn) * Math.cos(lift), -Math.cos(turn) * Math.cos(lift), -Math.sin(lift)] as const;
  const right = [-Math.cos(turn), -Math.sin(turn), 0] as const;
  const up = [Math.sin(turn) * Math.sin(lift), -Math.cos(turn) * Math.sin(lift), Math.cos(lift)] as const;
  const focal = height / 2 / Math.tan(VIEW / 2); // pixels
  const dot = (a: Place3, b: Place3): number => a[0] * b[0] + a[1] * b[1] + a[2] * b[2];
  return {
    seen: ([x, y, z]) => {
      const from: Place3 = [x - target[0], y - target[1], z - target[2]];
      return [dot(from, right), dot(from, up), dot(from, ahead) + far];
    },
    drawn: ([x, y, depth]) => {
      const metre = focal / depth;
      return [width / 2 + x * metre, height / 2 - y * metre, metre];
    },
  };
}

/** The middle of all joints, and how far most of them get from it. */
export function extentOf(clip: Float32Array): Extent {
  const axes = [0, 1, 2].map((axis) => {
    const values: number[] = [];
    const step = 3 * Math.max(1, Math.floor(clip.length / 30_000));
    for (let place = axis; place < clip.length; place += step) {
      const value = clip[place] ?? Number.NaN;
      if (!Number.isNaN(value)) values.push(value);
    }
    values.sort((a, b) => a - b);
    return [values[Math.floor(values.length * 0.005)] ?? 0, values[Math.floor(values.length * 0.995)] ?? 1] as const;
  });
  const middle = axes.map(([low, high]) => (low + high) / 2) as [number, number, number];
  const radius = Math.hypot(...axes.map(([low, high]) => (high - low) / 2)) * 1.02 + 0.05;
  return { middle, radius };
}

/** What holds both: it stands where the first does. */
export function joined(first: Extent, second: Extent): Extent {
  const far = Math.hypot(...first.middle.map((value, axis) => value - (second.middle[axis] ?? 0)));
  return { middle: first.middle, radius: Math.max(first.radius, far + second.radius) };
}
