/** The map: points that can be moved, hovered over, clicked and lassoed. */

import type { Colouring } from "./colours";
import { byId, make, swatch } from "./dom";
import { standsFor, transformOf, type View } from "./picture";
import { Places, type Place } from "./places";
import { ClipPoints, type Mark } from "./points";
import type { Side, State } from "./state";

const REACH = 14; // pixels from the pointer to a clip
const MOST_ZOOM = 400;
const QUICK = 25; // milliseconds of a drawing of all clips, up to which each frame of a movement is one
const FEWEST = 3_000; // clips that are drawn where a slow machine's picture ends, until the map rests
const REST = 160; // milliseconds
const STEP = 60; // pixels that an arrow key moves

/** Pixels of the screen for each of the page. */
const density = (): number => Math.min(devicePixelRatio, 2);

export class MapView {
  lassoing = false;
  /** How often all clips have been drawn, and as a sample. */
  readonly pictures = { whole: 0, sampled: 0 };
  private readonly root: HTMLElement;
  private readonly canvas: HTMLCanvasElement;
  /** Lies over the canvas, and stays where it is while that moves. */
  private readonly field: HTMLElement;
  private readonly points: ClipPoints;
  private places: Places | null = null;
  private colouring: Colouring | null = null;
  private view: View = { centre: [0, 0], unit: 0.01 };
  private whole = 0.01;
  /** What the canvas shows; null: nothing yet. */
  private picture: View | null = null;
  /** Milliseconds that all clips took when they were drawn last, and whether they are being drawn. */
  private took = 0;
  private drawing = false;
  /** Whether the canvas shows something else than it should. */
  private stale = false;
  private waiting = false;
  /** Whether nobody has moved it for a while, and what tells. */
  private rests = false;
  private resting = 0;
  private readonly held = new Map<number, Place>();
  /** Pixels that the pointer has moved since it was pressed. */
  private way = 0;
  /** Whether it was zoomed or moved since it was shown whole. */
  private moved = false;
  private lasso: Place[] = [];

  constructor(
    private readonly state: State,
    private readonly side: Side,
  ) {
    const made = byId<HTMLTemplateElement>("one-map").content.cloneNode(true) as DocumentFragment;
    this.root = made.querySelector(".map") as HTMLElement;
    this.canvas = made.querySelector("canvas") as HTMLCanvasElement;
    this.field = made.querySelector(".field") as HTMLElement;
    this.field.ariaLabel = `Each point is a clip; clips whose features of ${side.name} are alike lie near each other`;
    const head = made.querySelector("h2") as HTMLElement;
    [head.textContent, head.title, head.hidden] = [side.name, side.name, state.sides.length === 1];
    byId("pair").append(made);
    this.points = new ClipPoints(this.canvas, state.about.clips, () => {
      this.drawing = false; // what was being drawn is lost
      this.draw();
    });
    new ResizeObserver(() => this.resized()).observe(this.root);
    this.listen();
    state.on(["maps"], () => this.showMap());
    state.on(["filter", "chosen", "pinned", "focus", "near"], () => this.remark());
    state.on(["hovered", "labels"], () => this.tip());
    state.on(["guests", "maps"], () => this.markGuests());
  }

  /** The whole map again after the place for it has changed, unless somebody has moved it. */
  resized(): void {
    if (this.moved) this.draw();
    else this.fit();
  }

  /** Shows the map of `state.which`. */
  showMap(): void {
    const places = this.side.maps.get(this.state.which);
    if (places === undefined) return;
    this.places = new Places(places);
    this.points.place(places);
    this.fit();
  }

