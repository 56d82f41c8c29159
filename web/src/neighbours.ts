/** The clips that the model finds most like the one that was clicked last. */

import * as api from "./api";
import { byId, make } from "./dom";
import type { State } from "./state";

export class NeighbourList {
  private readonly list = byId("near").querySelector("ol") as HTMLOListElement;

  constructor(private readonly state: State) {
    state.on(["focus"], () => void this.show());
    state.on(["labels"], () => void this.show());
    void this.show();
  }

  private async show(): Promise<void> {
    const { state } = this;
    const clip = state.focus;
    const none = clip === null || state.whose(clip).startsWith("recordings");
    byId("near").hidden = none;
    byId("of").textContent = none ? "" : `of ${state.name(clip)}`;
    const found = none ? { clips: [], distances: [] } : await api.neighbours(state.whose(clip)).catch(() => ({ clips: [], distances: [] }));
    if (clip !== state.focus) return;
    state.near = found.clips;
    this.list.replaceChildren(...found.clips.map((near, place) => this.line(near, found.distances[place] ?? 0, clip)));
    state.tell("hovered");
  }

  private line(near: number, far: number, clip: number | null): HTMLElement {
    const { state } = this;
    const known = clip !== null && state.extra(clip) === undefined;
    const same = known && state.className(near) === state.className(clip) && state.className(near) !== "";
    const name = make("span", { textContent: state.className(near) || "no class" });
    const button = make(
      "button",
      { type: "button", className: !known ? "" : same ? "same" : "other", title: state.ids[near] ?? "" },
      make("output", { textContent: far.toFixed(3) }),
      name,
      make("small", { textContent: state.ids[near] ?? "" }),
    );
    button.onpointerenter = () => state.hover(near);
    button.onpointerleave = () => state.hover(null);
    button.onfocus = () => state.hover(near);
    button.onblur = () => state.hover(null);
    button.onclick = () => state.pin(near);
    return make("li", {}, button);
  }
}
