/** Which clips lie where in a plane: the nearest to a place, those within a polygon. */

export type Place = readonly [number, number];

export class Places {
  private readonly cells = new Map<number, number[]>();
  private readonly low: [number, number] = [Infinity, Infinity];
  private readonly high: [number, number] = [-Infinity, -Infinity];
  private readonly side: number;
  private readonly across: number;

  constructor(readonly of: Float32Array) {
    const { high } = this;
    const count = of.length / 2;
    for (let clip = 0; clip < count; clip += 1) {
      for (const axis of [0, 1] as const) {
        const value = of[2 * clip + axis] ?? 0;
        this.low[axis] = Math.min(this.low[axis], value);
        high[axis] = Math.max(high[axis], value);
      }
    }
    const span = Math.max(high[0] - this.low[0], high[1] - this.low[1], 1e-6);
    this.across = Math.max(1, Math.ceil(Math.sqrt(count)));
    this.side = span / this.across;
    for (let clip = 0; clip < count; clip += 1) {
      const cell = this.cellOf(this.at(clip));
      const held = this.cells.get(cell);
      if (held) held.push(clip);
      else this.cells.set(cell, [clip]);
    }
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
    const reach = Math.min(this.across, Math.ceil(within / this.side));
    const [column, row] = this.columnRow([x, y]);
    for (let i = column - reach; i <= column + reach; i += 1) {
      for (let j = row - reach; j <= row + reach; j += 1) {
        for (const clip of this.cells.get(this.number(i, j)) ?? []) {
          const [a, b] = this.at(clip);
          const far = (a - x) ** 2 + (b - y) ** 2;
          if (far <= least && wanted(clip)) [best, least] = [clip, far];
        }
      }
    }
    return best;
  }

  /** All wanted clips inside a polygon (by how often a ray crosses it). */
  within(polygon: readonly Place[], wanted: (clip: number) => boolean): number[] {
    const found: number[] = [];
    for (let clip = 0; clip < this.of.length / 2; clip += 1) {
      if (wanted(clip) && isInside(this.at(clip), polygon)) found.push(clip);
    }
    return found;
  }

  private columnRow([x, y]: Place): [number, number] {
    return [Math.floor((x - this.low[0]) / this.side), Math.floor((y - this.low[1]) / this.side)];
  }

  private cellOf(place: Place): number {
    return this.number(...this.columnRow(place));
  }

  private number(column: number, row: number): number {
    return column * 100_003 + row;
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
