/** The map: points that can be moved, hovered over, clicked and lassoed. */

import { OrthographicCamera, Scene, WebGLRenderer } from "three";
import type { Colouring } from "./colours";
import { byId, make } from "./dom";
import { Places, type Place } from "./places";
import { ClipPoints, type Mark } from "./points";
import type { Side, State } from "./state";

const REACH = 14; // pixels from the pointer to a clip
const MOST_ZOOM = 400;
const FEWEST = 3_000; // clips that are drawn at least while the map moves; all of them when it rests
const REST = 160; // milliseconds
const [SLOW, FAST] = [30, 20]; // milliseconds of a frame from which on fewer, up to which more of them are drawn
const STEP = 60; // pixels that an arrow key moves

export class MapView {
  readonly canvas: HTMLCanvasElement;
  lassoing = false;
  private readonly root: HTMLElement;
  private readonly renderer: WebGLRenderer;
  private readonly camera = new OrthographicCamera();
  private readonly scene = new Scene();
  private readonly points: ClipPoints;
  private places: Places | null = null;
  /** In units of the map: what lies in the middle, and what a pixel is. */
  private centre: [number, number] = [0, 0];
  private unit = 0.01;
  private whole = 0.01;
  private waiting = false;
  /** Clips that are drawn while the map moves: as many as this machine draws 30 times a second. */
  private moving = 12_000;
  /** When the last frame of a movement was drawn; 0: it rests. */
  private drawn = 0;
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
    this.canvas.ariaLabel = `Each point is a clip; clips whose features of ${side.name} are alike lie near each other`;
    const head = made.querySelector("h2") as HTMLElement;
    [head.textContent, head.title, head.hidden] = [side.name, side.name, state.sides.length === 1];
    byId("pair").append(made);
    this.renderer = new WebGLRenderer({ canvas: this.canvas, antialias: false, alpha: true });
    this.points = new ClipPoints(state.about.clips);
    this.scene.add(this.points.object);
    new ResizeObserver(() => this.resized()).observe(this.root);
    this.listen();
    state.on(["maps"], () => this.showMap());
    state.on(["filter", "chosen", "pinned", "hovered", "focus", "guests"], () => this.remark());
    state.on(["hovered"], () => this.tip());
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
    this.unit = this.whole;
    this.centre = [(x0 + x1) / 2 - (beside / 2) * this.unit, (y0 + y1) / 2 + (alone ? 20 : 10) * this.unit];
    this.draw();
  }

  recolour({ groups, of }: Colouring): void {
    this.points.paint(
      (clip) => groups[of[clip] ?? 0]?.colour ?? "#888888",
      (clip) => groups[of[clip] ?? 0]?.shape ?? 0,
    );
    this.remark();
  }

  remark(): void {
    const { visible, chosen, pinned, hovered, focus } = this.state;
    const strong = new Set([...pinned, ...(hovered === null ? [] : [hovered]), ...(focus === null ? [] : [focus])]);
    const around = new Set(this.side.near);
    this.points.mark((clip): Mark => (strong.has(clip) ? 3 : chosen.has(clip) || around.has(clip) ? 2 : visible[clip] ? 1 : 0));
    this.draw();
  }

  /** Where a clip is on the screen, in pixels of the window. */
  onScreen(clip: number): Place {
    const [x, y] = this.state.extra(clip)?.guest?.places[this.side.number]?.[this.state.which] ?? this.places?.at(clip) ?? [0, 0];
    const box = this.canvas.getBoundingClientRect();
    return [
      box.left + box.width / 2 + (x - this.centre[0]) / this.unit,
      box.top + box.height / 2 - (y - this.centre[1]) / this.unit,
    ];
  }

  draw(): void {
    const { clips } = this.state.about;
    if (clips > FEWEST) {
      this.points.sample(Math.round(this.moving));
      clearTimeout(this.resting);
      this.resting = window.setTimeout(() => {
        this.points.sample(Infinity);
        this.drawn = 0;
        this.onNextFrame();
      }, REST);
    }
    this.onNextFrame();
  }

  private onNextFrame(): void {
    if (this.waiting) return;
    this.waiting = true;
    requestAnimationFrame((now) => {
      this.waiting = false;
      this.pace(now);
      this.render();
    });
  }

  /** Fewer clips where frames of a movement come too slowly, more where there is time. */
  private pace(now: number): void {
    const passed = now - this.drawn;
    if (this.drawn > 0 && passed > SLOW) this.moving = Math.max(FEWEST, this.moving * 0.85);
    else if (this.drawn > 0 && passed < FAST) this.moving = Math.min(this.state.about.clips, this.moving * 1.05);
    this.drawn = now;
  }

  private render(): void {
    const { clientWidth: width, clientHeight: height } = this.root;
    if (width === 0 || height === 0) return;
    const ratio = Math.min(devicePixelRatio, 2);
    if (this.canvas.width !== Math.floor(width * ratio) || this.canvas.height !== Math.floor(height * ratio)) {
      this.renderer.setPixelRatio(ratio); // each setting makes a new buffer
      this.renderer.setSize(width, height, false);
    }
    const [x, y] = this.centre;
    Object.assign(this.camera, {
      left: x - (width / 2) * this.unit,
      right: x + (width / 2) * this.unit,
      top: y + (height / 2) * this.unit,
      bottom: y - (height / 2) * this.unit,
      near: -1,
      far: 1,
    });
    this.camera.updateProjectionMatrix();
    const style = getComputedStyle(document.documentElement);
    const usual = Math.min(11, Math.max(3, 260 / Math.sqrt(this.state.about.clips)));
    const closer = Math.min(2.5, (this.whole / this.unit) ** 0.3);
    const size = usual * closer * this.renderer.getPixelRatio();
    this.points.look(size, style.getPropertyValue("--ink").trim(), style.getPropertyValue("--ground").trim());
    this.renderer.render(this.scene, this.camera);
    this.drawGuests();
  }

  /** Marks where dropped files fall. */
  private drawGuests(): void {
    const box = this.canvas.getBoundingClientRect();
    const root = this.root.querySelector(".guests");
    if (this.state.extras.length === 0 && root?.childElementCount === 0) return;
    const marks = this.state.extras.flatMap(({ guest, name }, place) => {
      if (guest === null || guest.places[this.side.number]?.[this.state.which] === undefined) return [];
      const clip = this.state.about.clips + place;
      const [x, y] = this.onScreen(clip);
      const mark = make("button", { type: "button", title: name, ariaLabel: name, onclick: () => this.state.pin(clip) }, "★");
      mark.style.left = `${x - box.left}px`;
      mark.style.top = `${y - box.top}px`;
      return [mark];
    });
    root?.replaceChildren(...marks);
  }

  /** The class and name of the clip under the pointer, beside it. */
  private tip(): void {
    const { hovered } = this.state;
    const tip = this.root.querySelector(".tip") as HTMLElement;
    tip.hidden = hovered === null || this.places === null;
    if (hovered === null) return;
    const box = this.root.getBoundingClientRect();
    const [x, y] = this.onScreen(hovered);
    tip.replaceChildren(make("b", { textContent: this.state.className(hovered) || "no class" }), make("span", { textContent: this.state.name(hovered) }));
    tip.style.left = `${Math.min(Math.max(x - box.left, 60), box.width - 60)}px`;
    tip.style.top = `${Math.max(y - box.top - 14, 40)}px`;
  }

  private inMap(event: { clientX: number; clientY: number }): Place {
    const box = this.canvas.getBoundingClientRect();
    return [
      this.centre[0] + (event.clientX - box.left - box.width / 2) * this.unit,
      this.centre[1] - (event.clientY - box.top - box.height / 2) * this.unit,
    ];
  }

  private under(event: PointerEvent): number | null {
    return this.places?.nearest(this.inMap(event), REACH * this.unit, (clip) => this.state.visible[clip] === 1) ?? null;
  }

  private zoom(by: number, at: Place): void {
    const unit = Math.min(this.whole * 4, Math.max(this.whole / MOST_ZOOM, this.unit * by));
    const share = unit / this.unit;
    this.centre = [at[0] + (this.centre[0] - at[0]) * share, at[1] + (this.centre[1] - at[1]) * share];
    this.unit = unit;
    this.moved = true;
    this.draw();
  }

  private pan(right: number, down: number): void {
    this.moved = true;
    this.centre = [this.centre[0] - right * this.unit, this.centre[1] + down * this.unit];
    this.draw();
  }

  private listen(): void {
    const { canvas } = this;
    canvas.addEventListener("wheel", (event) => {
      event.preventDefault();
      this.zoom(Math.exp(Math.sign(event.deltaY) * Math.min(Math.abs(event.deltaY), 120) * 0.002), this.inMap(event));
    }, { passive: false });
    canvas.addEventListener("pointerdown", (event) => this.press(event));
    canvas.addEventListener("pointermove", (event) => this.move(event));
    canvas.addEventListener("pointerup", (event) => this.release(event));
    canvas.addEventListener("pointercancel", (event) => this.held.delete(event.pointerId));
    canvas.addEventListener("pointerleave", () => this.state.hover(null));
    canvas.addEventListener("keydown", (event) => this.key(event));
  }

  private press(event: PointerEvent): void {
    this.canvas.focus({ preventScroll: true });
    this.canvas.setPointerCapture(event.pointerId);
    this.held.set(event.pointerId, [event.clientX, event.clientY]);
    this.way = 0;
    this.lasso = this.held.size === 1 && (this.lassoing || event.shiftKey) ? [this.inMap(event)] : [];
  }

  private move(event: PointerEvent): void {
    const before = this.held.get(event.pointerId);
    if (before === undefined) {
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
    this.held.delete(event.pointerId);
    const clip = this.under(event);
    if (this.lasso.length > 2 && this.way > 6) {
      const inside = this.places?.within(this.lasso, (one) => this.state.visible[one] === 1) ?? [];
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
    else if (event.key === "+" || event.key === "=") this.zoom(0.8, this.centre);
    else if (event.key === "-") this.zoom(1.25, this.centre);
    else return;
    event.preventDefault();
    event.stopPropagation();
  }

  private drawLasso(): void {
    const box = this.canvas.getBoundingClientRect();
    const corners = this.lasso.map(([x, y]) => [
      box.width / 2 + (x - this.centre[0]) / this.unit,
      box.height / 2 - (y - this.centre[1]) / this.unit,
    ]);
    this.root.querySelector("polygon")?.setAttribute("points", corners.map((corner) => corner.join(",")).join(" "));
  }
}
