/** All clips as points on the graphics card: one draw, whatever their number. */

import { BufferAttribute, BufferGeometry, Color, GLSL3, Points, RawShaderMaterial } from "three";

const VERTEX = `
precision highp float;
uniform mat4 projectionMatrix, modelViewMatrix;
uniform float size;
in vec3 position;
in vec3 colour;
in float shape;
in float mark;
out vec3 paint;
flat out float form;
flat out float state;
flat out float pixels;
void main() {
  gl_Position = projectionMatrix * modelViewMatrix * vec4(position.xy, 0.0, 1.0);
  float large = mark > 2.5 ? 1.9 : mark > 1.5 ? 1.25 : mark > 0.5 ? 1.0 : 0.6;
  pixels = size * large;
  gl_PointSize = pixels;
  paint = colour;
  form = shape;
  state = mark;
}`;

const FRAGMENT = `
precision highp float;
uniform vec3 edge;
uniform vec3 ground;
in vec3 paint;
flat in float form;
flat in float state;
flat in float pixels;
out vec4 drawn;
void main() {
  vec2 at = gl_PointCoord * 2.0 - 1.0;
  float far = form < 0.5 ? length(at)
    : form < 1.5 ? max(abs(at.x), abs(at.y)) * 1.15
    : form < 2.5 ? max(at.y / 0.75, (1.833 * abs(at.x) - at.y) / 0.9)
    : (abs(at.x) + abs(at.y)) * 0.95;
  float soft = 2.0 / max(pixels, 2.0);
  float cover = 1.0 - smoothstep(1.0 - soft, 1.0, far);
  if (cover < 0.02) discard;
  float rim = smoothstep(1.0 - 3.0 * soft, 1.0 - 2.0 * soft, far);
  vec3 tone = state > 1.5 ? mix(paint, edge, rim) : mix(paint, ground, rim * 0.5);
  drawn = state < 0.5 ? vec4(paint, cover * 0.12) : vec4(tone, cover * (state > 1.5 ? 1.0 : 0.9));
}`;

/** 0 left out by a filter, 1 usual, 2 chosen or a neighbour, 3 pinned or under the pointer. */
export type Mark = 0 | 1 | 2 | 3;

export class ClipPoints {
  readonly object: Points<BufferGeometry, RawShaderMaterial>;
  private readonly geometry = new BufferGeometry();

  constructor(count: number) {
    this.geometry.setAttribute("position", new BufferAttribute(new Float32Array(3 * count), 3));
    this.geometry.setAttribute("colour", new BufferAttribute(new Float32Array(3 * count), 3));
    this.geometry.setAttribute("shape", new BufferAttribute(new Float32Array(count), 1));
    this.geometry.setAttribute("mark", new BufferAttribute(new Float32Array(count), 1));
    this.geometry.setIndex(new BufferAttribute(shuffled(count), 1)); // so that the first of them are a fair sample
    const material = new RawShaderMaterial({
      glslVersion: GLSL3,
      vertexShader: VERTEX,
      fragmentShader: FRAGMENT,
      transparent: true,
      depthTest: false,
      uniforms: { size: { value: 8 }, edge: { value: new Color() }, ground: { value: new Color() } },
    });
    this.object = new Points(this.geometry, material);
    this.object.frustumCulled = false;
  }

  /** Draws only so many of the clips, or with Infinity all. */
  sample(count: number): void {
    this.geometry.setDrawRange(0, count);
  }

  place(places: Float32Array): void {
    this.fill("position", (values) => {
      for (let clip = 0; clip < places.length / 2; clip += 1) values.set(places.subarray(2 * clip, 2 * clip + 2), 3 * clip);
    });
  }

  paint(colourOf: (clip: number) => string, shapeOf: (clip: number) => number): void {
    const known = new Map<string, [number, number, number]>();
    this.fill("colour", (values) => {
      for (let clip = 0; clip < values.length / 3; clip += 1) {
        const name = colourOf(clip);
        let rgb = known.get(name);
        if (rgb === undefined) known.set(name, (rgb = rgbOf(name)));
        values.set(rgb, 3 * clip);
      }
    });
    this.fill("shape", (values) => values.forEach((_, clip) => (values[clip] = shapeOf(clip))));
  }

  mark(marks: (clip: number) => Mark): void {
    this.fill("mark", (values) => values.forEach((_, clip) => (values[clip] = marks(clip))));
  }

  look(size: number, edge: string, ground: string): void {
    const { uniforms } = this.object.material;
    if (uniforms.size) uniforms.size.value = size;
    (uniforms.edge?.value as Color).setRGB(...rgbOf(edge));
    (uniforms.ground?.value as Color).setRGB(...rgbOf(ground));
  }

  private fill(name: string, write: (values: Float32Array) => void): void {
    const attribute = this.geometry.getAttribute(name) as BufferAttribute;
    write(attribute.array as Float32Array);
    attribute.needsUpdate = true;
  }
}

/** All numbers below a count in an order of chance that is the same each time. */
function shuffled(count: number): Uint32Array {
  const order = Uint32Array.from({ length: count }, (_, place) => place);
  let seed = 1;
  for (let place = count - 1; place > 0; place -= 1) {
    seed = (Math.imul(seed, 1_664_525) + 1_013_904_223) >>> 0;
    const other = seed % (place + 1);
    [order[place], order[other]] = [order[other] ?? 0, order[place] ?? 0];
  }
  return order;
}

/** "#rrggbb" as it stands on the screen: no conversion of colour spaces. */
export function rgbOf(colour: string): [number, number, number] {
  const number = Number.parseInt(colour.slice(1), 16);
  return [((number >> 16) & 255) / 255, ((number >> 8) & 255) / 255, (number & 255) / 255];
}
