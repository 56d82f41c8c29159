/** The frames of clips, as they come from the server: whole, or of long ones the pieces around the clock. */

import * as api from "./api";
import { extentOf, joined, type Extent } from "./camera";
import type { State } from "./state";

const CLIPS = 200; // that are remembered
const PIECES = 3; // of each
const AHEAD = 300; // frames before a piece ends, the next one is asked for

interface Clip {
  count: number;
  extent: Extent;
  /** By their numbers, the one that was asked for last behind the others. */
  pieces: Map<number, Float32Array>;
}

export class Pieces {
  /** Whether recordings as they are shall come centred and turned. */
  normalised = false;
  private readonly clips = new Map<number, Clip>();
  private readonly asked = new Map<string, Promise<void>>();
  private readonly size: number;

  constructor(
    private readonly state: State,
    private readonly isShown: (clip: number) => boolean,
    private readonly arrived: () => void,
  ) {
    this.size = state.about.fixed ? Infinity : state.about.piece;
  }

  /** Frames of a clip; undefined while nothing of it is there. */
  count(clip: number): number | undefined {
    return this.clips.get(clip)?.count;
  }

  /** The frames that hold one, where that stands in them, and what a camera must see; undefined while they are not there. */
  at(clip: number, frame: number): { frames: Float32Array; frame: number; extent: Extent } | undefined {
    const held = this.clips.get(clip);
    if (held === undefined) return undefined;
    const piece = Math.floor(frame / this.size);
    const next = Math.floor((frame + AHEAD) / this.size);
    for (const wanted of next > piece && next * this.size < held.count ? [piece, next] : [piece]) {
      if (!held.pieces.has(wanted)) void this.load(clip, wanted).catch(() => undefined);
    }
    const frames = held.pieces.get(piece);
    return frames === undefined ? undefined : { frames, frame: piece > 0 ? frame - piece * this.size : frame, extent: held.extent };
  }

  /** Comes back when the piece of a clip is there. */
  load(clip: number, piece = 0): Promise<void> {
    if (this.clips.get(clip)?.pieces.has(piece)) return Promise.resolve();
    const key = `${clip} ${piece} ${this.normalised}`;
    const asked = this.asked.get(key) ?? this.fetch(clip, piece).finally(() => this.asked.delete(key));
    this.asked.set(key, asked);
    return asked;
  }

  forget(): void {
    this.clips.clear();
  }

  private async fetch(clip: number, piece: number): Promise<void> {
    const { normalised } = this;
    const { frames, count } = await api.skeleton(this.state.whose(clip), piece > 0 ? piece * this.size : 0, normalised);
    if (normalised !== this.normalised) return; // somebody changed their mind
    const before = this.clips.get(clip);
    const extent = extentOf(frames);
    const pieces = before?.pieces ?? new Map<number, Float32Array>();
    pieces.set(piece, frames);
    for (const old of pieces.keys()) if (pieces.size > PIECES) pieces.delete(old);
    this.clips.set(clip, { count, pieces, extent: before === undefined ? extent : joined(before.extent, extent) });
    for (const old of this.clips.keys()) {
      if (this.clips.size <= CLIPS) break;
      if (!this.isShown(old)) this.clips.delete(old);
    }
    this.arrived();
  }
}