  fit(): void {
    this.moved = false;
    if (this.places === null) return;
    const [[x0, y0], [x1, y1]] = this.places.bounds;
    const { clientWidth: width, clientHeight: height } = this.root;
    const alone = this.state.sides.length === 1; // else controls and legend stand above and below, not on the map
    const legend = alone ? (document.getElementById("legend")?.clientWidth ?? 0) : 0;
    const beside = legend < width / 3 ? legend : 0; // the points lie beside the legend where there is room
    const [aside, above] = alone ? [70, 110] : [40, 60];
    this.whole = Math.max((x1 - x0) / Math.max(width - beside - aside, 80), (y1 - y0) / Math.max(height - above, 80), 1e-6);
    const unit = this.whole;
    this.view = { centre: [(x0 + x1) / 2 - (beside / 2) * unit, (y0 + y1) / 2 + (alone ? 20 : 10) * unit], unit };
    this.draw();
  }

  recolour(colouring: Colouring): void {
    const { groups, of } = colouring;
    this.colouring = colouring;
    this.points.paint(
      (clip) => groups[of[clip] ?? 0]?.colour ?? "#888888",
      (clip) => groups[of[clip] ?? 0]?.shape ?? 0,
    );
    this.remark();
  }

  remark(): void {
    const { visible, chosen, pinned, focus } = this.state;
    const strong = new Set(focus === null ? pinned : [...pinned, focus]);
    const around = new Set(this.side.near);
    this.points.mark((clip): Mark => (strong.has(clip) ? 3 : chosen.has(clip) || around.has(clip) ? 2 : visible[clip] ? 1 : 0));
    this.draw();
  }

  /** Where a clip is on the screen, in pixels of the window. */
  onScreen(clip: number): Place {
    const [x, y] = this.placeOf(clip);
    const box = this.field.getBoundingClientRect();
    const [right, down] = this.inField([x, y]);
    return [box.left + right, box.top + down];
  }

  /** All clips are drawn before the next frame is shown. */
  draw(): void {
    this.stale = true;
    this.onNextFrame();
  }

  /** After the view has changed. */
  private move(view: View): void {
    this.view = view;
    this.moved = true;
    this.rests = false;
    this.onNextFrame();
  }

  private onNextFrame(): void {
    if (this.waiting) return;
    this.waiting = true;
    requestAnimationFrame(() => {
      this.waiting = false;
      this.show();
    });
  }

  /** Draws all clips; or where that takes too long while the map moves, moves the picture of them until it rests. */
  private show(): void {
    clearTimeout(this.resting);
    const { clientWidth: width, clientHeight: height } = this.root;
    if (width === 0 || height === 0 || this.places === null) return;
    const slow = this.took > QUICK && this.picture !== null;
    if (!slow || ((this.stale || this.rests) && !this.drawing)) {
      this.paint(Infinity);
    } else {
      this.resting = window.setTimeout(() => {
        this.rests = true; // unless it is moved before the next frame, which may have had to wait for the screen
        this.onNextFrame();
      }, REST);
      if (this.picture !== null && this.isFilled && standsFor(this.picture, this.view, [width, height], this.places.bounds)) {
        this.canvas.style.transform = transformOf(this.picture, this.view);
      } else this.paint(FEWEST);
    }
    this.placeGuests();
    this.tip();
  }

  private paint(clips: number): void {
    const { canvas, view } = this;
    const ratio = density();
    if (!this.isFilled) [canvas.width, canvas.height] = this.buffer;
    const style = getComputedStyle(document.documentElement);
    const look = { centre: view.centre, unit: view.unit / ratio, size: this.size * ratio, edge: style.getPropertyValue("--ink").trim(), ground: style.getPropertyValue("--ground").trim() };
    this.points.draw(look, clips);
    this.picture = view;
    canvas.style.transform = "";
    this.pictures[clips === Infinity ? "whole" : "sampled"] += 1;
    if (clips !== Infinity) return;
    this.stale = this.rests = false;
    if (this.drawing) return;
    this.drawing = true;
    this.points.timed((took) => {
      [this.took, this.drawing] = [took, false];
      if (this.stale) this.onNextFrame();
    });
  }

  /** Pixels of the screen on which the map lies. */
  private get buffer(): [number, number] {
    return [Math.floor(this.root.clientWidth * density()), Math.floor(this.root.clientHeight * density())];
  }

