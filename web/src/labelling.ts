/** Labels for what is chosen, by a key or a click; each is on the disk of the server when the page says so. */

import * as api from "./api";
import { byId, make, short } from "./dom";
import { painted, partWords } from "./parts";
import type { Shown, State } from "./state";

const KEYS = "1234567890";
const HINT = matchMedia("(pointer: coarse)").matches ? "Tap a clip, or “lasso” and draw around some." : "Click a clip, or hold Shift and draw around some.";
const MOST_UNDO = 50;

export class Labelling {
  names: string[];
  private readonly field = byId<HTMLInputElement>("name");
  /** Each takes one labelling back, of clips or of parts of a recording, and says whether that is on the disk. */
  private done: { parts: Shown | null; undo: () => Promise<boolean> }[] = [];
  /** What is being saved: one after the other, so that the disk has what the last key said. */
  private saving: Promise<void> = Promise.resolve();

  constructor(private readonly state: State) {
    this.names = [...state.about.classes];
    state.on(["chosen", "focus", "labels", "part"], () => this.show());
    byId<HTMLFormElement>("new").onsubmit = (event) => {
      event.preventDefault();
      const name = this.field.value.trim();
      this.typed("");
      void this.add(name);
    };
    this.field.oninput = () => this.show();
    this.field.onkeydown = (event) => {
      if (event.key === "Enter" && this.giveTyped()) event.preventDefault(); // else it is a new one
    };
    byId("clear").onclick = () => void this.give(null);
    byId("undo").onclick = () => void this.undo();
    byId("csv").onclick = () => void this.download();
  }

  /** Takes what was given before. */
  take(given: api.Labels): void {
    this.state.labels = new Map(given.clips.map((clip, place) => [clip, given.names[given.labels[place] ?? -1] ?? ""]));
    this.state.parts = given.stretches;
    this.names = [...new Set([...this.names, ...given.names])];
    this.state.emit("labels", "colours");
  }

  /** Gives the label of a key; false where no label has it. */
  key(key: string): boolean {
    const name = this.names[KEYS.indexOf(key)];
    if (!KEYS.includes(key) || name === undefined) return false;
    void this.give(name);
    return true;
  }

  /** Labels the selected part of a recording, else the clips that are marked; whether that is on the disk. */
  give(label: string | null): Promise<boolean> {
    const { part, recording } = this.state;
    if (part !== null && recording !== null) return this.givePart(recording, part, label);
    const clips = this.state.marked;
    return this.next(async () => {
      if (clips.length === 0) return false;
      const before = clips.map((clip): [number, string | null] => [clip, this.state.labels.get(clip) ?? null]);
      if (!(await this.send(clips, label))) return false;
      this.remember(null, () => this.takeBack(before));
      return true;
    });
  }

  undo(): Promise<void> {
    return this.next(async () => {
      const last = this.done.at(-1);
      if (last !== undefined && (await last.undo())) this.done.pop(); // else it can be undone again
    });
  }

  /** The part stays selected: another key changes its label. */
  private givePart(recording: Shown, [from, to]: readonly [number, number], label: string | null): Promise<boolean> {
    return this.next(async () => {
      const before = recording.data.stretches;
      if (!(await this.mark(recording, painted(before, from, to, label)))) return false;
      this.remember(recording, () => this.mark(recording, before));
      return true;
    });
  }

  private async takeBack(before: [number, string | null][]): Promise<boolean> {
    for (const label of new Set(before.map(([, old]) => old))) {
      const clips = before.filter(([, old]) => old === label).map(([clip]) => clip);
      if (!(await this.send(clips, label))) return false;
    }
    return true;
  }

  private remember(parts: Shown | null, undo: () => Promise<boolean>): void {
    this.done.push({ parts, undo });
    this.done.splice(0, this.done.length - MOST_UNDO);
  }

  private next<Saved>(save: () => Promise<Saved>): Promise<Saved> {
    const saved = this.saving.then(save);
    this.saving = saved.then(() => undefined, () => undefined); // whoever asked hears of it; the next is saved all the same
    return saved;
  }

  /** Whether it is on the disk. */
  private async saved(save: () => Promise<unknown>): Promise<boolean> {
    try {
      await save();
      return true;
    } catch (error) {
      await api.labels().then((given) => this.take(given)).catch(() => undefined); // so that the page shows what there is
      this.refused(`not saved: ${error instanceof Error ? error.message : String(error)}`);
      return false;
    }
  }

