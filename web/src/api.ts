/** What the server answers. The token stands behind the # of the address, and is in no request line. */

import { unpack } from "./packed";

export interface About {
  version: string;
  store: string;
  model: string;
  /** Names of the model and, where there is such, of what it is compared with. */
  sides: string[];
  clips: number;
  recordings: number;
  /** Whether this is a static copy: nothing can be changed. */
  fixed: boolean;
  /** Whether the store's clips are centred and turned; else the page may ask for them so. */
  normalised: boolean;
  /** Frames of a clip that come at a time. */
  piece: number;
  bodies: number;
  fps: number;
  classes: string[];
  columns: string[];
  joints: string[];
  bones: [number, number][];
  left: number[];
  right: number[];
}

export interface Status {
  stage: string;
  done: number;
  error: string;
  /** Of each side. */
  maps: string[][];
  guesses: boolean;
  clusters: boolean;
  checked: boolean;
  compared: boolean;
  correct: number | null;
}

export interface Neighbours {
  clips: number[];
  distances: number[];
}

/** A clip of a file that was dropped, and where it lies on each map of each side. */
export interface Guest {
  number: number;
  name: string;
  places: Record<string, [number, number]>[];
}

/** What a simple classifier comes to on the features of the one and of the other side, per cent. */
export interface Judged {
  name: string;
  correct: [number, number];
  /** Points that the second is over the first, from and to. */
  interval: [number, number] | null;
}

export interface Comparison {
  /** Neighbours of each clip that are compared, the share of them that both sides have, and what chance would come to. */
  k: number;
  kept: number | null;
  chance: number;
  looked: number;
  /** Clips, those whose neighbours changed most first. */
  changed: number[];
  clips: number;
  people: number;
  most_frequent: number;
  judged: Judged[];
  /** Whether each side was pretrained on this store. */
  taught_here: boolean[];
}

/** A part of a recording that was given a label: from which frame, before which. */
export type Stretch = readonly [number, number, string];

/** An untrimmed recording: clips are its labelled intervals; windows follow one another. A trimmed clip is one by itself. */
export interface Recording {
  name: string;
  frames: number;
  clips: number[];
  start: number[];
  stop: number[];
  window: number;
  windows: number[];
  says: number[];
  /** How often such a class is right of clips of which the classifier is as sure, 0 to 1. */
  confidence: number[];
  like?: number[];
  /** The labels given here, by their start. */
  stretches: Stretch[];
  /** How many more labels.csv has without a frame of it. */
  outside: number;
}

export interface Finding {
  name: string;
  text: string;
  wrong: boolean;
  clips: number[];
}

export interface Labels {
  names: string[];
  clips: number[];
  labels: number[];
  /** How many parts of recordings have one. */
  stretches: number;
}

/** What the labels that were given teach, and the clips of which a label would teach most. */
export interface Lesson {
  names: string[];
  labelled: number;
  correct: number | null;
  people: number;
  next: number[];
}

const token = new URLSearchParams(location.hash.slice(1)).get("token") ?? "";

/** An answer of the server; an Error with its words where it refuses. */
async function ask(path: string, init: RequestInit = {}): Promise<Response> {
  const headers = { ...(token === "" ? {} : { Authorization: `Bearer ${token}` }), ...init.headers };
  const answer = await fetch(`api/${path}`, { ...init, headers }).catch(() => {
    throw new Error("no answer: is pcm3 explore still running?");
  });
  if (answer.ok) return answer;
  const words: unknown = await answer.json().catch(() => ({}));
  const detail = typeof words === "object" && words !== null && "detail" in words ? String(words.detail) : answer.statusText;
  throw new Error(detail);
}

const json = async <T>(path: string): Promise<T> => (await ask(path)).json() as Promise<T>;

/** What a static copy says of itself; null: there is a server. */
let copy: About | null = null;
const packedNeighbours = new Map<string, Promise<ArrayBuffer>>();
/** Before the addresses of what is of the one and of the other side. */
const SIDES = ["", "other/"];

export async function about(): Promise<About> {
  const about = await json<About>("about");
  if (about.fixed) copy = about;
  return about;
}

export const status = (): Promise<Status> => json("status");
export const labels = (): Promise<Labels> => json("labels");
/** Where the recording is like a clip, or like one of a dropped file, is told too where such is named. */
export const recording = (number: number, query: { like?: number; guest?: number } = {}): Promise<Recording> =>
  json(`recordings/${number}?${new URLSearchParams(Object.entries(query).map(([name, value]) => [name, String(value)]))}`);

