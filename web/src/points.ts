/** All clips as points on the graphics card: one draw, whatever their number. */

/** What holds for all points: see `draw`. Neither this nor what a point has is ever asked for by name, which would wait for the compiler. */
const LOOK = `
layout(std140) uniform Look { vec2 centre; vec2 scale; vec4 edge; vec4 ground; float size; };`;

const VERTEX = `#version 300 es
precision highp float;
${LOOK}
layout(location = 0) in vec2 position;
layout(location = 1) in vec3 colour;
layout(location = 2) in float shape;
layout(location = 3) in float mark;
out vec3 paint;
flat out float form;
flat out float state;
flat out float pixels;
void main() {
  gl_Position = vec4((position - centre) * scale, 0.0, 1.0);
  float large = mark > 2.5 ? 1.9 : mark > 1.5 ? 1.25 : mark > 0.5 ? 1.0 : 0.6;
  pixels = size * large;
  gl_PointSize = pixels;
  paint = colour;
  form = shape;
  state = mark;
}`;

const FRAGMENT = `#version 300 es
precision highp float;
${LOOK}
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
  vec3 tone = state > 1.5 ? mix(paint, edge.rgb, rim) : mix(paint, ground.rgb, rim * 0.5);
  drawn = state < 0.5 ? vec4(paint, cover * 0.12) : vec4(tone, cover * (state > 1.5 ? 1.0 : 0.9));
}`;

const LOOKS = 4; // milliseconds between two looks at whether the graphics card is done

/** 0 left out by a filter, 1 usual, 2 chosen or a neighbour, 3 pinned. */
export type Mark = 0 | 1 | 2 | 3;

/** Numbers of each clip that the graphics card holds, by their location. */
const SIZES = { position: 2, colour: 3, shape: 1, mark: 1 };
type Name = keyof typeof SIZES;

type Tone = [red: number, green: number, blue: number];

/** What a picture shows: in the map's units what lies in its middle and what a pixel is; in pixels, and in "#rrggbb". */
export interface Look {
  centre: readonly [number, number];
  unit: number;
  size: number;
  edge: string;
  ground: string;
}

export class ClipPoints {
  private readonly gl: WebGL2RenderingContext;
  private readonly values: Record<Name, Float32Array>;
  private readonly order: Uint32Array;
  private buffers = new Map<Name, WebGLBuffer>();

  /** Points on a canvas; `again` is called where the graphics card has forgotten them and knows them again. */
  constructor(
    private readonly canvas: HTMLCanvasElement,
    private readonly count: number,
    again: () => void,
  ) {
    const gl = canvas.getContext("webgl2", { alpha: false, antialias: false, depth: false }); // opaque: nothing below it is drawn
    if (gl === null) throw new Error("this browser has no WebGL 2, which the map needs: try another one, or switch on hardware acceleration");
    this.gl = gl;
    const numbers = (size: number): Float32Array => new Float32Array(size * count);
    this.values = { position: numbers(2), colour: numbers(3), shape: numbers(1), mark: numbers(1) };
    this.order = shuffled(count);
    this.begin();
    canvas.addEventListener("webglcontextlost", (event) => event.preventDefault());
    canvas.addEventListener("webglcontextrestored", () => {
      this.begin();
      again();
    });
  }

  place(places: Float32Array): void {
    this.values.position.set(places);
    this.send("position");
  }

  paint(colourOf: (clip: number) => string, shapeOf: (clip: number) => number): void {
    const known = new Map<string, Tone>();
    const { colour, shape } = this.values;
    for (let clip = 0; clip < this.count; clip += 1) {
      const name = colourOf(clip);
      let rgb = known.get(name);
      if (rgb === undefined) known.set(name, (rgb = rgbOf(name)));
      colour.set(rgb, 3 * clip);
      shape[clip] = shapeOf(clip);
    }
    this.send("colour");
    this.send("shape");
  }

  mark(marks: (clip: number) => Mark): void {
    const { mark } = this.values;
    for (let clip = 0; clip < this.count; clip += 1) mark[clip] = marks(clip);
    this.send("mark");
  }

