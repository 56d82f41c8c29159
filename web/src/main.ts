/** Starts the page: asks the server for what there is, and for what it is still computing until that is there. */

import * as api from "./api";
import { colouring, colourings } from "./colours";
import { ComparisonList } from "./comparison";
import { byId, fill, make } from "./dom";
import { Labelling } from "./labelling";
import { Legend } from "./legend";
import { MapView } from "./mapview";
import { NeighbourList } from "./neighbours";
import { select } from "./parts";
import { Players } from "./players";
import { State, type Side } from "./state";
import { Dropping } from "./dropping";
import { TimelineView } from "./timeline";
import { Teaching } from "./teaching";
import "./style.css";

const AGAIN = 600; // milliseconds between two looks at what is computed
const SOON = 100; // while there is no map yet
const LONGEST = 30_000; // between two looks while nobody answers

const POSES = "poses"; // the map of a first visit, until the model has encoded the clips
const MAPS: Record<string, string> = { [POSES]: "poses, until the model is done", pca: "PCA", tsne: "t-SNE", umap: "UMAP" };
const KEYS: [string, string][] = [
  ["wheel, drag", "zoom and move the map; two fingers on a screen"],
  ["point at a clip", "it moves on the right"],
  ["click", "keeps it there, and shows its neighbours"],
  ["Shift + drag", "chooses clips with a lasso (with Alt: more of them)"],
  ["1 … 9, 0", "gives what is chosen the label of that key"],
  ["t", "types a label, of which Enter gives the one that is left; or a new one"],
  ["Backspace", "takes its label away"],
  ["u", "undoes the last label"],
  ["n", "asks you for labels of the clips that would teach most"],
  ["drop a file", "shows where a file of your own falls, in any format that pcm3 reads"],
  ["Space", "plays, pauses"],
  [", and .", "one frame back, one frame on"],
  ["wheel on the timeline", "zooms; with Shift it moves along, as Page up and down do"],
  ["[ and ]", "a part of the recording begins, ends at the line; or drag along its row of labels"],
  ["l", "lasso with the mouse alone, on and off"],
  ["f", "shows the whole map"],
  ["/", "finds clips by their names"],
  ["Esc", "chooses nothing; then closes all players"],
];

function applyTheme(theme: string): void {
  document.documentElement.dataset.theme = theme;
}

/** What went wrong, whoever asked for it. */
function showError(error: unknown): void {
  byId("progress").textContent = error instanceof Error ? error.message : String(error);
  byId("progress").classList.add("wrong");
}

/** All that the page needs to begin, asked for at once. */
async function begun(): Promise<Page> {
  const [about, ids, values, labels, status] = await Promise.all([api.about(), api.ids(), api.columns(), api.labels(), api.status()]);
  const columns = new Map(about.columns.map((name, place) => [name, values.subarray(place * about.clips, (place + 1) * about.clips)]));
  const page = new Page(new State(about, ids, columns));
  page.labelling.take(labels);
  await page.follow(status);
  return page;
}

class Page {
  readonly maps: MapView[];
  readonly players: Players;
  readonly labelling: Labelling;
  readonly teaching: Teaching;
  private readonly timeline: TimelineView | null;
  private readonly legend: Legend;
  private listed = false;
  private waiting = false;

  constructor(readonly state: State) {
    byId("store").textContent = state.about.store;
    byId("model").textContent = state.about.model.replace(/^Model\((.*)\)$/, "$1");
    document.documentElement.dataset.fixed = String(state.about.fixed);
    state.colouring = colourings(state)[0] ?? "";
    document.documentElement.dataset.compare = String(state.sides.length > 1);
    this.maps = state.sides.map((side) => new MapView(state, side));
    this.players = new Players(state);
    this.labelling = new Labelling(state);
    this.teaching = new Teaching(state);
    if (!state.about.fixed) new Dropping(state);
    this.timeline = state.about.fixed ? null : new TimelineView(state, this.players);
    this.legend = new Legend(state);
    new NeighbourList(state);
    if (state.sides.length > 1) new ComparisonList(state);
    state.on(["colours", "taught", "compared"], () => this.recolourSoon());
    this.controls();
    this.recolourSoon();
  }

