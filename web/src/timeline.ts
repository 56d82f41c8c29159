/** A recording under its moving skeleton: what is done when, what a classifier says, where it is like a clip; parts of it get labels. */

import * as api from "./api";
import { classLooks } from "./colours";
import { byId, make, swatch } from "./dom";
import { select, selectAt, selectFrom, selectTo } from "./parts";
import type { Players } from "./players";
import type { Shown, State } from "./state";
import { classesIn, heightOf, hopOf, LEFT, paintRows, rowsOf, topOf, type Span } from "./timerows";

const STEP = 1; // seconds that an arrow key goes
const LONG = 10; // seconds of a trimmed clip from which on it has a timeline
const SHORTEST = 0.5; // seconds that are shown at least
const NEARER = 1.3;
const CLICK = 4; // pixels

export class TimelineView {
  private number = -1;
  private readonly known = new Map<number, Shown>();
  /** The clip whose likeness is marked. */
  private like: number | null = null;
  /** The frames that are shown. */
  private view: Span = [0, 1];
  private stale = true;
  /** All but the line that moves. */
  private readonly picture = document.createElement("canvas");
  private readonly canvas = byId("timeline").querySelector("canvas") as HTMLCanvasElement;

  constructor(
    private readonly state: State,
    private readonly players: Players,
  ) {
    state.on(["focus"], () => void this.follow());
    state.on(["colours", "part"], () => this.draw(true));
    new ResizeObserver(() => this.draw(true)).observe(this.canvas);
    players.onFrame = () => this.draw();
    players.begins = (clip) => (this.whole === null ? 0 : (this.startOf(clip) ?? 0));
    this.listen();
  }

  private get shown(): api.Recording | null {
    return this.state.recording?.data ?? null;
  }

  /** The selection begins, or ends, where the line stands. */
  cut(end: "from" | "to"): void {
    if (this.shown === null || byId("timeline").hidden) return;
    (end === "from" ? selectFrom : selectTo)(this.state, this.frame);
  }

  /** The recording of a clip; −1: none that is shown. */
  private recordingOf(clip: number | null): number {
    const { about } = this.state;
    if (clip === null || clip >= about.clips) return -1;
    if (about.recordings > 0) return this.state.column("recording")[clip] ?? -1;
    return (this.state.column("length")[clip] ?? 0) >= LONG * about.fps ? clip : -1;
  }

  /** Shows the recording of the clip that was clicked last, and jumps to where that is. */
  private async follow(): Promise<void> {
    const { state } = this;
    const clip = state.focus;
    const number = this.recordingOf(clip);
    const guest = clip === null ? undefined : state.extra(clip)?.guest?.number;
    if (guest !== undefined && state.recording !== null && this.whole !== null) {
      await this.search(state.recording, guest);
      return;
    }
    if (clip === null || number < 0) {
      if (!(clip !== null && state.whose(clip) === `recordings/${this.number}`)) this.hide();
      this.draw();
      return;
    }
    if (number === this.number && clip === this.like && !byId("timeline").hidden) return;
    const isOfMany = state.about.recordings > 0;
    const another = number !== this.number || byId("timeline").hidden;
    [this.number, this.like] = [number, clip];
    const data = await api.recording(number, isOfMany ? { like: clip } : {}).catch(() => null);
    if (data === null || state.focus !== clip) return;
    const recording = this.known.get(number) ?? { number, data }; // kept for good, so that what was labelled can be undone
    this.known.set(number, recording);
    recording.data = data;
    state.recording = recording;
    if (another) [this.view, state.part] = [[0, data.frames], null];
    byId("timeline").hidden = false;
    byId("recording").textContent = data.name;
    this.canvas.style.height = `${heightOf(rowsOf(state, data))}px`;
    if (isOfMany) await this.showWhole(number, data.name);
    this.jump(data.start[data.clips.indexOf(clip)] ?? 0);
    this.draw(true);
    state.emit("part");
  }

  /** Marks where the recording is like a clip of a dropped file. */
  private async search(recording: Shown, guest: number): Promise<void> {
    const data = await api.recording(recording.number, { guest }).catch(() => null);
    if (data === null || this.state.recording !== recording) return;
    recording.data = data;
    this.draw(true);
  }

  private hide(): void {
    byId("timeline").hidden = true;
    if (this.state.part === null) return;
    this.state.part = null;
    this.state.emit("part");
  }

  private async showWhole(number: number, name: string): Promise<void> {
    const { state } = this;
    const whole = state.addExtra({ whose: `recordings/${number}`, name, what: "recording", guest: null });
    if (!state.pinned.includes(whole)) {
      state.pinned = [...state.pinned.filter((clip) => !state.whose(clip).startsWith("recordings")), whole].slice(-9);
      state.emit("pinned");
    }
    await this.players.pieces.load(whole);
  }

