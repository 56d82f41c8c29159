/** What is shown: all clips, and which of them are chosen, pinned, looked at. Everything else listens. */

import type { About, Comparison, Guest, Recording, Status } from "./api";

export type Change = "maps" | "colours" | "filter" | "chosen" | "pinned" | "hovered" | "focus" | "labels" | "taught" | "guests" | "compared" | "part" | "near";

export const MOST_PINNED = 9;

export interface Extra {
  whose: string;
  name: string;
  what: string;
  guest: Guest | null;
}

/** The recording on the timeline. */
export interface Shown {
  number: number;
  data: Recording;
}

/** What is shown by one kind of features: the model's, or those of what it is compared with. */
export interface Side {
  number: number;
  name: string;
  /** By name, (clips, 2). */
  maps: Map<string, Float32Array>;
  /** The nearest clips of the one that was clicked last. */
  near: number[];
}

export class State {
  status: Status = { stage: "", done: 0, error: "", maps: [], guesses: false, clusters: false, checked: false, compared: false, correct: null };
  readonly sides: Side[];
  /** The map that all sides show. */
  which = "";
  colouring = "";
  /** What the classifier says of each clip, and how often such an answer is right, 0 to 1. */
  guessed: Int32Array | null = null;
  confidence: Float32Array | null = null;
  /** The group of each clip that is found without labels. */
  clusters: Int32Array | null = null;
  /** Clips that filters leave. */
  visible: Uint8Array;
  chosen = new Set<number>();
  pinned: number[] = [];
  hovered: number | null = null;
  /** Clips that are none of the store's, dropped files and whole recordings: their numbers follow on those of the clips. */
  readonly extras: Extra[] = [];
  /** Whose neighbours are shown. */
  focus: number | null = null;
  comparison: Comparison | null = null;
  /** Of each clip, see `api.comparisonRows`. */
  compared: Float32Array[] = [];
  /** Labels that are given on this page, clip → name. */
  labels = new Map<number, string>();
  /** How many parts of recordings have a label that is given on this page. */
  parts = 0;
  recording: Shown | null = null;
  /** The frames of the recording that are selected: from, and before which. */
  part: readonly [number, number] | null = null;
  /** What these labels teach of each clip. */
  taught: { names: string[]; of: Int32Array } | null = null;
  private readonly listeners: [ReadonlySet<Change>, () => void][] = [];

  constructor(
    readonly about: About,
    readonly ids: string[],
    readonly columns: ReadonlyMap<string, Int32Array>,
  ) {
    this.visible = new Uint8Array(about.clips).fill(1);
    this.sides = about.sides.map((name, number) => ({ number, name, maps: new Map(), near: [] }));
  }

  on(changes: Change[], listener: () => void): void {
    this.listeners.push([new Set(changes), listener]);
  }

  emit(...changes: Change[]): void {
    for (const [wanted, listener] of this.listeners) {
      if (changes.some((change) => wanted.has(change))) listener();
    }
  }

  column(name: string): Int32Array {
    const column = this.columns.get(name);
    if (column === undefined) throw new Error(`no column ${name}`);
    return column;
  }

  /** The number by which a thing is shown that is no clip of the store. */
  addExtra(extra: Extra): number {
    const known = this.extras.findIndex(({ whose }) => whose === extra.whose);
    return this.about.clips + (known >= 0 ? known : this.extras.push(extra) - 1);
  }

  extra(clip: number): Extra | undefined {
    return this.extras[clip - this.about.clips];
  }

  /** What the server calls it. */
  whose(clip: number): string {
    return this.extra(clip)?.whose ?? `clips/${clip}`;
  }

  name(clip: number): string {
    return this.extra(clip)?.name ?? this.ids[clip] ?? "";
  }

  /** The class of a clip in words: the label given here, else that of the store. */
  className(clip: number): string {
    const extra = this.extra(clip);
    if (extra !== undefined) return extra.what;
    return this.labels.get(clip) ?? this.storeClass(this.column("label")[clip] ?? -1);
  }

  storeClass(label: number): string {
    return label < 0 ? "" : (this.about.classes[label] ?? `class ${label}`);
  }

  hover(clip: number | null): void {
    if (clip === this.hovered) return;
    this.hovered = clip;
    this.emit("hovered");
  }

  /** Shows a clip beside the others; the oldest goes where there are too many. */
  pin(clip: number): void {
    if (!this.pinned.includes(clip)) this.pinned = [...this.pinned, clip].slice(-MOST_PINNED);
    this.focus = clip;
    this.part = null; // a label is for what was selected last
    this.emit("pinned", "focus", "part");
  }

  /** Shows these clips alone, and nothing is chosen. */
  show(clips: number[]): void {
    this.pinned = clips.slice(0, MOST_PINNED);
    this.focus = this.pinned[0] ?? null;
    this.chosen = new Set();
    this.part = null;
    this.emit("pinned", "focus", "chosen", "part");
  }

  unpin(clip: number): void {
    this.pinned = this.pinned.filter((other) => other !== clip);
    if (this.focus === clip) this.focus = this.pinned.at(-1) ?? null;
    this.emit("pinned", "focus");
  }

  choose(clips: Iterable<number>): void {
    this.chosen = new Set(clips);
    this.part = null;
    this.emit("chosen", "part");
  }

  /** What labels are given to: the chosen clips, else the one whose neighbours are shown. */
  get marked(): number[] {
    if (this.chosen.size > 0) return [...this.chosen];
    return this.focus === null || this.focus >= this.about.clips ? [] : [this.focus];
  }
}
