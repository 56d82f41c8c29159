/** What colours and shapes mean. Eight colours that all kinds of eyes tell apart (Okabe and Ito 2008), then other shapes. */

import type { State } from "./state";

export const SHAPES = 4;
export const UNKNOWN = "–";
const ON_DARK = ["#e69f00", "#56b4e9", "#1fb78a", "#f0e442", "#4b8fe0", "#ec6f2d", "#cc79a7", "#c9c9c9"];
const ON_LIGHT = ["#d18f00", "#2e96d3", "#00805f", "#b3a100", "#0062a8", "#c94f00", "#b1558b", "#6b6b6b"];
/** Little to much, read alike by all eyes (the ends of cividis). */
const RAMP = ["#1b3a6b", "#4d5d77", "#7d7c78", "#b3a05a", "#f2d943"];
/** What colours of the comparison are called, behind a classifier. */
const RIGHT = ": told right by";
export const NOTHING = "#7f8790";

export interface Group {
  name: string;
  colour: string;
  /** 0 disc, 1 square, 2 triangle, 3 diamond. */
  shape: number;
  count: number;
}

export interface Colouring {
  title: string;
  groups: Group[];
  /** Of each clip its group. */
  of: Int32Array;
}

export const isDark = (): boolean => document.documentElement.dataset.theme === "dark";

export function colourings(state: State): string[] {
  const known = [...state.columns.keys()].filter((name) => name !== "length" && name !== "recording" && state.column(name).some((value) => value >= 0));
  const names = known.map((name) => (name === "label" ? "class" : name));
  if (state.guessed?.some((value) => value >= 0)) names.push("classifier against label", "what the classifier says", "confidence");
  if (state.clusters !== null) names.push("cluster");
  names.push("labels given here");
  if (state.taught !== null) names.push("what these labels teach");
  if (state.comparison !== null) names.push("neighbours in both", ...state.comparison.judged.map(({ name }) => `${name}${RIGHT}`));
  names.push("length");
  return names;
}

export function colouring(state: State, name: string): Colouring {
  const clips = state.about.clips;
  switch (name) {
    case "class":
      return byNumber("class", state.column("label"), (value) => state.storeClass(value));
    case "what the classifier says":
      return byNumber(name, state.guessed ?? new Int32Array(clips).fill(-1), (value) => state.storeClass(value));
    case "classifier against label":
      return againstLabel(state);
    case "what these labels teach": {
      const taught = state.taught;
      return byWord(name, Array.from({ length: clips }, (_, clip) => taught?.names[taught.of[clip] ?? -1] ?? UNKNOWN));
    }
    case "cluster":
      return byCluster(state);
    case "confidence":
      return inSteps(name, (state.confidence ?? new Float32Array(clips)).map((share) => Math.round(100 * share)), ["% doubtful", "%", "%", "%", "% sure"]);
    case "length":
      return inSteps(name, Float32Array.from(state.column("length")), ["short", "", "", "", "long"]);
    case "labels given here":
      return byWord(name, Array.from({ length: clips }, (_, clip) => state.labels.get(clip) ?? UNKNOWN));
    case "neighbours in both":
      return neighboursInBoth(state);
    default:
      if (name.endsWith(RIGHT)) return whoIsRight(state, name);
      if (name.startsWith("side ")) return byNumber(name, state.column(name), (value) => (value ? "test" : "training"));
      return byNumber(name, state.column(name), (value) => `${name} ${value}`);
  }
}

/** The classes that clips of a store have, in their order. */
const places = new WeakMap<State, number[]>();

/** The colour and shape of a class, wherever it stands. */
export function classLooks(state: State, label: number): { colour: string; shape: number } {
  const classes = places.get(state) ?? [...new Set(state.column("label"))].filter((number) => number >= 0).sort((a, b) => a - b);
  places.set(state, classes);
  return label < 0 ? { colour: NOTHING, shape: 0 } : looks(classes.indexOf(label));
}

function looks(place: number): { colour: string; shape: number } {
  const palette = isDark() ? ON_DARK : ON_LIGHT;
  const count = palette.length;
  return { colour: palette[place % count] ?? NOTHING, shape: Math.floor(place / count) % SHAPES };
}

function grouped(title: string, names: string[], of: Int32Array): Colouring {
  let place = 0;
  const groups = names.map((name) => ({
    name,
    count: 0,
    ...(name === UNKNOWN ? { colour: NOTHING, shape: 0 } : looks(place++)),
  }));
  for (const group of of) {
    const known = groups[group];
    if (known) known.count += 1;
  }
  return { title, groups, of };
}

function byNumber(title: string, values: Int32Array, naming: (value: number) => string): Colouring {
  const distinct = [...new Set(values)].sort((a, b) => a - b);
  const known = distinct.filter((value) => value >= 0);
  const order = new Map(known.map((value, place) => [value, place]));
  const names = known.map(naming);
  if (known.length < distinct.length) names.push(UNKNOWN);
  return grouped(title, names, values.map((value) => order.get(value) ?? known.length));
}