  /** The number of the recording among what is shown; null: it was closed, or the clip is the recording. */
  private get whole(): number | null {
    return this.state.pinned.find((clip) => this.state.whose(clip) === `recordings/${this.number}`) ?? null;
  }

  /** The frame of the recording at which one of its clips begins. */
  private startOf(clip: number): number | undefined {
    return this.shown?.start[this.shown.clips.indexOf(clip)];
  }

  /** The frame of the recording that is shown: by the recording itself, else by the clip that was clicked last. */
  private get frame(): number {
    const frames = this.shown?.frames ?? 1;
    if (this.whole !== null) return this.players.frameOf(this.whole, frames);
    const clip = this.like ?? 0;
    return Math.min((this.startOf(clip) ?? 0) + this.players.frameOf(clip, this.players.pieces.count(clip) ?? 1), frames - 1);
  }

  private jump(frame: number): void {
    const begin = this.whole === null ? (this.startOf(this.like ?? 0) ?? 0) : 0; // a clip alone has a clock of its own
    this.players.jump((Math.max(0, Math.min(frame, (this.shown?.frames ?? 1) - 1)) - begin) / this.state.about.fps);
    this.draw();
  }

  /** The frame under a place of the canvas. */
  private frameAt(x: number): number {
    const [first, last] = this.view;
    return first + ((x - LEFT) / Math.max(this.canvas.clientWidth - LEFT, 1)) * (last - first);
  }

  /** Shows fewer frames, or more, with the same one at its place. */
  private zoom(by: number, at: number): void {
    const [first, last] = this.view;
    const frames = this.shown?.frames ?? 1;
    const least = Math.min(frames, Math.max(2, SHORTEST * this.state.about.fps));
    const span = Math.min(frames, Math.max(least, (last - first) / by));
    this.show(at - ((at - first) / (last - first)) * span, span);
  }

  private show(first: number, span: number): void {
    const frames = this.shown?.frames ?? 1;
    const start = Math.min(Math.max(0, first), frames - span);
    this.view = [start, start + span];
    this.draw(true);
  }

  private pan(share: number): void {
    const [first, last] = this.view;
    this.show(first + share * (last - first), last - first);
  }

  /** What stands below the rows: what to do, what pale means, and the classes that are in sight. */
  private explain(data: api.Recording): void {
    const { state } = this;
    const pale = rowsOf(state, data).includes("model says") ? " · pale: less sure; in % of whole clips, windows are told right less often" : "";
    const rows = data.outside === 1 ? "1 row" : `${data.outside} rows`;
    const outside = data.outside > 0 ? ` · labels.csv has ${rows} beyond its end: start,stop are seconds` : "";
    const words = make("li", { className: "words", textContent: `Drag along “your labels”, then press a label's key${pale}${outside}` });
    const classes = classesIn(state, data, this.view).map((label) => make("li", {}, swatch(classLooks(state, label).colour, 1), state.storeClass(label)));
    byId("meaning").replaceChildren(words, ...classes);
  }

  /** Draws the line where the recording is, and where that has changed all else. */
  private draw(anew = false): void {
    const { shown, canvas, state } = this;
    this.stale ||= anew;
    const context = canvas.getContext("2d");
    if (shown === null || context === null || byId("timeline").hidden || canvas.clientWidth === 0) return;
    const { frame } = this;
    const [first, last] = this.view;
    if (this.players.playing && last - first < shown.frames && (frame < first || frame >= last)) this.show(frame - 0.05 * (last - first), last - first);
    const ratio = devicePixelRatio;
    const [width, height] = [Math.round(canvas.clientWidth * ratio), Math.round(canvas.clientHeight * ratio)];
    if (this.stale || this.picture.width !== width) {
      this.stale = false;
      [canvas.width, canvas.height] = [this.picture.width, this.picture.height] = [width, height];
      const picture = this.picture.getContext("2d");
      picture?.setTransform(ratio, 0, 0, ratio, 0, 0);
      if (picture) paintRows(picture, canvas.clientWidth, state, shown, this.view);
      this.explain(shown);
    }
    context.setTransform(1, 0, 0, 1, 0, 0);
    context.clearRect(0, 0, canvas.width, canvas.height);
    context.drawImage(this.picture, 0, 0);
    context.setTransform(ratio, 0, 0, ratio, 0, 0);
    const below = topOf(rowsOf(state, shown).length);
    const at = (frame: number): number => LEFT + ((frame - this.view[0]) / (this.view[1] - this.view[0])) * (canvas.clientWidth - LEFT);
    const style = getComputedStyle(document.documentElement);
    if (state.part !== null) {
      const [from, to] = state.part.map((edge) => Math.max(LEFT, at(edge))) as [number, number];
      context.fillStyle = context.strokeStyle = style.getPropertyValue("--mark");
      context.globalAlpha = 0.3;
      context.fillRect(from, 0, Math.max(0, to - from), below);
      context.globalAlpha = 1;
      context.strokeRect(from, 0.5, Math.max(0, to - from), below - 1);
    }
    context.fillStyle = style.getPropertyValue("--ink");
    if (at(frame) >= LEFT) context.fillRect(at(frame) - 1, 0, 2, below);
    this.describe(shown, frame);
  }