  /** Whether the canvas has these; else what it shows would be stretched. */
  private get isFilled(): boolean {
    const [wide, high] = this.buffer;
    return this.canvas.width === wide && this.canvas.height === high;
  }

  /** Pixels of a usual point. */
  private get size(): number {
    const usual = Math.min(11, Math.max(3, 260 / Math.sqrt(this.state.about.clips)));
    return usual * Math.min(2.5, (this.whole / this.view.unit) ** 0.3);
  }

  /** Marks where dropped files fall. */
  private markGuests(): void {
    this.root.querySelector(".guests")?.replaceChildren(...this.state.extras.flatMap(({ guest, name }, place) => {
      if (guest?.places[this.side.number]?.[this.state.which] === undefined) return [];
      const clip = this.state.about.clips + place;
      const mark = make("button", { type: "button", title: name, ariaLabel: name, onclick: () => this.state.pin(clip) }, "★");
      mark.dataset.clip = String(clip);
      return [mark];
    }));
    this.placeGuests();
  }

  private placeGuests(): void {
    for (const mark of this.root.querySelectorAll<HTMLElement>(".guests button")) {
      mark.style.translate = this.inField(this.placeOf(Number(mark.dataset.clip))).map((pixels) => `${pixels}px`).join(" ");
    }
  }

  /** The clip under the pointer, larger, and its class and name beside it: the map itself is not drawn again for that. */
  private tip(): void {
    const { hovered } = this.state;
    const [here, tip] = [this.root.querySelector(".here") as HTMLElement, this.root.querySelector(".tip") as HTMLElement];
    here.hidden = tip.hidden = hovered === null || this.places === null;
    if (hovered === null) return;
    const [x, y] = this.inField(this.placeOf(hovered));
    const group = this.colouring?.groups[this.colouring.of[hovered] ?? -1];
    const words = `${this.state.className(hovered)}\n${this.state.name(hovered)}\n${group?.colour} ${group?.shape}`;
    if (words !== tip.dataset.words) {
      tip.dataset.words = words;
      here.replaceChildren(swatch(group?.colour ?? "#888888", group?.shape ?? 0));
      tip.replaceChildren(make("b", { textContent: this.state.className(hovered) || "no class" }), make("span", { textContent: this.state.name(hovered) }));
    }
    const room = this.root.clientWidth - tip.offsetWidth / 2;
    here.style.translate = `${x}px ${y}px`;
    here.style.setProperty("--size", `${Math.max(1.9 * this.size, 8)}px`);
    tip.style.translate = `${Math.min(Math.max(x, tip.offsetWidth / 2), room)}px ${Math.max(y - 14, 40)}px`;
  }

  /** Where a clip, or one of a dropped file, lies on the map. */
  private placeOf(clip: number): Place {
    return this.state.extra(clip)?.guest?.places[this.side.number]?.[this.state.which] ?? this.places?.at(clip) ?? [0, 0];
  }

  /** Pixels of a place of the map from the left and from the top. */
  private inField([x, y]: Place): Place {
    const { centre, unit } = this.view;
    return [this.root.clientWidth / 2 + (x - centre[0]) / unit, this.root.clientHeight / 2 - (y - centre[1]) / unit];
  }

  private inMap(event: { clientX: number; clientY: number }): Place {
    const box = this.field.getBoundingClientRect();
    const { centre, unit } = this.view;
    return [
      centre[0] + (event.clientX - box.left - box.width / 2) * unit,
      centre[1] - (event.clientY - box.top - box.height / 2) * unit,
    ];
  }

  private under(event: PointerEvent): number | null {
    return this.places?.nearest(this.inMap(event), REACH * this.view.unit, (clip) => this.state.visible[clip] === 1) ?? null;
  }

  private zoom(by: number, at: Place): void {
    const { centre } = this.view;
    const unit = Math.min(this.whole * 4, Math.max(this.whole / MOST_ZOOM, this.view.unit * by));
    const share = unit / this.view.unit;
    this.move({ centre: [at[0] + (centre[0] - at[0]) * share, at[1] + (centre[1] - at[1]) * share], unit });
  }

