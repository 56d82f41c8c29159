/** A skeleton as balls and sticks, with trails and a floor, drawn by the processor: hundreds of thin lines are quicker so
 * than by a graphics card that is not there, and as smooth. */

import type { About } from "./api";
import { NEAREST, type Camera, type Place3 } from "./camera";
import { isDark } from "./colours";

const TRAIL = 24; // frames
const THICK = 0.022; // metres, half of a stick
const LEAST = 1.3; // pixels of a line
const THIN = 3; // pixels
const [FLOOR, TILES] = [3, 12]; // metres to each side, tiles along it
const TONES = { dark: ["#d8dde3", "#56b4e9", "#f0a63a"], light: ["#4c535b", "#0072b2", "#c96a00"] };

type Tone = readonly [red: number, green: number, blue: number];

interface Paint {
  tone: string;
  /** Of the side that no light falls on. */
  shade: string;
}

/** A ball, or a stick where it has an end. */
interface Part {
  from: Place3;
  to: Place3 | null;
  radius: number;
  paint: Paint;
}

export class Figure {
  private readonly ends: ReadonlySet<number>;
  /** Of each joint of each body. */
  private paints: Paint[] = [];
  private lines = { trails: "", floor: "", axes: "" };

  constructor(private readonly about: About) {
    const parents = new Set(about.bones.map(([, parent]) => parent));
    this.ends = new Set(about.joints.map((_, joint) => joint).filter((joint) => !parents.has(joint)));
    this.recolour();
  }

  /** As the theme asks: the left side blue, the right side orange; a second body paler. */
  recolour(): void {
    const { bodies, joints, left, right } = this.about;
    const dark = isDark();
    const [middle, onLeft, onRight] = TONES[dark ? "dark" : "light"].map(toneOf) as [Tone, Tone, Tone];
    const pale = toneOf(dark ? "#5d6670" : "#b9c0c8");
    const paint = (body: number, joint: number): Paint => {
      const usual = left.includes(joint) ? onLeft : right.includes(joint) ? onRight : middle;
      const tone = body === 0 ? usual : mixed(usual, pale, 0.6);
      return { tone: wordOf(tone), shade: wordOf(mixed(tone, [0, 0, 0], 0.4)) };
    };
    this.paints = Array.from({ length: bodies * joints.length }, (_, place) => paint(Math.floor(place / joints.length), place % joints.length));
    this.lines = dark
      ? { trails: "rgb(159 176 192 / 0.55)", floor: "#333a41", axes: "#5b646d" }
      : { trails: "rgb(122 135 147 / 0.55)", floor: "#d5dade", axes: "#a9b1b9" };
  }

  /** Draws a frame of a clip (frames, bodies, joints, 3) as a camera sees it. */
  draw(context: CanvasRenderingContext2D, camera: Camera, clip: Float32Array, frame: number, trails: boolean, floor: boolean): void {
    context.lineCap = context.lineJoin = "round";
    if (floor) this.drawFloor(context, camera);
    if (trails) this.drawTrails(context, camera, clip, frame);
    const parts = this.partsOf(camera, clip, frame);
    for (const part of parts) drawPart(context, camera, part);
  }

  /** What is farthest away first. */
  private partsOf(camera: Camera, clip: Float32Array, frame: number): Part[] {
    const { bodies, joints, bones } = this.about;
    const parts: Part[] = [];
    for (let body = 0; body < bodies; body += 1) {
      const seen = joints.map((_, joint) => this.seen(camera, clip, frame, body, joint));
      const paintOf = (joint: number): Paint => this.paints[body * joints.length + joint] as Paint;
      seen.forEach((from, joint) => {
        if (from) parts.push({ from, to: null, radius: THICK * (this.ends.has(joint) ? 1.5 : 1.25), paint: paintOf(joint) });
      });
      for (const [child, parent] of bones) {
        const [from, to] = [seen[child], seen[parent]];
        if (from && to) parts.push({ from, to, radius: THICK, paint: paintOf(child) });
      }
    }
    const depth = ({ from, to }: Part): number => (to === null ? from[2] : (from[2] + to[2]) / 2);
    return parts.sort((a, b) => depth(b) - depth(a));
  }

