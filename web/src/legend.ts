/** What the colours mean; a click on a line leaves only those clips, a search only those of that name. */

import type { Colouring } from "./colours";
import { byId, make, swatch } from "./dom";
import type { State } from "./state";

export class Legend {
  /** Groups that a click has left; none: all. */
  private only = new Set<number>();
  private colouring: Colouring | null = null;

  constructor(private readonly state: State) {
    byId<HTMLInputElement>("search").oninput = () => this.filter();
  }

  show(colouring: Colouring): void {
    if (colouring.title !== this.colouring?.title) this.only.clear();
    this.colouring = colouring;
    const root = byId("legend");
    root.querySelector("summary")?.replaceChildren(colouring.title);
    root.querySelector("ul")?.replaceChildren(...colouring.groups.map((group, place) => this.line(group, place)));
    this.filter();
  }

  private line(group: Colouring["groups"][number], place: number): HTMLElement {
    const count = make("small", { textContent: group.count.toLocaleString("en") });
    const button = make("button", { type: "button" }, swatch(group.colour, group.shape), make("span", { textContent: group.name, title: group.name }), count);
    button.ariaPressed = String(this.only.has(place));
    button.onclick = () => {
      if (!this.only.delete(place)) this.only.add(place);
      button.ariaPressed = String(this.only.has(place));
      this.filter();
    };
    return make("li", {}, button);
  }

  private filter(): void {
    const word = byId<HTMLInputElement>("search").value.trim().toLowerCase();
    const { visible, ids } = this.state;
    let count = 0;
    for (let clip = 0; clip < visible.length; clip += 1) {
      const group = this.only.size === 0 || this.only.has(this.colouring?.of[clip] ?? -1);
      const kept = group && (word === "" || (ids[clip] ?? "").toLowerCase().includes(word));
      visible[clip] = kept ? 1 : 0;
      count += kept ? 1 : 0;
    }
    byId("count").textContent = count === visible.length ? `${count.toLocaleString("en")} clips` : `${count.toLocaleString("en")} of ${visible.length.toLocaleString("en")}`;
    this.state.emit("filter");
  }
}