  /** Once before the next picture, however much has changed: of many clips it takes a while. */
  private recolourSoon(): void {
    if (this.waiting) return;
    this.waiting = true;
    requestAnimationFrame(() => {
      this.waiting = false;
      this.recolour();
    });
  }

  recolour(): void {
    fill(byId("colour"), colourings(this.state), this.state.colouring);
    this.state.colouring = byId<HTMLSelectElement>("colour").value;
    const colours = colouring(this.state, this.state.colouring);
    this.maps.forEach((map) => map.recolour(colours));
    this.legend.show(colours);
  }

  /** Looks at what the server has computed until it is done. */
  async follow(status?: api.Status): Promise<void> {
    const { state } = this;
    state.status = status ?? (await api.status());
    const { stage, done, error, maps, guesses, clusters, checked, compared } = state.status;
    const encoding = `encoding: ${done.toLocaleString("en")} of ${state.about.clips.toLocaleString("en")} clips`;
    const words: Record<string, string> = {
      features: encoding, "other features": `${state.sides[1]?.name ?? ""}: ${encoding}`, comparison: "comparing neighbours",
      map: "making the map", classifier: "asking a classifier", clusters: "looking for clusters", "t-SNE": "t-SNE is coming",
      UMAP: "UMAP is coming", check: "checking the store", done: this.summary(),
      failed: `failed: ${error}`,
    };
    byId("progress").textContent = words[stage] ?? stage;
    byId("progress").classList.toggle("wrong", stage === "failed");
    for (const side of state.sides) {
      for (const name of maps[side.number] ?? []) if (!side.maps.has(name)) await this.addMap(side, name);
    }
    if (guesses && state.guessed === null) {
      const guesses = await api.guesses();
      state.guessed = Int32Array.from(guesses.subarray(0, state.about.clips));
      state.confidence = guesses.subarray(state.about.clips);
      state.emit("colours", "labels");
    }
    if (clusters && state.clusters === null) {
      state.clusters = await api.clusters();
      state.emit("colours");
    }
    if (checked && !state.about.fixed && !this.listed) await this.listFindings();
    if (compared && state.comparison === null) {
      [state.comparison, state.compared] = await Promise.all([api.comparison(), api.comparisonRows(state.about.clips)]);
      state.emit("compared");
    }
    document.documentElement.dataset.stage = stage;
    if (stage !== "done" && stage !== "failed") this.later();
  }

  /** Each time that nobody answers, it waits twice as long. */
  private later(unanswered = 0): void {
    const wait = this.state.sides[0]?.maps.size ? AGAIN : SOON;
    setTimeout(() => {
      this.follow().catch((error: unknown) => {
        showError(error);
        this.later(unanswered + 1);
      });
    }, Math.min(LONGEST, wait * 2 ** unanswered));
  }

  /** What a check of the store found; a click chooses those clips, and shows the first. */
  private async listFindings(): Promise<void> {
    this.listed = true;
    const findings = (await api.findings()).filter(({ clips }) => clips.length > 0);
    byId("findings").hidden = findings.length === 0;
    byId("findings").querySelector("ul")?.replaceChildren(...findings.map(({ name, text, wrong, clips }) => {
      const words = make("span", { textContent: text });
      const button = make("button", { type: "button", className: wrong ? "wrong" : "" }, make("b", { textContent: name }), words);
      button.onclick = () => {
        this.state.show(clips);
        this.state.choose(clips);
      };
      return make("li", {}, button);
    }));
  }

  private summary(): string {
    const { correct } = this.state.status;
    return correct === null ? "" : `linear classifier: ${correct.toFixed(1)} % right`;
  }

  private async addMap(side: Side, name: string): Promise<void> {
    const { state } = this;
    side.maps.set(name, await api.map(side.number, name));
    if (name !== POSES) side.maps.delete(POSES);
    const first = side.number === 0 && !side.maps.has(state.which);
    if (first) state.which = name;
    if (side.number === 0) fill(byId("which"), [...side.maps.keys()], state.which, MAPS);
    if (name === state.which) state.emit("maps");
    document.documentElement.dataset.maps = [...side.maps.keys()].join(" ");
  }

