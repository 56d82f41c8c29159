/** Up to nine clips side by side on one clock, and the one under the pointer. */

import { byId, fill, make } from "./dom";
import { Pieces } from "./pieces";
import { Stage, type Shot } from "./stage";
import type { State } from "./state";

const SPEEDS = ["0.1×", "0.25×", "0.5×", "1×", "2×", "4×"];
const LONGEST = 1; // seconds that pass at once: a page that was hidden goes on where it was
const SLIDES = 100; // milliseconds between two places of the slider, which takes longer to draw than a skeleton
const [PLAY, PAUSE] = ["M3 1.5v9L10 6z", "M3 2h2.2v8H3zM6.8 2H9v8H6.8z"];

interface Player {
  clip: number;
  root: HTMLElement;
  /** Over which it is drawn. */
  view: HTMLElement;
}

export class Players {
  readonly stage: Stage;
  playing = !matchMedia("(prefers-reduced-motion: reduce)").matches;
  private seconds = 0;
  private speed = 1;
  private before = 0;
  /** Is told when a frame has been drawn. */
  onFrame: () => void = () => undefined;
  /** Whether the players are those that there should be: made once before a frame, however often the pointer moves. */
  private arranged = false;
  private stale = true;
  private drawn = "";
  private updated = 0;
  private shown: Player[] = [];
  readonly pieces: Pieces;
  /** Where the clock stands when a clip begins, in frames: an interval moves with its recording. */
  begins: (clip: number) => number = () => 0;
  private readonly grid = byId("grid");
  private readonly time = byId<HTMLInputElement>("time");

  constructor(private readonly state: State) {
    this.stage = new Stage(state.about, this.grid.querySelector("canvas") as HTMLCanvasElement);
    const isShown = (clip: number): boolean => this.shown.some((player) => player.clip === clip);
    this.pieces = new Pieces(state, isShown, () => this.refresh());
    state.on(["pinned", "focus", "labels"], () => this.arrange());
    state.on(["hovered"], () => (this.arranged = false));
    new ResizeObserver(() => this.refresh()).observe(this.grid);
    this.listen();
    requestAnimationFrame((now) => this.tick(now));
  }

  refresh(): void {
    this.stale = true;
  }

  /** Where the clock stands, in seconds. */
  get now(): number {
    return this.seconds;
  }

  jump(seconds: number): void {
    this.seconds = Math.min(Math.max(0, seconds), this.longest);
    this.stale = true;
  }

  step(frames: number): void {
    this.play(false);
    const fps = this.state.about.fps;
    this.seconds = (Math.round(this.seconds * fps) + frames) / fps;
    if (this.seconds < 0) this.seconds = Math.max(0, this.longest - 1 / fps);
    this.stale = true;
  }

  play(on: boolean): void {
    this.playing = on;
    byId("play").querySelector("path")?.setAttribute("d", on ? PAUSE : PLAY);
  }

  /** Seconds of the longest clip that is shown. */
  private get longest(): number {
    const counts = this.shown.map(({ clip }) => this.pieces.count(clip) ?? 1);
    return Math.max(1, ...counts) / this.state.about.fps;
  }

  /** The frame at which a clip of so many stands. */
  frameOf(clip: number, count: number): number {
    const frame = Math.floor(this.seconds * this.state.about.fps + 1e-6) - this.begins(clip);
    return ((frame % count) + count) % count;
  }

  /** The clock goes as time does, however many frames are left out; what would look the same is not drawn again. */
  private tick(now: number): void {
    const passed = Math.min(LONGEST, (now - this.before) / 1000);
    this.before = now;
    if (!this.arranged) this.arrange();
    if (this.playing && this.shown.length > 0) this.seconds = (this.seconds + passed * this.speed) % this.longest;
    const frames = this.shown.map(({ clip }) => this.frameOf(clip, this.pieces.count(clip) ?? 1)).join();
    if (this.stale || frames !== this.drawn) {
      [this.stale, this.drawn] = [false, frames];
      this.stage.draw(this.shown.flatMap((player) => this.shot(player)));
      if (!this.playing || now - this.updated > SLIDES) {
        this.updated = now;
        this.time.value = String(Math.min(1, this.seconds / this.longest));
      }
      this.onFrame();
    }
    requestAnimationFrame((next) => this.tick(next));
  }

  /** What a player shows now; nothing while that is not there. */
  private shot({ clip, root, view }: Player): Shot[] {
    const count = this.pieces.count(clip);
    if (count === undefined) return [];
    const frame = this.frameOf(clip, count);
    root.dataset.frame = String(frame);
    const held = this.pieces.at(clip, frame);
    return held === undefined ? [] : [{ over: view, words: `${frame + 1}/${count}`, ...held }];
  }

