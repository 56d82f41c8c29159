/** Which clips lie where in a plane: the nearest to a place, those within a polygon. */

export type Place = readonly [number, number];

export class Places {
  private readonly low: [number, number] = [Infinity, Infinity];
  private readonly high: [number, number] = [-Infinity, -Infinity];
  /** Of the square cells that lie over the plane: how many are along it, and how long one is. */
  private readonly across: number;
  private readonly side: number;
  /** All clips, cell by cell, and where each cell begins among them. */
  private readonly clips: Uint32Array;
  private readonly begins: Uint32Array;

  constructor(readonly of: Float32Array) {
    const { low, high } = this;
    const count = of.length / 2;
    for (let place = 0; place < of.length; place += 1) {
      const [axis, value] = [(place & 1) as 0 | 1, of[place] ?? 0];
      if (value < low[axis]) low[axis] = value;
      if (value > high[axis]) high[axis] = value;
    }
    this.across = Math.max(1, Math.ceil(Math.sqrt(count)));
    this.side = (Math.max(high[0] - low[0], high[1] - low[1], 1e-6) * (1 + 1e-6)) / this.across;
    const cells = Uint32Array.from({ length: count }, (_, clip) => this.cellOf(clip));
    this.begins = new Uint32Array(this.across ** 2 + 1);
    for (const cell of cells) this.begins[cell + 1] = (this.begins[cell + 1] ?? 0) + 1;
    for (let cell = 0; cell < this.across ** 2; cell += 1) this.begins[cell + 1] = (this.begins[cell + 1] ?? 0) + (this.begins[cell] ?? 0);
    const next = this.begins.slice();
    this.clips = new Uint32Array(count);
    cells.forEach((cell, clip) => {
      const place = next[cell] ?? 0;
      this.clips[place] = clip;
      next[cell] = place + 1;
    });
  }

  at(clip: number): Place {
    return [this.of[2 * clip] ?? 0, this.of[2 * clip + 1] ?? 0];
  }

  /** From and to in x, then in y. */
  get bounds(): [Place, Place] {
    return [this.low, this.high];
  }

  /** The nearest clip within a distance that is wanted; null where there is none. */
  nearest([x, y]: Place, within: number, wanted: (clip: number) => boolean): number | null {
    let best: number | null = null;
    let least = within * within;
    const reach = Math.ceil(within / this.side);
    const [column, row] = [this.along(x, 0), this.along(y, 1)];
    const [left, right] = [Math.max(0, column - reach), Math.min(this.across - 1, column + reach)];
    if (left > right) return null;
    for (let j = Math.max(0, row - reach); j <= Math.min(this.across - 1, row + reach); j += 1) {
      const stop = this.begins[j * this.across + right + 1] ?? 0; // the cells of a row lie behind each other
      for (let place = this.begins[j * this.across + left] ?? 0; place < stop; place += 1) {
        const clip = this.clips[place] ?? 0;
        const [a, b] = this.at(clip);
        const far = (a - x) ** 2 + (b - y) ** 2;
        if (far <= least && wanted(clip)) [best, least] = [clip, far];
      }
    }
    return best;
  }

  /** All wanted clips inside a polygon (by how often a ray crosses it). */
  within(polygon: readonly Place[], wanted: (clip: number) => boolean): number[] {
    const inside: number[] = [];
    for (let clip = 0; clip < this.of.length / 2; clip += 1) {
      if (wanted(clip) && isInside(this.at(clip), polygon)) inside.push(clip);
    }
    return inside;
  }

  /** The number of the cell along an axis. */
  private along(value: number, axis: 0 | 1): number {
    return Math.floor((value - this.low[axis]) / this.side);
  }

  private cellOf(clip: number): number {
    const [x, y] = this.at(clip);
    const last = this.across - 1;
    return Math.min(last, this.along(y, 1)) * this.across + Math.min(last, this.along(x, 0));
  }
}

function isInside([x, y]: Place, polygon: readonly Place[]): boolean {
  let inside = false;
  polygon.forEach(([ax, ay], place) => {
    const [bx, by] = polygon[(place + 1) % polygon.length] ?? [ax, ay];
    if (ay > y !== by > y && x < ((bx - ax) * (y - ay)) / (by - ay) + ax) inside = !inside;
  });
  return inside;
}
