/** The model and what it is compared with: who tells classes better, and the clips whose neighbours changed most. */

import type { Judged } from "./api";
import { clipLine } from "./clipbutton";
import { byId, make } from "./dom";
import type { State } from "./state";

const LISTED = 30;

export class ComparisonList {
  private readonly root = byId("comparison");

  constructor(private readonly state: State) {
    state.on(["compared", "labels"], () => this.show());
  }

  private find(selector: string): HTMLElement {
    return this.root.querySelector(selector) as HTMLElement;
  }

  private show(): void {
    const { state } = this;
    const { comparison } = state;
    if (comparison === null) return;
    this.root.hidden = false;
    const [first, second] = state.sides.map(({ name }) => name);
    this.find("h2 span").textContent = `${first} with ${second}`;
    const head = ["told right by", first ?? "", second ?? "", "second − first"].map((textContent) => make("th", { textContent, title: textContent, scope: "col" }));
    this.find("thead").replaceChildren(...(comparison.judged.length > 0 ? [make("tr", {}, ...head)] : []));
    this.find("tbody").replaceChildren(...comparison.judged.map((judged) => this.row(judged)));
    this.find("p").textContent = this.words();
    const changed = comparison.changed.slice(0, LISTED);
    this.find("h3 span").textContent = "Neighbours changed most";
    this.find("h3 button").onclick = () => {
      state.show(changed);
      state.choose(comparison.changed);
    };
    this.find("ol").replaceChildren(...changed.map((clip) => this.line(clip, comparison.k)));
  }

  private row({ name, correct, interval }: Judged): HTMLElement {
    const [first, second] = correct;
    const signed = (value: number): string => `${value < 0 ? "−" : "+"}${Math.abs(value).toFixed(1)}`;
    const between = interval === null ? "" : ` (${signed(interval[0])} … ${signed(interval[1])})`;
    const cells = [`${first.toFixed(1)} %`, `${second.toFixed(1)} %`, signed(second - first) + between];
    return make("tr", {}, make("th", { textContent: name, scope: "row" }), ...cells.map((textContent) => make("td", { textContent })));
  }

  private words(): string {
    const { comparison, sides } = this.state;
    if (comparison === null) return "";
    const per = (share: number): string => `${(100 * share).toFixed(share < 0.095 ? 1 : 0)} %`;
    const of = (count: number): string => count.toLocaleString("en");
    const whom = comparison.people > 0 ? `people not seen (${comparison.people})` : "clips not seen, people not told apart";
    const judged = comparison.judged.length > 0
      ? `On ${whom}, ${of(comparison.clips)} clips; always the most frequent class: ${comparison.most_frequent.toFixed(1)} %. In brackets: 95 % interval. `
      : "There are no classes to judge by. ";
    const here = sides.filter((_, side) => comparison.taught_here[side]).map(({ name }) => name);
    const pretrained = here.length > 0 ? `Pretrained on clips of this store, without labels: ${here.join(", ")}. ` : "";
    const kept = comparison.kept === null ? "" : `Of a clip's ${comparison.k} nearest, both have ${per(comparison.kept)} (by chance ${per(comparison.chance)}).`;
    return judged + pretrained + kept;
  }

  private line(clip: number, k: number): HTMLElement {
    const { state } = this;
    const common = Math.round((state.compared[0]?.[clip] ?? 0) * k);
    return clipLine(state, clip, `${common}/${k}`);
  }
}
