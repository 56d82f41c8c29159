/** The clips that the model finds most like the one that was clicked last. */

import * as api from "./api";
import type { Neighbours } from "./api";
import { clipLine } from "./clipbutton";
import { byId, make } from "./dom";
import type { State } from "./state";

export class NeighbourList {
  private readonly lists: HTMLOListElement[];

  constructor(private readonly state: State) {
    this.lists = state.sides.map(() => make("ol"));
    byId("near").querySelector("div")?.replaceChildren(...state.sides.map(({ name }, side) => {
      const head = state.sides.length > 1 ? [make("h3", { textContent: name, title: name })] : [];
      return make("div", {}, ...head, this.lists[side] ?? "");
    }));
    state.on(["focus", "labels", "compared"], () => void this.show());
    void this.show();
  }

  private async show(): Promise<void> {
    const { state } = this;
    const clip = state.focus;
    const none = clip === null || state.whose(clip).startsWith("recordings");
    byId("near").hidden = none;
    byId("of").textContent = none ? "" : `of ${state.name(clip)}`;
    const empty: Neighbours = { clips: [], distances: [] };
    const lists = await Promise.all(state.sides.map(({ number }) => (none ? empty : api.neighbours(number, state.whose(clip)).catch(() => empty))));
    if (clip !== state.focus) return;
    lists.forEach(({ clips, distances }, side) => {
      const others = new Set(lists.filter((_, other) => other !== side).flatMap((other) => other.clips));
      const shown = state.sides[side];
      if (shown !== undefined) shown.near = clips;
      this.lists[side]?.replaceChildren(...clips.map((near, place) => this.line(near, distances[place] ?? 0, clip, others.has(near))));
    });
    state.emit("near");
  }

  private line(near: number, far: number, clip: number | null, inBoth: boolean): HTMLElement {
    const { state } = this;
    const known = clip !== null && state.extra(clip) === undefined;
    const same = known && state.className(near) === state.className(clip) && state.className(near) !== "";
    return clipLine(state, near, far.toFixed(3), `${!known ? "" : same ? "same" : "other"}${inBoth ? " both" : ""}`);
  }
}