  private controls(): void {
    const { state } = this;
    let byMouse = false;
    document.addEventListener("pointerdown", () => (byMouse = true), { capture: true });
    document.addEventListener("keydown", () => (byMouse = false), { capture: true });
    document.addEventListener("change", (event) => {
      if (byMouse) (event.target as HTMLElement).blur(); // so that the next key is a label's, and not the menu's
    });
    if (innerWidth < 760) byId<HTMLDetailsElement>("legend").open = false;
    byId("controls").onsubmit = (event) => event.preventDefault();
    byId<HTMLSelectElement>("which").onchange = (event) => {
      state.which = (event.target as HTMLSelectElement).value;
      state.emit("maps");
    };
    byId<HTMLSelectElement>("colour").onchange = (event) => {
      state.colouring = (event.target as HTMLSelectElement).value;
      this.recolour();
    };
    byId<HTMLInputElement>("search").onkeydown = (event) => {
      const match = state.visible.indexOf(1);
      if (event.key === "Enter" && match >= 0) state.pin(match);
    };
    byId("mode").onclick = () => this.lasso();
    byId("fit").onclick = () => this.maps.forEach((map) => map.fit());
    byId("legend").addEventListener("toggle", () => this.maps.forEach((map) => map.resized()));
    byId("theme").onclick = () => {
      applyTheme(document.documentElement.dataset.theme === "dark" ? "light" : "dark");
      state.emit("colours");
      this.players.stage.figure.recolour();
      this.players.refresh();
    };
    byId("keys").querySelector("tbody")?.replaceChildren(...KEYS.map(([key, what]) => make("tr", {}, make("th", { textContent: key }), make("td", { textContent: what }))));
    byId("help").onclick = () => byId<HTMLDialogElement>("keys").showModal();
    document.addEventListener("keydown", (event) => this.key(event));
  }

  private lasso(): void {
    const on = byId("mode").ariaPressed !== "true";
    this.maps.forEach((map) => (map.lassoing = on));
    byId("mode").ariaPressed = String(on);
  }

  private key(event: KeyboardEvent): void {
    const target = event.target as HTMLElement;
    const isBracket = /^[[\]]$/.test(event.key) && (event.altKey || !event.ctrlKey); // with AltGr, or Option, on many keyboards
    const isOther = event.metaKey || (!isBracket && (event.ctrlKey || event.altKey));
    if (isOther || target.matches("input[type=search], #name, select") || byId<HTMLDialogElement>("keys").open) {
      if (event.key === "Escape") target.blur();
      return;
    }
    const actions: Record<string, () => void> = {
      " ": () => this.players.play(!this.players.playing),
      ",": () => this.players.step(-1),
      ".": () => this.players.step(1),
      l: () => this.lasso(),
      n: () => void this.teaching.ask(),
      f: () => this.maps.forEach((map) => map.fit()),
      u: () => void this.labelling.undo(),
      "/": () => byId("search").focus(),
      t: () => byId("name").focus(),
      "?": () => byId("help").click(),
      Backspace: () => void this.labelling.give(null),
      Delete: () => void this.labelling.give(null),
      "[": () => this.timeline?.cut("from"),
      "]": () => this.timeline?.cut("to"),
      Escape: () => this.escape(),
    };
    if (this.state.about.fixed && /^([ntu0-9]|Backspace|Delete)$/.test(event.key)) return;
    const action = actions[event.key];
    if (event.key === " " && target.matches("button, summary, input")) return; // that is pressed by it
    if (action !== undefined) action();
    else if (!this.labelling.key(event.key)) return;
    event.preventDefault();
  }

  private escape(): void {
    if (this.state.part !== null) select(this.state, 0, 0);
    else if (this.state.chosen.size > 0) this.state.choose([]);
    else for (const clip of this.state.pinned) this.state.unpin(clip);
  }
}

async function start(): Promise<void> {
  addEventListener("unhandledrejection", (event) => showError(event.reason));
  applyTheme(matchMedia("(prefers-color-scheme: light)").matches ? "light" : "dark");
  try {
    Object.assign(window, { explorer: await begun() });
    document.documentElement.dataset.ready = "yes";
  } catch (error) {
    showError(error);
  }
}

void start();