  /** The player under the pointer first, if it is not pinned, then those that are pinned. */
  private arrange(): void {
    this.arranged = true;
    const { hovered, pinned, focus } = this.state;
    const wanted = hovered !== null && !pinned.includes(hovered) ? [hovered, ...pinned].slice(0, 9) : pinned;
    const kept = new Map(this.shown.map((player) => [player.clip, player]));
    this.shown = wanted.map((clip) => kept.get(clip) ?? this.makePlayer(clip));
    for (const { clip, root } of this.shown) {
      const isPinned = pinned.includes(clip);
      root.classList.toggle("focus", clip === focus);
      root.classList.toggle("preview", !isPinned);
      const words = `${this.state.className(clip)}\n${isPinned}`;
      if (words === root.dataset.words) continue;
      root.dataset.words = words;
      root.querySelector("figcaption")?.replaceChildren(...this.caption(clip, isPinned));
    }
    const wants = this.shown.map(({ root }) => root as HTMLElement);
    if (wants.length === 0) wants.push(make("p", { className: "hint", textContent: "Point at a clip on the map to see it move; click to keep it here." }));
    for (const old of [...this.grid.children].slice(0, -1)) if (!wants.includes(old as HTMLElement)) old.remove();
    wants.forEach((player, place) => {
      if (this.grid.children[place] !== player) this.grid.insertBefore(player, this.grid.children[place] ?? null);
    });
    this.grid.dataset.count = String(this.shown.length);
    this.shown.forEach(({ clip }) => void this.pieces.load(clip).catch(() => undefined)); // a server that has gone draws nothing
    this.stale = true;
  }

  private caption(clip: number, isPinned: boolean): Node[] {
    const name = make("b", { textContent: this.state.className(clip) || "no class" });
    const id = make("small", { textContent: this.state.name(clip), title: this.state.name(clip) });
    const close = make("button", { type: "button", textContent: "×", ariaLabel: "Close", onclick: () => this.state.unpin(clip) });
    return isPinned ? [name, id, close] : [name, id];
  }

  private makePlayer(clip: number): Player {
    const view = make("div", { className: "view", ariaLabel: `Moving skeleton of ${this.state.name(clip)}`, role: "img" });
    const player = { clip, view, root: make("figure", {}, view, make("figcaption")) };
    let held = false;
    view.addEventListener("pointerdown", (event) => {
      if (event.button !== 0) return;
      held = true;
      view.setPointerCapture(event.pointerId);
      if (this.state.pinned.includes(clip) && this.state.focus !== clip) this.state.pin(clip);
    });
    view.addEventListener("pointerup", () => (held = false));
    view.addEventListener("pointermove", (event) => {
      held &&= event.buttons !== 0; // else it was released where nobody heard of it
      if (held) this.stage.orbit(event.movementX, event.movementY);
      view.title = held ? "" : this.jointUnder(player, event);
      this.stale ||= held;
    });
    view.addEventListener("wheel", (event) => {
      event.preventDefault();
      this.stage.zoom(Math.exp(Math.sign(event.deltaY) * 0.1));
      this.stale = true;
    }, { passive: false });
    return player;
  }

  private jointUnder({ clip, view }: Player, event: PointerEvent): string {
    const held = this.pieces.at(clip, this.frameOf(clip, this.pieces.count(clip) ?? 1));
    if (held === undefined) return "";
    return this.stage.jointAt(held.frames, held.frame, held.extent, view, [event.offsetX, event.offsetY]) ?? "";
  }

  private listen(): void {
    fill(byId("speed"), SPEEDS, "1×");
    this.play(this.playing);
    byId("play").onclick = () => this.play(!this.playing);
    byId("back").onclick = () => this.step(-1);
    byId("forward").onclick = () => this.step(1);
    byId<HTMLSelectElement>("speed").onchange = (event) => (this.speed = Number.parseFloat((event.target as HTMLSelectElement).value));
    this.time.oninput = () => {
      this.play(false);
      this.seconds = Number(this.time.value) * Math.max(0, this.longest - 1 / this.state.about.fps);
      this.stale = true;
    };
    const normalised = byId<HTMLInputElement>("normalised");
    const { about } = this.state;
    (normalised.parentElement as HTMLElement).hidden = about.normalised || about.fixed;
    byId("stance").textContent = about.normalised
      ? `Normalised when imported${about.fixed ? "." : "; --normalise false keeps clips as recorded."}`
      : about.fixed ? "As recorded." : "";
    normalised.onchange = () => {
      this.pieces.normalised = normalised.checked;
      this.pieces.forget();
      this.arrange();
    };
    for (const name of ["trails", "floor"] as const) {
      byId<HTMLInputElement>(name).onchange = (event) => {
        this.stage[name] = (event.target as HTMLInputElement).checked;
        this.stale = true;
      };
    }
  }
}
