/** Elements by their names. Words that come with data are only ever set as text. */

export function byId<Kind extends HTMLElement>(id: string): Kind {
  const element = document.getElementById(id);
  if (element === null) throw new Error(`no element ${id}`);
  return element as Kind;
}

/** A new element with properties and children. */
export function make<Name extends keyof HTMLElementTagNameMap>(
  name: Name,
  properties: Partial<HTMLElementTagNameMap[Name]> = {},
  ...children: (Node | string)[]
): HTMLElementTagNameMap[Name] {
  const made = Object.assign(document.createElement(name), properties);
  made.append(...children);
  return made;
}

/** Puts options into a select, in these words where there are such; keeps what was chosen where it is still there. */
export function fill(select: HTMLSelectElement, values: readonly string[], chosen: string, words: Record<string, string> = {}): void {
  select.replaceChildren(...values.map((value) => make("option", { value, textContent: words[value] ?? value })));
  select.value = values.includes(chosen) ? chosen : (values[0] ?? "");
}

/** A name of which beginning and end tell enough. */
export const short = (name: string): string => (name.length > 28 ? `${name.slice(0, 16)}…${name.slice(-10)}` : name);

/** Shows words until somebody closes them; none with none. */
export function notice(words: string): void {
  const root = byId("notice");
  root.hidden = words === "";
  root.querySelector("p")?.replaceChildren(words);
  const close = root.querySelector("button");
  if (close) close.onclick = () => (root.hidden = true);
}

const SHAPES = [
  "M6 1a5 5 0 1 0 .001 0z",
  "M1.5 1.5h9v9h-9z",
  "M6 1l5.2 9.6H.8z",
  "M6 .5L11.5 6 6 11.5.5 6z",
];
const SVG = "http://www.w3.org/2000/svg";

/** What a point of the map looks like. */
export function swatch(colour: string, shape: number): SVGSVGElement {
  const svg = document.createElementNS(SVG, "svg");
  svg.setAttribute("viewBox", "0 0 12 12");
  svg.setAttribute("class", "swatch");
  svg.setAttribute("aria-hidden", "true");
  const path = document.createElementNS(SVG, "path");
  path.setAttribute("d", SHAPES[shape] ?? "");
  path.setAttribute("fill", colour);
  svg.append(path);
  return svg;
}