  /** Draws so many clips that are a fair sample, with Infinity all. */
  draw({ centre, unit, size, edge, ground }: Look, sample: number): void {
    const { gl, canvas } = this;
    gl.viewport(0, 0, canvas.width, canvas.height);
    gl.clearColor(...rgbOf(ground), 1);
    gl.clear(gl.COLOR_BUFFER_BIT);
    const scale = [2 / (canvas.width * unit), 2 / (canvas.height * unit)];
    gl.bufferData(gl.UNIFORM_BUFFER, new Float32Array([...centre, ...scale, ...rgbOf(edge), 1, ...rgbOf(ground), 1, size, 0, 0, 0]), gl.DYNAMIC_DRAW);
    gl.drawElements(gl.POINTS, Math.min(sample, this.count), gl.UNSIGNED_INT, 0);
  }

  /** Calls back with the milliseconds that all that was asked for until now has taken. */
  timed(onTimed: (milliseconds: number) => void): void {
    const { gl } = this;
    const begun = performance.now();
    const done = gl.fenceSync(gl.SYNC_GPU_COMMANDS_COMPLETE, 0);
    gl.flush();
    const look = (): void => {
      if (done === null || gl.isContextLost()) return;
      if (gl.getSyncParameter(done, gl.SYNC_STATUS) !== gl.SIGNALED) {
        setTimeout(look, LOOKS);
        return;
      }
      gl.deleteSync(done);
      onTimed(performance.now() - begun);
    };
    setTimeout(look, LOOKS);
  }

  private begin(): void {
    const { gl } = this;
    const program = gl.createProgram();
    for (const [kind, source] of [[gl.VERTEX_SHADER, VERTEX], [gl.FRAGMENT_SHADER, FRAGMENT]] as const) {
      const shader = gl.createShader(kind);
      if (shader === null) continue; // the card is lost again: it will be restored
      gl.shaderSource(shader, source);
      gl.compileShader(shader);
      gl.attachShader(program, shader);
    }
    gl.linkProgram(program);
    gl.useProgram(program);
    gl.bindBufferBase(gl.UNIFORM_BUFFER, 0, gl.createBuffer()); // where the only block of a program is
    this.buffers.clear();
    (Object.keys(SIZES) as Name[]).forEach((name, place) => {
      this.buffers.set(name, gl.createBuffer());
      this.send(name);
      gl.enableVertexAttribArray(place);
      gl.vertexAttribPointer(place, SIZES[name], gl.FLOAT, false, 0, 0);
    });
    gl.bindBuffer(gl.ELEMENT_ARRAY_BUFFER, gl.createBuffer());
    gl.bufferData(gl.ELEMENT_ARRAY_BUFFER, this.order, gl.STATIC_DRAW);
    gl.enable(gl.BLEND);
    gl.blendFuncSeparate(gl.SRC_ALPHA, gl.ONE_MINUS_SRC_ALPHA, gl.ONE, gl.ONE_MINUS_SRC_ALPHA);
  }

  private send(name: Name): void {
    const { gl } = this;
    gl.bindBuffer(gl.ARRAY_BUFFER, this.buffers.get(name) ?? null);
    gl.bufferData(gl.ARRAY_BUFFER, this.values[name], gl.DYNAMIC_DRAW);
  }
}

/** All numbers below a count in an order of chance that is the same each time. */
function shuffled(count: number): Uint32Array {
  const order = Uint32Array.from({ length: count }, (_, place) => place);
  let seed = 1;
  for (let place = count - 1; place > 0; place -= 1) {
    seed = (Math.imul(seed, 1_664_525) + 1_013_904_223) >>> 0;
    const other = seed % (place + 1);
    const held = order[place] ?? 0;
    order[place] = order[other] ?? 0;
    order[other] = held;
  }
  return order;
}

/** "#rrggbb" as it stands on the screen: no conversion of colour spaces. */
function rgbOf(colour: string): Tone {
  const number = Number.parseInt(colour.slice(1), 16);
  return [((number >> 16) & 255) / 255, ((number >> 8) & 255) / 255, (number & 255) / 255];
}
