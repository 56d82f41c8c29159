/** A classifier learns from the labels as they are given, and asks for the clips from which it would learn most. */

import * as api from "./api";
import { byId } from "./dom";
import type { State } from "./state";

const ASKED = 9;
const EACH = 2; // labels of a class from which on it is told how well they teach: one alone is never told by another
const [WIDE, HIGH] = [120, 26]; // of the curve, in its own units

export class Teaching {
  /** Whether clips are being asked for. */
  private asking = false;
  /** Labels and per cent told right, as they came. */
  private readonly curve: [number, number][] = [];

  constructor(private readonly state: State) {
    byId("next").onclick = () => void this.ask();
    state.on(["labels"], () => void this.follow());
    state.on(["pinned"], () => {
      if (state.pinned.length === 0) this.asking = false;
      this.show();
    });
  }

  /** Shows the clips of which a label would teach most; the first is the one that a key labels. */
  async ask(): Promise<void> {
    const lesson = await api.lesson(ASKED);
    this.asking = lesson.next.length > 0;
    this.state.show(lesson.next);
    this.show();
  }

  /** After labels were given: how well it goes, and on to the next clip that was asked for. */
  private async follow(): Promise<void> {
    const { state } = this;
    if (this.asking && state.chosen.size === 0 && state.focus !== null && state.labels.has(state.focus)) {
      const rest = state.pinned.find((clip) => !state.labels.has(clip));
      if (rest === undefined) await this.ask();
      else state.pin(rest);
    }
    if (!state.status.guesses || state.about.fixed) return;
    const { labelled, correct, people, names } = await api.lesson(0);
    const known = correct !== null && labelled >= EACH * names.length ? correct : null;
    if (known !== null && this.curve.at(-1)?.[0] !== labelled) this.curve.push([labelled, known]);
    const whom = people > 0 ? `people not seen (${people})` : "clips not seen";
    const words = known === null ? "too few labels of each to say how many it tells right" : `${known.toFixed(0)} % right on ${whom}`;
    byId("taught").textContent = correct === null ? "" : `${names.length} classes, ${words}`;
    this.draw();
    if (labelled > 0) {
      const guesses = await api.lessonGuesses();
      state.taught = { names, of: Int32Array.from(guesses.subarray(0, state.about.clips)) };
    } else state.taught = null;
    state.emit("taught");
  }

  private show(): void {
    byId("next").ariaPressed = String(this.asking);
  }

  private draw(): void {
    const most = Math.max(1, ...this.curve.map(([labels]) => labels));
    const places = this.curve.map(([labels, correct]) => `${((labels / most) * WIDE).toFixed(1)},${(HIGH - (correct / 100) * HIGH).toFixed(1)}`);
    byId("curve").toggleAttribute("hidden", this.curve.length < 2);
    byId("curve").querySelector("polyline")?.setAttribute("points", places.join(" "));
  }
}