  private describe(shown: api.Recording, frame: number): void {
    const { state } = this;
    const second = (at: number): string => (at / state.about.fps).toFixed(1);
    const rows = rowsOf(state, shown);
    const place = shown.start.findIndex((start, at) => start <= frame && frame < (shown.stop[at] ?? 0));
    const truth = place < 0 ? "nothing" : state.storeClass(state.column("label")[shown.clips[place] ?? -1] ?? -1) || "no class";
    const window = Math.min(shown.windows.length - 1, Math.max(0, Math.round((frame - shown.window / 2) / hopOf(shown))));
    const says = `${state.storeClass(shown.says[window] ?? -1)} (${(100 * (shown.confidence[window] ?? 0)).toFixed(0)} % sure)`;
    const given = shown.stretches.find(([start, stop]) => start <= frame && frame < stop)?.[2];
    const words = [
      `${second(frame)} s`,
      ...(rows.includes("labelled") ? [`labelled: ${truth}`] : []),
      ...(rows.includes("model says") ? [`model: ${says}`] : []),
      ...(given === undefined ? [] : [`yours: ${given}`]),
    ].join(" · ");
    if (byId("moment").textContent === words) return;
    byId("moment").textContent = words;
    this.canvas.setAttribute("aria-valuemax", String(shown.frames));
    this.canvas.setAttribute("aria-valuenow", String(frame));
    this.canvas.setAttribute("aria-valuetext", words);
  }

  private listen(): void {
    const { canvas, state } = this;
    let from: { frame: number; x: number } | null = null; // where the row of labels was pressed
    canvas.addEventListener("pointerdown", (event) => {
      if (this.shown === null || event.button !== 0) return;
      canvas.setPointerCapture(event.pointerId);
      const own = rowsOf(state, this.shown).length - 1;
      const frame = this.frameAt(event.offsetX);
      from = event.offsetY >= topOf(own) && event.offsetX >= LEFT ? { frame, x: event.offsetX } : null;
      if (from === null) this.jump(frame);
    });
    canvas.addEventListener("pointermove", (event) => {
      if ((event.buttons & 1) === 0) return;
      const frame = this.frameAt(event.offsetX);
      if (from === null) this.jump(frame);
      else if (Math.abs(event.offsetX - from.x) > CLICK) select(state, Math.min(from.frame, frame), Math.max(from.frame, frame));
    });
    canvas.addEventListener("pointerup", (event) => {
      if (from !== null && Math.abs(event.offsetX - from.x) <= CLICK) selectAt(state, from.frame);
      from = null;
    });
    canvas.addEventListener("wheel", (event) => {
      event.preventDefault();
      const across = event.shiftKey ? event.deltaY || event.deltaX : event.deltaX;
      if (Math.abs(across) > Math.abs(event.shiftKey ? 0 : event.deltaY)) this.pan(Math.sign(across) * 0.1);
      else this.zoom(event.deltaY < 0 ? NEARER : 1 / NEARER, this.frameAt(event.offsetX));
    }, { passive: false });
    canvas.addEventListener("keydown", (event) => this.key(event));
    byId("nearer").onclick = () => this.zoom(NEARER ** 2, this.frame);
    byId("farther").onclick = () => this.zoom(NEARER ** -2, this.frame);
    byId("from").onclick = () => this.cut("from");
    byId("to").onclick = () => this.cut("to");
  }

  private key(event: KeyboardEvent): void {
    const frames = this.shown?.frames ?? 1;
    const actions: Record<string, () => void> = {
      ArrowLeft: () => this.jump(this.frame - STEP * this.state.about.fps),
      ArrowRight: () => this.jump(this.frame + STEP * this.state.about.fps),
      Home: () => this.jump(0),
      End: () => this.jump(frames - 1),
      PageUp: () => this.pan(-0.5),
      PageDown: () => this.pan(0.5),
      "+": () => this.zoom(NEARER, this.frame),
      "=": () => this.zoom(NEARER, this.frame),
      "-": () => this.zoom(1 / NEARER, this.frame),
    };
    const action = actions[event.key];
    if (action === undefined) return;
    action();
    event.preventDefault();
    event.stopPropagation();
  }
}
