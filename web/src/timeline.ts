/** An untrimmed recording under its moving skeleton: what is done when, what a classifier says, where it is like a clip. */

import * as api from "./api";
import { classLooks } from "./colours";
import { byId } from "./dom";
import type { Players } from "./players";
import type { State } from "./state";

const ROWS = ["truth", "says", "like"] as const;
const [LEFT, ROW, GAP] = [38, 18, 5]; // pixels
const STEP = 1; // seconds that an arrow key goes

export class TimelineView {
  private shown: api.Recording | null = null;
  private pictured: api.Recording | null = null;
  private number = -1;
  /** The clip whose likeness is marked. */
  private like: number | null = null;
  /** All but the line that moves. */
  private readonly picture = document.createElement("canvas");
  private readonly canvas = byId("timeline").querySelector("canvas") as HTMLCanvasElement;

  constructor(
    private readonly state: State,
    private readonly players: Players,
  ) {
    state.on(["focus"], () => void this.follow());
    state.on(["colours"], () => this.draw(true));
    new ResizeObserver(() => this.draw(true)).observe(this.canvas);
    players.onFrame = () => this.draw();
    players.begins = (clip) => (this.whole === null ? 0 : (this.startOf(clip) ?? 0));
    const jump = (event: PointerEvent): void => {
      if (event.buttons === 0) return;
      const width = this.canvas.clientWidth - LEFT;
      this.jump(((event.offsetX - LEFT) / width) * (this.shown?.frames ?? 0));
    };
    this.canvas.addEventListener("pointerdown", jump);
    this.canvas.addEventListener("pointermove", jump);
    this.canvas.addEventListener("keydown", (event) => {
      const way = { ArrowLeft: -STEP, ArrowRight: STEP }[event.key];
      if (way === undefined) return;
      this.jump(this.frame + way * this.state.about.fps);
      event.preventDefault();
      event.stopPropagation();
    });
  }

  /** Shows the recording of the clip that was clicked last, and jumps to where that is. */
  private async follow(): Promise<void> {
    const { state } = this;
    const clip = state.focus;
    const number = clip === null || clip >= state.about.clips ? -1 : (state.column("recording")[clip] ?? -1);
    if (clip === null || number < 0) {
      if (!(clip !== null && state.whose(clip) === `recordings/${this.number}`)) byId("timeline").hidden = true;
      this.draw();
      return;
    }
    if (number === this.number && clip === this.like && !byId("timeline").hidden) return;
    [this.number, this.like] = [number, clip];
    const found = await api.recording(number, clip).catch(() => null);
    if (found === null || state.focus !== clip) return;
    this.shown = found;
    byId("timeline").hidden = false;
    byId("recording").textContent = found.name;
    const whole = state.addExtra({ whose: `recordings/${number}`, name: found.name, what: "recording", guest: null });
    if (!state.pinned.includes(whole)) {
      state.pinned = [...state.pinned.filter((one) => !state.whose(one).startsWith("recordings")), whole].slice(-9);
      state.tell("pinned");
    }
    await this.players.pieces.load(whole);
    this.jump(found.start[found.clips.indexOf(clip)] ?? 0);
  }

  /** The number of the recording among what is shown; null: it was closed. */
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

  /** Draws the line where the recording is, and where that has changed all else. */
  private draw(anew = false): void {
    const { shown, canvas } = this;
    const context = canvas.getContext("2d");
    if (shown === null || context === null || byId("timeline").hidden) return;
    const ratio = devicePixelRatio;
    const [width, height] = [canvas.clientWidth * ratio, canvas.clientHeight * ratio];
    if (anew || this.pictured !== shown || this.picture.width !== Math.round(width)) {
      [canvas.width, canvas.height] = [this.picture.width, this.picture.height] = [Math.round(width), Math.round(height)];
      this.paint(shown);
      this.pictured = shown;
    }
    const { frame } = this;
    const place = LEFT + (frame / shown.frames) * (canvas.clientWidth - LEFT);
    context.clearRect(0, 0, canvas.width, canvas.height);
    context.drawImage(this.picture, 0, 0);
    context.fillStyle = getComputedStyle(document.documentElement).getPropertyValue("--ink");
    context.fillRect((place - 1) * ratio, 0, 2 * ratio, 3 * (ROW + GAP) * ratio);
    this.tell(shown, frame);
  }

  private paint(shown: api.Recording): void {
    const { canvas, state } = this;
    const context = this.picture.getContext("2d");
    if (context === null) return;
    const width = canvas.clientWidth;
    context.setTransform(devicePixelRatio, 0, 0, devicePixelRatio, 0, 0);
    context.clearRect(0, 0, width, canvas.clientHeight);
    const style = getComputedStyle(document.documentElement);
    const at = (frame: number): number => LEFT + (frame / shown.frames) * (width - LEFT);
    const box = (row: number, from: number, to: number, colour: string, strength = 1): void => {
      context.globalAlpha = strength;
      context.fillStyle = colour;
      context.fillRect(at(from), row * (ROW + GAP), Math.max(at(to) - at(from) - 0.5, 1), ROW);
      context.globalAlpha = 1;
    };
    context.font = "11px system-ui, sans-serif";
    context.fillStyle = style.getPropertyValue("--soft");
    ROWS.forEach((name, row) => context.fillText(name, 0, row * (ROW + GAP) + 13));
    ROWS.forEach((_, row) => box(row, 0, shown.frames, style.getPropertyValue("--panel")));
    shown.clips.forEach((clip, place) => {
      box(0, shown.start[place] ?? 0, shown.stop[place] ?? 0, classLooks(state, state.column("label")[clip] ?? -1).colour);
    });
    const hop = hopOf(shown);
    shown.windows.forEach((first, place) => {
      const from = first + (shown.window - hop) / 2; // what is said of a window is said of its middle
      box(1, from, from + hop, classLooks(state, shown.says[place] ?? -1).colour, Math.min(1, 0.25 + 2 * (shown.margin[place] ?? 0)));
      box(2, from, from + hop, style.getPropertyValue("--mark"), Math.max(0, shown.like?.[place] ?? 0) ** 3);
    });
  }

  private tell(shown: api.Recording, frame: number): void {
    const { state } = this;
    const place = shown.start.findIndex((start, at) => start <= frame && frame < (shown.stop[at] ?? 0));
    const truth = place < 0 ? "nothing labelled" : state.storeClass(state.column("label")[shown.clips[place] ?? -1] ?? -1);
    const window = Math.min(shown.windows.length - 1, Math.max(0, Math.round((frame - shown.window / 2) / hopOf(shown))));
    const says = state.storeClass(shown.says[window] ?? -1) || "nothing";
    const words = `${(frame / state.about.fps).toFixed(1)} s: ${truth}; the classifier says ${says} (${(shown.margin[window] ?? 0).toFixed(2)})`;
    byId("moment").textContent = words;
    this.canvas.setAttribute("aria-valuemax", String(shown.frames));
    this.canvas.setAttribute("aria-valuenow", String(frame));
    this.canvas.setAttribute("aria-valuetext", words);
  }
}

/** Frames from one window to the next. */
function hopOf({ window, windows }: api.Recording): number {
  return (windows[1] ?? window) - (windows[0] ?? 0);
}