  private pan(right: number, down: number): void {
    const { centre, unit } = this.view;
    this.move({ centre: [centre[0] - right * unit, centre[1] + down * unit], unit });
  }

  private listen(): void {
    const { field } = this;
    field.addEventListener("wheel", (event) => {
      event.preventDefault();
      this.zoom(Math.exp(Math.sign(event.deltaY) * Math.min(Math.abs(event.deltaY), 120) * 0.002), this.inMap(event));
    }, { passive: false });
    field.addEventListener("pointerdown", (event) => this.press(event));
    field.addEventListener("pointermove", (event) => this.drag(event));
    field.addEventListener("pointerup", (event) => this.release(event));
    field.addEventListener("pointercancel", (event) => this.held.delete(event.pointerId));
    field.addEventListener("pointerleave", () => this.state.hover(null));
    field.addEventListener("keydown", (event) => this.key(event));
  }

  private press(event: PointerEvent): void {
    if (event.button !== 0) return;
    this.field.focus({ preventScroll: true });
    this.field.setPointerCapture(event.pointerId);
    this.held.set(event.pointerId, [event.clientX, event.clientY]);
    this.way = 0;
    this.lasso = this.held.size === 1 && (this.lassoing || event.shiftKey) ? [this.inMap(event)] : [];
  }

  private drag(event: PointerEvent): void {
    if (event.buttons === 0 && this.held.delete(event.pointerId)) this.lasso = []; // it was released where nobody heard of it
    const before = this.held.get(event.pointerId);
    if (before === undefined) {
      this.drawLasso();
      this.state.hover(this.under(event));
      return;
    }
    const now: Place = [event.clientX, event.clientY];
    const [right, down] = [now[0] - before[0], now[1] - before[1]];
    this.way += Math.abs(right) + Math.abs(down);
    const other = [...this.held].find(([id]) => id !== event.pointerId)?.[1];
    if (other !== undefined) {
      const far = ([x, y]: Place): number => Math.hypot(x - other[0], y - other[1]);
      this.lasso = [];
      this.pan(right / 2, down / 2);
      this.zoom(far(before) / Math.max(far(now), 1), this.inMap(event));
    } else if (this.lasso.length > 0) {
      this.lasso.push(this.inMap(event));
    } else {
      this.pan(right, down);
    }
    this.held.set(event.pointerId, now);
    this.drawLasso();
  }

  private release(event: PointerEvent): void {
    if (!this.held.delete(event.pointerId)) return;
    const clip = this.under(event);
    if (this.lasso.length > 2 && this.way > 6) {
      const inside = this.places?.within(this.lasso, (clip) => this.state.visible[clip] === 1) ?? [];
      this.state.choose(event.altKey ? [...this.state.chosen, ...inside] : inside);
    } else if (this.way <= 6) {
      if (event.shiftKey && clip !== null) this.state.choose([...this.state.chosen, clip]);
      else if (clip !== null) this.state.pin(clip);
      else this.state.choose([]);
    }
    this.lasso = [];
    this.drawLasso();
  }

  private key(event: KeyboardEvent): void {
    const moves: Record<string, Place> = { ArrowLeft: [STEP, 0], ArrowRight: [-STEP, 0], ArrowUp: [0, STEP], ArrowDown: [0, -STEP] };
    const move = moves[event.key];
    if (move !== undefined) this.pan(...move);
    else if (event.key === "+" || event.key === "=") this.zoom(0.8, this.view.centre);
    else if (event.key === "-") this.zoom(1.25, this.view.centre);
    else return;
    event.preventDefault();
    event.stopPropagation();
  }

  private drawLasso(): void {
    const corners = this.lasso.map((corner) => this.inField(corner));
    this.root.querySelector("polygon")?.setAttribute("points", corners.map((corner) => corner.join(",")).join(" "));
  }
}
