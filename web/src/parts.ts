/** Parts of a recording that are given labels: which one is selected, and what a label makes of those that are there. */

import type { Stretch } from "./api";
import { short } from "./dom";
import type { State } from "./state";

/** The labelled parts when these frames get a label, or with null none: what lies under them is cut. */
export function painted(parts: readonly Stretch[], from: number, to: number, label: string | null): Stretch[] {
  const kept = parts.flatMap(([start, stop, name]): Stretch[] => {
    const pieces: Stretch[] = [[start, Math.min(stop, from), name], [Math.max(start, to), stop, name]];
    return pieces.filter(([begin, end]) => begin < end);
  });
  return [...kept, ...(label === null ? [] : [[from, to, label] as const])].sort(([a], [b]) => a - b);
}

/** Selects frames of the recording that is shown; none where there are none between. */
export function select(state: State, from: number, to: number): void {
  const frames = state.recording?.data.frames ?? 0;
  const [start, stop] = [Math.max(0, Math.round(from)), Math.min(frames, Math.round(to))];
  state.part = start < stop ? [start, stop] : null;
  state.emit("part");
}

/** Selects the labelled part that holds a frame, else nothing. */
export function selectAt(state: State, frame: number): void {
  const stretch = state.recording?.data.stretches.find(([start, stop]) => start <= frame && frame < stop);
  select(state, stretch?.[0] ?? 0, stretch?.[1] ?? 0);
}

/** The selection begins, or ends, at a frame; where there is none yet, it is a second long. */
export function selectFrom(state: State, frame: number): void {
  const stop = state.part?.[1] ?? 0;
  select(state, frame, stop > frame ? stop : frame + state.about.fps);
}

export function selectTo(state: State, frame: number): void {
  const start = state.part?.[0] ?? Infinity;
  select(state, start <= frame ? start : frame + 1 - state.about.fps, frame + 1);
}

/** In words, for whoever labels it. */
export function partWords(state: State): string {
  if (state.part === null) return "";
  const [from, to] = state.part.map((frame) => (frame / state.about.fps).toFixed(1));
  return `${from} to ${to} s of ${short(state.recording?.data.name ?? "")}`;
}