/** Of `clips/NUMBER` or `guests/NUMBER`. */
export async function neighbours(side: number, whose: string): Promise<Neighbours> {
  const prefix = SIDES[side] ?? "";
  if (copy === null) return json(`${prefix}${whose}/neighbours`);
  const asked = packedNeighbours.get(prefix) ?? ask(`${prefix}neighbours`).then((answer) => answer.arrayBuffer());
  packedNeighbours.set(prefix, asked);
  const data = await asked;
  const count = data.byteLength / (8 * copy.clips);
  const clip = Number(whose.split("/")[1]);
  return {
    clips: [...new Int32Array(data).subarray(clip * count, (clip + 1) * count)],
    distances: [...new Float32Array(data).subarray((copy.clips + clip) * count, (copy.clips + clip + 1) * count)],
  };
}

export const comparison = (): Promise<Comparison> => json("comparison/summary");

/** Rows of one number a clip: the share of neighbours kept, then what each classifier says by each side's features. */
export async function comparisonRows(clips: number): Promise<Float32Array[]> {
  const values = new Float32Array(await (await ask("comparison/clips")).arrayBuffer());
  return Array.from({ length: values.length / clips }, (_, row) => values.subarray(row * clips, (row + 1) * clips));
}

export const lesson = (next: number): Promise<Lesson> => json(`lesson?n=${next}`);
export const findings = (): Promise<Finding[]> => json("findings");
export const ids = async (): Promise<string[]> => (await (await ask("ids")).text()).split("\n");
export const labelTable = async (): Promise<Blob> => (await ask("labels.csv")).blob();

/** (columns, clips) */
export async function columns(): Promise<Int32Array> {
  return new Int32Array(await (await ask("columns")).arrayBuffer());
}

/** (clips, 2): x, y of each. */
export async function map(side: number, name: string): Promise<Float32Array> {
  return new Float32Array(await (await ask(`${SIDES[side] ?? ""}map/${name}`)).arrayBuffer());
}

/** (2, clips): the classes, then how often such a one is right, 0 to 1. */
export async function guesses(): Promise<Float32Array> {
  return new Float32Array(await (await ask("guesses")).arrayBuffer());
}

/** The cluster of each clip, the largest first. */
export async function clusters(): Promise<Int32Array> {
  return new Int32Array(await (await ask("clusters")).arrayBuffer());
}

/** As `guesses`, by the labels that were given; the classes are numbers of the lesson's names. */
export async function lessonGuesses(): Promise<Float32Array> {
  return new Float32Array(await (await ask("lesson/guesses")).arrayBuffer());
}

export interface Piece {
  /** (frames, bodies, joints, 3): metres, z up; joints that are absent are not numbers. */
  frames: Float32Array;
  /** Frames of the whole clip. */
  count: number;
}

/** The frames of a clip from one on. A static copy has all of them in one piece. */
export async function skeleton(whose: string, first: number, normalised: boolean): Promise<Piece> {
  if (copy !== null) {
    const frames = unpack(await (await ask(`${whose}/small`)).arrayBuffer(), copy.bodies, copy.joints.length);
    return { frames, count: frames.length / (3 * copy.bodies * copy.joints.length) };
  }
  const answer = await ask(`${whose}/skeleton?first=${first}&normalised=${normalised}`);
  return { frames: new Float32Array(await answer.arrayBuffer()), count: Number(answer.headers.get("X-Frames")) };
}

/** Sends a file of one's own; its clips come back. */
export async function drop(file: File): Promise<Guest[]> {
  const answer = await ask(`guests?name=${encodeURIComponent(file.name)}`, { method: "POST", body: file });
  return ((await answer.json()) as { guests: Guest[] }).guests;
}

const post = (path: string, body: unknown): Promise<Response> =>
  ask(path, { method: "POST", body: JSON.stringify(body), headers: { "Content-Type": "application/json" } });

/** Gives clips a label, or with null takes it away; they are on the disk when this comes back. Refused where one has another label than before. */
export async function give(clips: number[], label: string | null, before: (string | null)[]): Promise<number> {
  return ((await (await post("labels", { clips, label, before })).json()) as { labelled: number }).labelled;
}

/** Replaces the labelled parts of a recording; refused where somebody else has changed them since. */
export async function mark(recording: number, before: readonly Stretch[], after: readonly Stretch[]): Promise<void> {
  await post(`recordings/${recording}/stretches`, { before, after });
}