function byWord(title: string, words: string[]): Colouring {
  const known = [...new Set(words)].filter((word) => word !== UNKNOWN).sort();
  const names = words.includes(UNKNOWN) ? [...known, UNKNOWN] : known;
  const order = new Map(names.map((word, place) => [word, place]));
  return grouped(title, names, Int32Array.from(words, (word) => order.get(word) ?? 0));
}

function againstLabel(state: State): Colouring {
  const label = state.column("label");
  const says = state.guessed ?? label;
  const of = label.map((value, clip) => (value < 0 || (says[clip] ?? -1) < 0 ? 2 : value === says[clip] ? 0 : 1));
  const colours = grouped("classifier against label", ["agree", "differ", UNKNOWN], of);
  const [agree, differ] = colours.groups;
  if (agree && differ) {
    agree.colour = isDark() ? "#4b8fe0" : "#2e96d3";
    differ.colour = isDark() ? "#ffb000" : "#c94f00";
    differ.shape = 3;
  }
  if (colours.groups[2]?.count === 0) colours.groups.pop();
  return colours;
}

/** Clusters, each with the class that most of its clips have, of those whose class is known. */
function byCluster(state: State): Colouring {
  const of = state.clusters ?? new Int32Array(state.about.clips);
  const number = 1 + of.reduce((most, cluster) => Math.max(most, cluster), 0);
  const words = Array.from({ length: number }, () => new Map<string, number>());
  of.forEach((cluster, clip) => {
    const name = state.className(clip);
    if (name !== "") words[cluster]?.set(name, (words[cluster].get(name) ?? 0) + 1);
  });
  const names = words.map((counts, cluster) => {
    const [name, count] = [...counts].reduce((best, next) => (next[1] > best[1] ? next : best), ["", 0]);
    const known = [...counts.values()].reduce((sum, count) => sum + count, 0);
    return count === 0 ? `cluster ${cluster + 1}` : `${cluster + 1}: ${((100 * count) / known).toFixed(0)} % ${name}`;
  });
  return grouped(`cluster: ${number} by k-means`, names, of);
}

/** How many of the neighbours of each clip both sides have. */
function neighboursInBoth(state: State): Colouring {
  const k = state.comparison?.k ?? 1;
  const shares = state.compared[0] ?? new Float32Array(state.about.clips);
  const steps = Array.from({ length: 5 }, (_, step) => [Math.ceil((step * (k + 1)) / 5), Math.ceil(((step + 1) * (k + 1)) / 5) - 1] as const);
  const of = Int32Array.from(shares, (share) => (Number.isNaN(share) ? 5 : steps.findIndex(([, last]) => Math.round(share * k) <= last)));
  const words = steps.map(([first, last]) => (first >= last ? `${first}` : `${first} – ${last}`) + ` of ${k}`);
  return ramped(grouped("neighbours in both", [...words, UNKNOWN], of));
}

/** Which side a classifier tells a clip right by. */
function whoIsRight(state: State, title: string): Colouring {
  const place = 1 + 2 * (state.comparison?.judged.findIndex(({ name }) => `${name}${RIGHT}` === title) ?? 0);
  const [ofFirst, ofSecond] = [state.compared[place], state.compared[place + 1]];
  const of = state.column("label").map((label, clip) => {
    if (label < 0 || (ofFirst?.[clip] ?? -1) < 0) return 4;
    return (ofFirst?.[clip] === label ? 0 : 2) + (ofSecond?.[clip] === label ? 0 : 1);
  });
  const [first, second] = state.sides.map(({ name }) => name);
  const colours = grouped(title, ["both", `only ${first}`, `only ${second}`, "neither", UNKNOWN], of);
  const tones = isDark() ? ["#5b646d", "#ffb000", "#56b4e9", "#d8dde3"] : ["#b9c0c8", "#c94f00", "#0062a8", "#3a4148"];
  colours.groups.forEach((group, number) => {
    group.colour = tones[number] ?? NOTHING;
    group.shape = [0, 3, 1, 2, 0][number] ?? 0;
  });
  if (colours.groups[4]?.count === 0) colours.groups.pop();
  return colours;
}

/** Five parts with equally many clips each. */
function inSteps(title: string, values: Float32Array, words: string[]): Colouring {
  const sorted = [...values].sort((a, b) => a - b);
  const edges = [1, 2, 3, 4].map((step) => sorted[Math.floor((step * sorted.length) / 5)] ?? 0);
  const of = Int32Array.from(values, (value) => edges.filter((edge) => value >= edge).length);
  const bounds = [sorted[0] ?? 0, ...edges, sorted.at(-1) ?? 0].map((value) => Number(value.toPrecision(3)));
  const names = words.map((word, step) => `${bounds[step]} – ${bounds[step + 1]} ${word}`.trim());
  return ramped(grouped(title, names, of));
}

/** The groups from little to much; what is not known is left out where there is nothing of it. */
function ramped(colours: Colouring): Colouring {
  colours.groups.forEach((group, step) => {
    group.colour = RAMP[step] ?? NOTHING;
    group.shape = 0;
  });
  if (colours.groups.at(-1)?.name === UNKNOWN && colours.groups.at(-1)?.count === 0) colours.groups.pop();
  return colours;
}