  private drawFloor(context: CanvasRenderingContext2D, camera: Camera): void {
    for (const axes of [false, true]) {
      context.beginPath();
      for (let tile = 0; tile <= TILES; tile += 1) {
        if ((tile === TILES / 2) !== axes) continue;
        const at = FLOOR * ((2 * tile) / TILES - 1);
        line(context, camera, camera.seen([at, -FLOOR, 0]), camera.seen([at, FLOOR, 0]));
        line(context, camera, camera.seen([-FLOOR, at, 0]), camera.seen([FLOOR, at, 0]));
      }
      context.lineWidth = 1;
      context.strokeStyle = axes ? this.lines.axes : this.lines.floor;
      context.stroke();
    }
  }

  /** Where hands, feet and head have been. */
  private drawTrails(context: CanvasRenderingContext2D, camera: Camera, clip: Float32Array, frame: number): void {
    context.beginPath();
    for (let body = 0; body < this.about.bodies; body += 1) {
      for (const joint of this.ends) {
        let after = this.seen(camera, clip, frame, body, joint);
        for (let back = 1; back <= TRAIL && back <= frame; back += 1) {
          const before = this.seen(camera, clip, frame - back, body, joint);
          if (before && after) line(context, camera, after, before);
          after = before;
        }
      }
    }
    context.lineWidth = 1;
    context.strokeStyle = this.lines.trails;
    context.stroke();
  }

  /** Where a camera sees a joint; null where it is absent. */
  private seen(camera: Camera, clip: Float32Array, frame: number, body: number, joint: number): Place3 | null {
    const place = 3 * ((frame * this.about.bodies + body) * this.about.joints.length + joint);
    const x = clip[place] ?? Number.NaN;
    return Number.isNaN(x) ? null : camera.seen([x, clip[place + 1] ?? 0, clip[place + 2] ?? 0]);
  }
}

/** What is drawn of a thing of so many pixels, and how wide: of thin ones nobody sees the shade. */
function tonesOf({ tone, shade }: Paint, wide: number, lit: number): [string, number][] {
  return wide < THIN ? [[tone, 1]] : [[shade, 1], [tone, lit]];
}

/** A ball or a stick, with light from above: its tone within its shade. */
function drawPart(context: CanvasRenderingContext2D, camera: Camera, { from, to, radius, paint }: Part): void {
  if (from[2] < NEAREST || (to !== null && to[2] < NEAREST)) return;
  const [x, y, metre] = camera.drawn(from);
  if (to === null) {
    const wide = Math.max(radius * metre, LEAST / 2);
    for (const [tone, share] of tonesOf(paint, 2 * wide, 0.74)) {
      context.fillStyle = tone;
      context.beginPath();
      context.arc(x - (1 - share) * wide * 0.4, y - (1 - share) * wide * 0.6, wide * share, 0, 2 * Math.PI);
      context.fill();
    }
    return;
  }
  const [toX, toY, there] = camera.drawn(to);
  const wide = Math.max(radius * (metre + there), LEAST);
  for (const [tone, share] of tonesOf(paint, wide, 0.62)) {
    context.strokeStyle = tone;
    context.lineWidth = wide * share;
    context.beginPath();
    context.moveTo(x, y - (1 - share) * wide * 0.2);
    context.lineTo(toX, toY - (1 - share) * wide * 0.2);
    context.stroke();
  }
}

/** A line from one place that a camera sees to another, of which only what lies before it is drawn. */
function line(context: CanvasRenderingContext2D, camera: Camera, from: Place3, to: Place3): void {
  if (from[2] < NEAREST && to[2] < NEAREST) return;
  const [x, y] = camera.drawn(from[2] < NEAREST ? between(to, from) : from);
  const [toX, toY] = camera.drawn(to[2] < NEAREST ? between(from, to) : to);
  context.moveTo(x, y);
  context.lineTo(toX, toY);
}

/** Where a line from before a camera to behind it leaves what is seen. */
function between(from: Place3, to: Place3): Place3 {
  const share = (from[2] - NEAREST) / (from[2] - to[2]);
  return [from[0] + (to[0] - from[0]) * share, from[1] + (to[1] - from[1]) * share, NEAREST];
}

function toneOf(colour: string): Tone {
  const number = Number.parseInt(colour.slice(1), 16);
  return [(number >> 16) & 255, (number >> 8) & 255, number & 255];
}

const mixed = (one: Tone, other: Tone, share: number): Tone => [0, 1, 2].map((place) => (one[place] ?? 0) + ((other[place] ?? 0) - (one[place] ?? 0)) * share) as unknown as Tone;
const wordOf = (tone: Tone): string => `rgb(${tone.map(Math.round).join(" ")})`;
