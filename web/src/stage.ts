/** Draws any number of players on one canvas over all of them: each more would be one more to put on the screen. */

import type { About } from "./api";
import { cameraOf, NEAREST, type Camera, type Extent } from "./camera";
import { Figure } from "./figure";

const HEAD = 26; // pixels above a skeleton, for the words there
const REACH = 0.05; // of a picture, from the pointer to a joint
const FONT = "11px system-ui, sans-serif";

/** A frame of a clip, the element over which it is drawn, and what stands in its corner. */
export interface Shot {
  over: HTMLElement;
  words: string;
  frames: Float32Array;
  frame: number;
  extent: Extent;
}

export class Stage {
  readonly figure: Figure;
  trails = true;
  floor = true;
  /** How often all have been drawn. */
  pictures = 0;
  /** Where all cameras stand. */
  private readonly stand = { turn: 0.45, lift: 0.2, near: 1 };

  constructor(
    private readonly about: About,
    private readonly canvas: HTMLCanvasElement,
  ) {
    this.figure = new Figure(about);
  }

  /** Draws frames of clips, each over its element, and nothing else. */
  draw(shots: readonly Shot[]): void {
    const { canvas } = this;
    const context = canvas.getContext("2d", { willReadFrequently: true }); // by the processor, see figure.ts
    if (context === null) return;
    const ratio = Math.min(devicePixelRatio, 2);
    const [wide, high] = [Math.round(canvas.clientWidth * ratio), Math.round(canvas.clientHeight * ratio)];
    if (canvas.width !== wide || canvas.height !== high) [canvas.width, canvas.height] = [wide, high];
    context.setTransform(ratio, 0, 0, ratio, 0, 0);
    context.clearRect(0, 0, wide, high);
    const box = canvas.getBoundingClientRect();
    const soft = getComputedStyle(document.documentElement).getPropertyValue("--soft");
    this.pictures += 1;
    for (const { over, words, frames, frame, extent } of shots) {
      const { left, top, width, height } = over.getBoundingClientRect();
      if (width === 0 || height === 0) continue;
      context.save();
      context.translate(left - box.left, top - box.top);
      context.beginPath();
      context.rect(0, 0, width, height);
      context.clip();
      this.figure.draw(context, this.look(extent, width, height), frames, frame, this.trails, this.floor);
      [context.font, context.fillStyle, context.textAlign] = [FONT, soft, "right"];
      context.fillText(words, width - 6, height - 6);
      context.restore();
    }
  }

  /** The joint nearest to a place (pixels, from the left and from the top) of what `draw` showed; null: none near. */
  jointAt(clip: Float32Array, frame: number, extent: Extent, over: HTMLElement, [x, y]: [number, number]): string | null {
    const { clientWidth: width, clientHeight: height } = over;
    const camera = this.look(extent, width, height);
    let [best, least] = [-1, REACH];
    const count = this.about.bodies * this.about.joints.length;
    for (let place = 0; place < count; place += 1) {
      const start = 3 * (frame * count + place);
      const seen = camera.seen([clip[start] ?? Number.NaN, clip[start + 1] ?? 0, clip[start + 2] ?? 0]);
      const [left, top] = camera.drawn(seen);
      const far = seen[2] < NEAREST ? Infinity : Math.hypot((left - x) / width, (top - y) / height);
      if (far < least) [best, least] = [place % this.about.joints.length, far];
    }
    return this.about.joints[best] ?? null;
  }

  orbit(right: number, down: number): void {
    this.stand.turn += right * 0.01;
    this.stand.lift = Math.min(1.5, Math.max(-0.2, this.stand.lift + down * 0.01));
  }

  zoom(by: number): void {
    this.stand.near = Math.min(5, Math.max(0.3, this.stand.near * by));
  }

  private look(extent: Extent, width: number, height: number): Camera {
    return cameraOf(extent, this.stand, width, height, HEAD);
  }
}
