/** Which rectangles to draw for the visible tiles, from whatever is loaded. No WebGL. */

import type { Place } from "./pool";
import { type Camera, corner, cropIn, type Pyramid, parent, type Tile } from "./pyramid";

/** Numbers of one instance: rectangle (4), crop (4), layer and slot (as unsigned integers). */
const STRIDE = 10;

/** Instances of one texture array, ready to be uploaded. */
export class InstanceList {
  private floats = new Float32Array(STRIDE * 64);
  private integers = new Uint32Array(this.floats.buffer);
  count = 0;

  add(rect: readonly number[], crop: readonly number[], layer: number, slot: number): void {
    const at = this.count * STRIDE;
    if (at + STRIDE > this.floats.length) {
      const larger = new Float32Array(this.floats.length * 2);
      larger.set(this.floats);
      this.floats = larger;
      this.integers = new Uint32Array(larger.buffer);
    }
    this.floats.set(rect, at);
    this.floats.set(crop, at + 4);
    this.integers[at + 8] = layer;
    this.integers[at + 9] = slot;
    this.count++;
  }

  get data(): Float32Array {
    return this.floats.subarray(0, this.count * STRIDE);
  }
}

/** One list per texture array. */
export class InstanceLists {
  readonly byArray = new Map<number, InstanceList>();

  of(array: number): InstanceList {
    let list = this.byArray.get(array);
    if (!list) {
      list = new InstanceList();
      this.byArray.set(array, list);
    }
    return list;
  }

  get count(): number {
    let sum = 0;
    for (const list of this.byArray.values()) sum += list.count;
    return sum;
  }
}

export interface Plane {
  /** Name of a tile of the plane that should be shown. */
  key: (tile: Tile) => string;
  /** Name of the same tile of the plane that was shown before, if that is another one. */
  before?: (tile: Tile) => string;
}

export interface Loaded {
  get: (key: string) => Place | undefined;
  isEmpty: (key: string) => boolean;
}

/** Return the rectangle of a tile in device pixels: x, y, width, height, cut off at the pyramid's edge. */
export function tileRect(pyramid: Pyramid, camera: Camera, tile: Tile): [number, number, number, number] {
  const span = pyramid.tile * 2 ** tile.level;
  const from = corner(camera);
  const x = tile.tx * span;
  const y = tile.ty * span;
  const width = Math.min(span, pyramid.width - x);
  const height = Math.min(span, pyramid.height - y);
  return [
    (pyramid.originX + x - from.x) * camera.scale,
    (pyramid.originY + y - from.y) * camera.scale,
    width * camera.scale,
    height * camera.scale,
  ];
}

interface Found {
  place: Place;
  tile: Tile;
}

/** Find what to show for a tile: itself, the plane before, else the nearest coarser tile of either. */
function find(tile: Tile, levels: number, plane: Plane, loaded: Loaded): Found | "empty" | undefined {
  for (let at = tile; at.level < levels; at = parent(at)) {
    for (const key of [plane.key, plane.before]) {
      if (!key) continue;
      const place = loaded.get(key(at));
      if (place) return { place, tile: at };
      if (key === plane.key && loaded.isEmpty(key(at))) return "empty";
    }
  }
  return undefined;
}

/**
 * Add the instances of one plane's visible tiles; returns the tiles that are still to be loaded.
 *
 * `slot` gives each tile the number that the shader looks its settings up with.
 */
export function planPlane(
  pyramid: Pyramid,
  camera: Camera,
  tiles: readonly Tile[],
  plane: Plane,
  loaded: Loaded,
  slot: (tile: Tile) => number,
  into: InstanceLists,
): Tile[] {
  const missing: Tile[] = [];
  for (const tile of tiles) {
    const key = plane.key(tile);
    if (!loaded.get(key) && !loaded.isEmpty(key)) missing.push(tile);
    const found = find(tile, pyramid.levels, plane, loaded);
    if (!found || found === "empty") continue;
    const rect = tileRect(pyramid, camera, tile);
    const span = pyramid.tile * 2 ** tile.level * camera.scale;
    const [x, y, side] = cropIn(tile, found.tile);
    const texels = pyramid.tile;
    const crop = [x * texels, y * texels, (side * texels * rect[2]) / span, (side * texels * rect[3]) / span];
    into.of(found.place.array).add(rect, crop, found.place.layer, slot(tile));
  }
  return missing;
}
