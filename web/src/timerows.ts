/** The rows of a timeline, drawn: what is labelled, what the model says, where it moves like a clip, labels given here. */

import type { Recording } from "./api";
import { classLooks } from "./colours";
import type { State } from "./state";

export const LEFT = 76; // pixels before the rows, for their names
const [ROW, GAP, AXIS] = [18, 4, 14]; // pixels
const FONT = "11px system-ui, sans-serif";
const TICKS = [0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 30, 60, 120, 300, 600, 1200, 3600]; // seconds between two numbers
const APART = 56; // pixels between two numbers

export type RowName = "labelled" | "model says" | "like clip" | "your labels";

/** From which frame, before which. */
export type Span = readonly [number, number];

/** The rows that there is something to say in. */
export function rowsOf(state: State, recording: Recording): RowName[] {
  const rows: RowName[] = [];
  if (state.about.recordings > 0) rows.push("labelled");
  if (recording.says.some((label) => label >= 0)) rows.push("model says");
  if (recording.like !== undefined) rows.push("like clip");
  return [...rows, "your labels"];
}

export const heightOf = (rows: readonly RowName[]): number => rows.length * (ROW + GAP) + AXIS;
export const topOf = (row: number): number => row * (ROW + GAP);

/** Frames from one window to the next. */
export function hopOf({ window, windows }: Recording): number {
  return (windows[1] ?? window) - (windows[0] ?? 0);
}

/** The numbers of the classes that are labelled or predicted within a view. */
export function classesIn(state: State, recording: Recording, [first, last]: Span): number[] {
  const labels = recording.clips.filter((_, place) => (recording.start[place] ?? 0) < last && (recording.stop[place] ?? 0) > first).map((clip) => state.column("label")[clip] ?? -1);
  const says = recording.says.filter((_, place) => (recording.windows[place] ?? 0) < last && (recording.windows[place] ?? 0) + recording.window > first);
  return [...new Set([...labels, ...says])].filter((label) => label >= 0).sort((a, b) => a - b);
}

export function colourOf(state: State, label: string): string {
  const known = state.about.classes.indexOf(label);
  return known < 0 ? getComputedStyle(document.documentElement).getPropertyValue("--mark").trim() : classLooks(state, known).colour;
}

/** Draws all but what moves: the part of the recording within a view, into a context of so many pixels. */
export function paintRows(context: CanvasRenderingContext2D, width: number, state: State, recording: Recording, view: Span): void {
  const style = getComputedStyle(document.documentElement);
  const tone = (name: string): string => style.getPropertyValue(name).trim();
  const rows = rowsOf(state, recording);
  const [first, last] = view;
  const at = (frame: number): number => LEFT + ((Math.min(Math.max(frame, first), last) - first) / (last - first)) * (width - LEFT);
  const box = (row: RowName, [from, to]: Span, colour: string, strength = 1, name = ""): void => {
    const place = rows.indexOf(row);
    if (place < 0 || to <= first || from >= last) return;
    const [x, wide] = [at(from), Math.max(at(to) - at(from) - 0.5, 1)];
    context.globalAlpha = strength;
    context.fillStyle = colour;
    context.fillRect(x, topOf(place), wide, ROW);
    context.globalAlpha = 1;
    write(context, name, x, topOf(place), wide, strength < 0.6 ? tone("--ink") : inkOn(colour));
  };
  context.clearRect(0, 0, width, heightOf(rows));
  context.font = FONT;
  rows.forEach((name, row) => {
    context.fillStyle = tone("--soft");
    context.fillText(name, 0, topOf(row) + 13);
    box(name, view, tone("--panel"));
  });
  recording.clips.forEach((clip, place) => {
    const label = state.column("label")[clip] ?? -1;
    box("labelled", [recording.start[place] ?? 0, recording.stop[place] ?? 0], classLooks(state, label).colour, 1, state.storeClass(label));
  });
  const hop = hopOf(recording);
  const middles = recording.windows.map((start): Span => [start + (recording.window - hop) / 2, start + (recording.window + hop) / 2]); // of its middle
  middles.forEach((span, place) => {
    const label = recording.says[place] ?? -1;
    if (label >= 0) box("model says", span, classLooks(state, label).colour, 0.25 + 0.75 * (recording.confidence[place] ?? 0));
    box("like clip", span, tone("--mark"), Math.max(0, recording.like?.[place] ?? 0) ** 3);
  });
  for (const [from, to] of runs(recording.says)) {
    const place = rows.indexOf("model says");
    const span: Span = [middles[from]?.[0] ?? 0, middles[to]?.[1] ?? 0];
    if (place >= 0 && span[1] > first && span[0] < last) write(context, state.storeClass(recording.says[from] ?? -1), at(span[0]), topOf(place), at(span[1]) - at(span[0]), tone("--ink"), tone("--ground"));
  }
  for (const [from, to, label] of recording.stretches) box("your labels", [from, to], colourOf(state, label), 1, label);
  axis(context, width, topOf(rows.length), [first / state.about.fps, last / state.about.fps], tone("--soft"));
}

/** A name in a box, where it fits in. */
function write(context: CanvasRenderingContext2D, name: string, x: number, top: number, wide: number, ink: string, edge = ""): void {
  if (name === "" || context.measureText(name).width > wide - 6) return;
  if (edge !== "") {
    [context.strokeStyle, context.lineWidth, context.lineJoin] = [edge, 3, "round"];
    context.strokeText(name, x + 3, top + 13);
  }
  context.fillStyle = ink;
  context.fillText(name, x + 3, top + 13);
}

/** Black or white, whichever is read better. */
function inkOn(colour: string): string {
  const number = Number.parseInt(colour.slice(1), 16);
  const light = 0.299 * ((number >> 16) & 255) + 0.587 * ((number >> 8) & 255) + 0.114 * (number & 255);
  return light > 125 ? "#000000" : "#ffffff";
}

/** First and last places of what is the same in a row. */
function runs(values: readonly number[]): Span[] {
  const spans: [number, number][] = [];
  values.forEach((value, place) => {
    const before = spans.at(-1);
    if (before !== undefined && values[before[0]] === value) before[1] = place;
    else spans.push([place, place]);
  });
  return spans.filter(([from]) => (values[from] ?? -1) >= 0);
}

function axis(context: CanvasRenderingContext2D, width: number, top: number, [first, last]: Span, colour: string): void {
  const second = (width - LEFT) / Math.max(last - first, 1e-6); // in pixels
  const step = TICKS.find((step) => step * second >= APART) ?? 7200;
  context.fillStyle = colour;
  for (let tick = Math.ceil(first / step); tick * step <= last; tick += 1) {
    const x = LEFT + (tick * step - first) * second;
    context.fillRect(x, top - 2, 1, 3);
    const words = `${Number((tick * step).toFixed(1))} s`;
    if (x + context.measureText(words).width < width) context.fillText(words, x, top + 11);
  }
}
