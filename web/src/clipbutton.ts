/** A line of a list that stands for a clip: pointing at it shows the clip, a click keeps it. */

import { make } from "./dom";
import type { State } from "./state";

/** What stands on it: a figure, the clip's class, its name; which of them it is like, by a style's class. */
export function clipLine(state: State, clip: number, figure: string, className = ""): HTMLLIElement {
  const name = state.name(clip);
  const button = make(
    "button",
    { type: "button", className, title: name },
    make("output", { textContent: figure }),
    make("span", { textContent: state.className(clip) || "no class" }),
    make("small", { textContent: name }),
  );
  button.onpointerenter = () => state.hover(clip);
  button.onpointerleave = () => state.hover(null);
  button.onfocus = () => state.hover(clip);
  button.onblur = () => state.hover(null);
  button.onclick = () => state.pin(clip);
  return make("li", {}, button);
}
