/**
 * Geometry of tiled pyramids in one world: no WebGL, no DOM.
 *
 * World coordinates are full-resolution pixels, y down. A pyramid is one plate's mosaic, placed at
 * `originX`, `originY`. Level 0 is full resolution and every level halves the one before.
 */

export interface Pyramid {
  originX: number;
  originY: number;
  width: number;
  height: number;
  tile: number;
  levels: number;
}

/** What a canvas shows: its centre in world pixels, device pixels per world pixel, its size in device pixels. */
export interface Camera {
  x: number;
  y: number;
  scale: number;
  width: number;
  height: number;
}

export interface Tile {
  level: number;
  tx: number;
  ty: number;
}

/** A rectangle of the world: left, top, right, bottom. */
export interface Bounds {
  x0: number;
  y0: number;
  x1: number;
  y1: number;
}

// A level is used until its pixels are drawn 2^0.35 times smaller than the screen's: sharper than
// halving exactly at 1:2, and still at most 1.6 texels apart, which bilinear sampling covers.
const SHARPNESS = 0.35;

/** Return the level to draw at a scale, 0 … levels − 1. */
export function levelFor(levels: number, scale: number): number {
  return Math.max(0, Math.min(levels - 1, Math.floor(Math.log2(1 / scale) + SHARPNESS)));
}

/**
 * Return the world position of the canvas' left top corner.
 *
 * It is rounded to whole device pixels, so that at 1:1 every image pixel covers exactly one screen pixel.
 */
export function corner(camera: Camera): { x: number; y: number } {
  return {
    x: Math.round(camera.x * camera.scale - camera.width / 2) / camera.scale,
    y: Math.round(camera.y * camera.scale - camera.height / 2) / camera.scale,
  };
}

/** Return the part of the world that the canvas shows. */
export function boundsOf(camera: Camera): Bounds {
  const { x, y } = corner(camera);
  return { x0: x, y0: y, x1: x + camera.width / camera.scale, y1: y + camera.height / camera.scale };
}

/** Return the tiles of one level that a canvas shows, nearest to its centre first. */
export function visibleTiles(pyramid: Pyramid, camera: Camera, level: number): Tile[] {
  const span = pyramid.tile * 2 ** level;
  const bounds = boundsOf(camera);
  const x0 = Math.max(0, bounds.x0 - pyramid.originX);
  const y0 = Math.max(0, bounds.y0 - pyramid.originY);
  const x1 = Math.min(pyramid.width, bounds.x1 - pyramid.originX);
  const y1 = Math.min(pyramid.height, bounds.y1 - pyramid.originY);
  const tiles: Tile[] = [];
  for (let ty = Math.floor(y0 / span); ty * span < y1; ty++) {
    for (let tx = Math.floor(x0 / span); tx * span < x1; tx++) tiles.push({ level, tx, ty });
  }
  const centreX = camera.x - pyramid.originX;
  const centreY = camera.y - pyramid.originY;
  const distance = (tile: Tile) =>
    Math.hypot((tile.tx + 0.5) * span - centreX, (tile.ty + 0.5) * span - centreY);
  return tiles.sort((a, b) => distance(a) - distance(b));
}

/** Return the tile of the next coarser level that contains a tile. */
export function parent(tile: Tile): Tile {
  return { level: tile.level + 1, tx: tile.tx >> 1, ty: tile.ty >> 1 };
}

/** Return where `tile` lies in its ancestor, as offset x, offset y and side in parts of the ancestor. */
export function cropIn(tile: Tile, ancestor: Tile): [x: number, y: number, side: number] {
  const side = 2 ** (tile.level - ancestor.level);
  return [tile.tx * side - ancestor.tx, tile.ty * side - ancestor.ty, side];
}

/** Return the camera position and scale that show `bounds` whole, with a margin in parts of the canvas. */
export function fitBounds(
  bounds: Bounds,
  width: number,
  height: number,
  margin = 0.03,
): { x: number; y: number; scale: number } {
  const w = Math.max(1, bounds.x1 - bounds.x0);
  const h = Math.max(1, bounds.y1 - bounds.y0);
  const scale = Math.min(width / w, height / h) * (1 - 2 * margin);
  return { x: (bounds.x0 + bounds.x1) / 2, y: (bounds.y0 + bounds.y1) / 2, scale };
}

/** Return the rectangle around all pyramids; a unit square if there is none. */
export function worldBounds(pyramids: readonly Pyramid[]): Bounds {
  if (!pyramids.length) return { x0: 0, y0: 0, x1: 1, y1: 1 };
  return {
    x0: Math.min(...pyramids.map((p) => p.originX)),
    y0: Math.min(...pyramids.map((p) => p.originY)),
    x1: Math.max(...pyramids.map((p) => p.originX + p.width)),
    y1: Math.max(...pyramids.map((p) => p.originY + p.height)),
  };
}

/** Return the pyramid that contains a point of the world. */
export function pyramidAt<P extends Pyramid>(pyramids: readonly P[], x: number, y: number): P | undefined {
  return pyramids.find(
    (p) => x >= p.originX && y >= p.originY && x < p.originX + p.width && y < p.originY + p.height,
  );
}
