/** Draws any number of players with one graphics context: all of a frame below each other, then each into its own canvas. */

import { PerspectiveCamera, Vector2, Vector3, WebGLRenderer } from "three";
import type { About } from "./api";
import { Figure } from "./figure";

const HEAD = 26; // pixels above a skeleton, for the words there

/** A frame of a clip, and the canvas that shows it. */
export interface Shot {
  canvas: HTMLCanvasElement;
  frames: Float32Array;
  frame: number;
  extent: Extent;
}

export class Stage {
  readonly figure: Figure;
  trails = true;
  floor = true;
  /** Where all cameras stand: around (0: in front), above the horizon, how near. */
  private turn = 0.45;
  private lift = 0.2;
  private near = 1;
  /** Made when there is something to draw: the map comes first. */
  private renderer: WebGLRenderer | null = null;
  private readonly camera = new PerspectiveCamera(30, 1, 0.05, 100);
  private readonly point = new Vector3();

  constructor(private readonly about: About) {
    this.figure = new Figure(about);
    this.camera.up.set(0, 0, 1);
  }

  /** Draws frames of clips into their canvases: whoever copies waits for the graphics, so that all are drawn before. */
  draw(shots: readonly Shot[]): void {
    const ratio = Math.min(devicePixelRatio, 2);
    let [wide, high] = [0, 0];
    const placed = shots.map((shot) => {
      const [width, height] = [Math.round(shot.canvas.clientWidth * ratio), Math.round(shot.canvas.clientHeight * ratio)];
      const top = high;
      [wide, high] = [Math.max(wide, width), high + height];
      return { ...shot, width, height, top };
    }).filter(({ width, height }) => width > 0 && height > 0);
    if (placed.length === 0) return;
    const renderer = (this.renderer ??= new WebGLRenderer({ antialias: true, alpha: true, preserveDrawingBuffer: true }));
    const whole = renderer.domElement;
    const size = renderer.getSize(new Vector2());
    if (size.x < wide || size.y < high) renderer.setSize(Math.max(size.x, wide), Math.max(size.y, high), false);
    renderer.setScissorTest(true);
    for (const { frames, frame, extent, width, height, top } of placed) {
      const below = whole.height - top - height;
      renderer.setViewport(0, below, width, height);
      renderer.setScissor(0, below, width, height);
      this.look(extent, width / height, (HEAD * ratio) / height);
      this.figure.pose(frames, frame, this.trails, this.floor);
      renderer.render(this.figure.scene, this.camera);
    }
    for (const { canvas, width, height, top } of placed) {
      if (canvas.width !== width || canvas.height !== height) [canvas.width, canvas.height] = [width, height];
      const context = canvas.getContext("2d");
      context?.clearRect(0, 0, width, height);
      context?.drawImage(whole, 0, top, width, height, 0, 0, width, height);
    }
  }

  /** The joint nearest to a place (0 to 1, from the left and from the top) of what `draw` showed; null: none near. */
  jointAt(clip: Float32Array, frame: number, extent: Extent, canvas: HTMLCanvasElement, [x, y]: [number, number]): string | null {
    this.look(extent, canvas.clientWidth / canvas.clientHeight, HEAD / canvas.clientHeight);
    let [best, least] = [-1, 0.05];
    const count = this.about.bodies * this.about.joints.length;
    for (let place = 0; place < count; place += 1) {
      const start = 3 * (frame * count + place);
      this.point.set(clip[start] ?? Number.NaN, clip[start + 1] ?? 0, clip[start + 2] ?? 0).project(this.camera);
      const far = Math.hypot((this.point.x + 1) / 2 - x, (1 - this.point.y) / 2 - y);
      if (far < least) [best, least] = [place % this.about.joints.length, far];
    }
    return this.about.joints[best] ?? null;
  }

  orbit(right: number, down: number): void {
    this.turn += right * 0.01;
    this.lift = Math.min(1.5, Math.max(-0.2, this.lift + down * 0.01));
  }

  zoom(by: number): void {
    this.near = Math.min(5, Math.max(0.3, this.near * by));
  }

  /** Looks at all that moves, with a share of the picture's height left free above it. */
  private look({ middle, radius }: Extent, aspect: number, above: number): void {
    const far = (radius / Math.sin((this.camera.fov * Math.PI) / 360) / Math.min(1 - 0.4 * above, aspect)) * this.near;
    const flat = Math.cos(this.lift) * far;
    // As render/scene.py sees it: people look along y, so that in front of them is where y is more.
    const [x, y, z] = [middle[0], middle[1], middle[2] + 0.8 * above * radius]; // what moves leaves room in its sphere
    this.camera.position.set(x - Math.sin(this.turn) * flat, y + Math.cos(this.turn) * flat, z + Math.sin(this.lift) * far);
    this.camera.lookAt(x, y, z);
    this.camera.aspect = aspect;
    this.camera.updateProjectionMatrix();
    this.camera.updateMatrixWorld();
  }
}

/** What a camera must see of a clip. */
export interface Extent {
  middle: [number, number, number];
  radius: number;
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
export function joined(one: Extent, other: Extent): Extent {
  const far = Math.hypot(...one.middle.map((value, axis) => value - (other.middle[axis] ?? 0)));
  return { middle: one.middle, radius: Math.max(one.radius, far + other.radius) };
}
