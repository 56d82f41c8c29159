/** A skeleton as balls and sticks, with trails and a floor: one set of them, posed for each player in turn. */

import {
  AmbientLight, BufferAttribute, BufferGeometry, Color, CylinderGeometry, DirectionalLight, GridHelper, InstancedMesh,
  LineBasicMaterial, LineSegments, Matrix4, MeshLambertMaterial, Quaternion, Scene, SphereGeometry, Vector3,
} from "three";
import type { About } from "./api";
import { isDark } from "./colours";

const TRAIL = 24; // frames
const THICK = 0.022; // metres
const UP = new Vector3(0, 1, 0); // along a cylinder
const TONES = { dark: ["#d8dde3", "#56b4e9", "#f0a63a"], light: ["#4c535b", "#0072b2", "#c96a00"] };

export class Figure {
  readonly scene = new Scene();
  private readonly joints: InstancedMesh;
  private readonly sticks: InstancedMesh;
  private readonly trails: LineSegments<BufferGeometry, LineBasicMaterial>;
  private floor: GridHelper | null = null;
  private readonly ends: number[];
  private readonly matrix = new Matrix4();
  private readonly turn = new Quaternion();
  private readonly from = new Vector3();
  private readonly to = new Vector3();
  private readonly size = new Vector3();

  constructor(private readonly about: About) {
    const { bodies, joints, bones } = about;
    this.joints = new InstancedMesh(new SphereGeometry(1, 10, 8), new MeshLambertMaterial(), bodies * joints.length);
    this.sticks = new InstancedMesh(new CylinderGeometry(1, 1, 1, 8, 1), new MeshLambertMaterial(), bodies * bones.length);
    for (const mesh of [this.joints, this.sticks]) mesh.frustumCulled = false;
    const parents = new Set(bones.map(([, parent]) => parent));
    this.ends = joints.map((_, joint) => joint).filter((joint) => !parents.has(joint));
    const lines = new BufferGeometry();
    lines.setAttribute("position", new BufferAttribute(new Float32Array(6 * bodies * this.ends.length * TRAIL), 3));
    this.trails = new LineSegments(lines, new LineBasicMaterial({ transparent: true, opacity: 0.55 }));
    this.trails.frustumCulled = false;
    const sun = new DirectionalLight("#ffffff", 2.2);
    sun.position.set(1, 3, 4);
    this.scene.add(this.joints, this.sticks, this.trails, new AmbientLight("#ffffff", 1.4), sun);
    this.recolour();
  }

  /** As the theme asks: the left side blue, the right side orange; a second body paler. */
  recolour(): void {
    const { bodies, joints, bones, left, right } = this.about;
    const [middle, onLeft, onRight] = TONES[isDark() ? "dark" : "light"].map((tone) => new Color(tone)) as [Color, Color, Color];
    const pale = new Color(isDark() ? "#5d6670" : "#b9c0c8");
    const tone = (body: number, joint: number): Color => {
      const usual = left.includes(joint) ? onLeft : right.includes(joint) ? onRight : middle;
      return body === 0 ? usual : usual.clone().lerp(pale, 0.6);
    };
    for (let body = 0; body < bodies; body += 1) {
      joints.forEach((_, joint) => this.joints.setColorAt(body * joints.length + joint, tone(body, joint)));
      bones.forEach(([child], bone) => this.sticks.setColorAt(body * bones.length + bone, tone(body, child)));
    }
    for (const mesh of [this.joints, this.sticks]) if (mesh.instanceColor) mesh.instanceColor.needsUpdate = true;
    this.trails.material.color.set(isDark() ? "#9fb0c0" : "#7a8793");
    if (this.floor) this.scene.remove(this.floor);
    this.floor = new GridHelper(6, 12, isDark() ? "#5b646d" : "#a9b1b9", isDark() ? "#333a41" : "#d5dade");
    this.floor.rotation.x = Math.PI / 2; // z is up
    this.scene.add(this.floor);
  }

  /** Takes the pose of a frame of a clip (frames, bodies, joints, 3). */
  pose(clip: Float32Array, frame: number, trails: boolean, floor: boolean): void {
    const { bodies, joints, bones } = this.about;
    const count = joints.length;
    for (let body = 0; body < bodies; body += 1) {
      for (let joint = 0; joint < count; joint += 1) {
        const there = this.read(clip, frame, body, joint, this.from);
        const radius = there ? THICK * (this.ends.includes(joint) ? 1.5 : 1.25) : 0;
        this.matrix.makeScale(radius, radius, radius).setPosition(this.from);
        this.joints.setMatrixAt(body * count + joint, this.matrix);
      }
      bones.forEach(([child, parent], bone) => {
        const there = this.read(clip, frame, body, child, this.from) && this.read(clip, frame, body, parent, this.to);
        this.stick(body * bones.length + bone, there);
      });
    }
    this.joints.instanceMatrix.needsUpdate = true;
    this.sticks.instanceMatrix.needsUpdate = true;
    this.trails.visible = trails;
    if (trails) this.trail(clip, frame);
    if (this.floor) this.floor.visible = floor;
  }

  private stick(place: number, there: boolean): void {
    this.size.subVectors(this.to, this.from);
    const length = there ? this.size.length() : 0;
    if (length > 1e-6) this.turn.setFromUnitVectors(UP, this.size.divideScalar(length));
    const thick = length > 1e-6 ? THICK : 0;
    this.from.add(this.to).multiplyScalar(0.5);
    this.size.set(thick, length, thick);
    this.matrix.compose(this.from, this.turn, this.size);
    this.sticks.setMatrixAt(place, this.matrix);
  }

  private trail(clip: Float32Array, frame: number): void {
    const attribute = this.trails.geometry.getAttribute("position") as BufferAttribute;
    const values = attribute.array as Float32Array;
    let place = 0;
    for (let body = 0; body < this.about.bodies; body += 1) {
      for (const joint of this.ends) {
        for (let back = 0; back < TRAIL && frame - back > 0; back += 1) {
          const there = this.read(clip, frame - back, body, joint, this.from) && this.read(clip, frame - back - 1, body, joint, this.to);
          if (!there) continue;
          values.set([this.from.x, this.from.y, this.from.z, this.to.x, this.to.y, this.to.z], place);
          place += 6;
        }
      }
    }
    this.trails.geometry.setDrawRange(0, place / 3);
    attribute.needsUpdate = true;
  }

  /** Where a joint is; false, and the origin, where it is absent. */
  private read(clip: Float32Array, frame: number, body: number, joint: number, into: Vector3): boolean {
    const place = 3 * ((frame * this.about.bodies + body) * this.about.joints.length + joint);
    const x = clip[place] ?? Number.NaN;
    if (Number.isNaN(x)) {
      into.set(0, 0, 0);
      return false;
    }
    into.set(x, clip[place + 1] ?? 0, clip[place + 2] ?? 0);
    return true;
  }
}
