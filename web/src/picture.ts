/** A map that takes long to draw is not drawn while it moves: the picture that is there is moved, as far as it goes. */

import type { Place } from "./places";

/** In units of the map: what lies in the middle, and what a pixel is. */
export interface View {
  centre: Place;
  unit: number;
}

const MOST_SCALE = 3; // times that a picture is shown larger, or smaller
const MOST_MISSING = 0.2; // of a view

/** The CSS transform by which a picture of one view stands for another. */
export function transformOf(picture: View, view: View): string {
  const right = (picture.centre[0] - view.centre[0]) / view.unit;
  const down = (view.centre[1] - picture.centre[1]) / view.unit;
  return `translate(${right}px, ${down}px) scale(${picture.unit / view.unit})`;
}

/** Whether a picture can stand for another view of so many pixels: it is not blown up, and hardly a clip is missing.
 *
 * @param bounds - the corners between which clips lie.
 */
export function standsFor(picture: View, view: View, size: Place, bounds: readonly [Place, Place]): boolean {
  const scale = picture.unit / view.unit;
  if (Math.max(scale, 1 / scale) > MOST_SCALE) return false;
  let [wanted, there, whole] = [1, 1, 1];
  for (const axis of [0, 1] as const) {
    const half = ({ unit }: View): number => (size[axis] * unit) / 2;
    const low = Math.max(view.centre[axis] - half(view), bounds[0][axis]);
    const high = Math.min(view.centre[axis] + half(view), bounds[1][axis]);
    const [from, to] = [Math.max(low, picture.centre[axis] - half(picture)), Math.min(high, picture.centre[axis] + half(picture))];
    wanted *= Math.max(0, high - low);
    there *= Math.max(0, to - from);
    whole *= 2 * half(view);
  }
  return wanted - there <= MOST_MISSING * whole;
}