  private async send(clips: number[], label: string | null): Promise<boolean> {
    const before = clips.map((clip) => this.state.labels.get(clip) ?? null);
    if (!(await this.saved(() => api.give(clips, label, before)))) return false;
    for (const clip of clips) {
      if (label === null) this.state.labels.delete(clip);
      else this.state.labels.set(clip, label);
    }
    this.state.emit("labels", "colours");
    return true;
  }

  private async mark(recording: Shown, after: readonly api.Stretch[]): Promise<boolean> {
    const { data, number } = recording;
    if (!(await this.saved(() => api.mark(number, data.stretches, after)))) {
      await this.reload(recording);
      return false;
    }
    this.state.parts += after.length - data.stretches.length;
    data.stretches = [...after];
    this.state.emit("labels", "part");
    return true;
  }

  /** Shows the parts that are on the disk, which another page has changed; what was before these is not undone to. */
  private async reload(recording: Shown): Promise<void> {
    const now = await api.recording(recording.number).catch(() => null);
    if (now === null) return;
    recording.data.stretches = now.stretches;
    this.done = this.done.filter(({ parts }) => parts !== recording);
    const why = byId("chosen").textContent;
    this.state.emit("labels", "part");
    this.refused(why);
  }

  private refused(why: string): void {
    byId("chosen").textContent = why;
    byId("chosen").classList.add("wrong");
  }

  /** The labels that hold what is being typed. */
  private get matching(): string[] {
    const word = this.field.value.trim().toLowerCase();
    return this.names.filter((name) => name.toLowerCase().includes(word));
  }

  private typed(words: string): void {
    this.field.value = words;
    this.show();
  }

  /** Gives the one label that holds what is typed, or is that; false where there is none. */
  private giveTyped(): boolean {
    const { matching } = this;
    const word = this.field.value.trim().toLowerCase();
    if (word === "" || matching.length === 0) return false;
    const name = matching.length === 1 ? matching[0] : matching.find((label) => label.toLowerCase() === word);
    if (name === undefined) return true; // several: go on typing
    void this.give(name);
    this.typed("");
    this.field.blur();
    return true;
  }

  /** A new label stands among the others, and what is marked has it; one that is refused stands in the field again. */
  private async add(name: string): Promise<void> {
    if (name === "") return;
    const isNew = !this.names.includes(name);
    if (isNew) this.names.push(name);
    this.show();
    if (this.state.part === null && this.state.marked.length === 0) return;
    this.field.blur(); // the next key is a label's
    if ((await this.give(name)) || !isNew) return;
    this.names = this.names.filter((label) => label !== name);
    this.field.value = name;
    this.field.focus();
    this.list(); // and what was wrong stays there
  }

  private async download(): Promise<void> {
    const address = URL.createObjectURL(await api.labelTable());
    make("a", { href: address, download: "labels.csv" }).click();
    URL.revokeObjectURL(address);
  }

  private show(): void {
    const { state } = this;
    const some = (count: number, what: string): string[] => (count > 0 ? [`${count.toLocaleString("en")} ${what}`] : []);
    const given = [...some(state.labels.size, state.labels.size === 1 ? "clip" : "clips"), ...some(state.parts, state.parts === 1 ? "part" : "parts")];
    byId("labelled").textContent = given.length > 0 ? `${given.join(" and ")}, saved` : "";
    const { marked } = state;
    const clips = marked.length === 1 ? short(state.name(marked[0] ?? 0)) : `${marked.length.toLocaleString("en")} clips`;
    const what = partWords(state) || (marked.length > 0 ? clips : "");
    const words = byId("chosen");
    words.classList.remove("wrong");
    words.textContent = what !== "" ? `${what}: press a key, or click a label` : HINT;
    this.list();
  }

  /** Shows the labels that hold what is typed, and how many clips have each. */
  private list(): void {
    const { state } = this;
    const counts = new Map<string, number>();
    for (const label of state.labels.values()) counts.set(label, (counts.get(label) ?? 0) + 1);
    const disabled = state.part === null && state.marked.length === 0;
    const matching = new Set(this.matching);
    byId("names").replaceChildren(...this.names.map((name, place) => {
      const key = make("kbd", { textContent: KEYS[place] ?? "" });
      const count = make("small", { textContent: counts.has(name) ? String(counts.get(name)) : "" });
      const button = make("button", { type: "button", disabled, onclick: () => void this.give(name) }, key, make("span", { textContent: name, title: name }), count);
      return make("li", { hidden: !matching.has(name) }, button);
    }));
  }
}
