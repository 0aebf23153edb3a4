import { expect, test } from "vitest";
import {
  boundsOf,
  type Camera,
  corner,
  cropIn,
  fitBounds,
  levelFor,
  type Pyramid,
  parent,
  pyramidAt,
  visibleTiles,
  worldBounds,
} from "./pyramid";

const plate: Pyramid = { originX: 0, originY: 0, width: 5000, height: 3000, tile: 512, levels: 4 };
const camera = (part: Partial<Camera>): Camera => ({
  x: 2500,
  y: 1500,
  scale: 1,
  width: 1024,
  height: 512,
  ...part,
});

test("full resolution is used at 1:1 and magnified, coarser levels as the map shrinks, never beyond the last", () => {
  expect(levelFor(4, 8)).toBe(0);
  expect(levelFor(4, 1)).toBe(0);
  expect(levelFor(4, 0.5)).toBe(1);
  expect(levelFor(4, 0.25)).toBe(2);
  expect(levelFor(4, 0.0001)).toBe(3);
});

test("the corner lies on whole device pixels, so that pixels match one to one", () => {
  const at = corner(camera({ x: 700.37, y: 300.8, scale: 1 }));

  expect(Number.isInteger(at.x) && Number.isInteger(at.y)).toBe(true);
});

test("visible tiles cover exactly what is on the screen, the middle first", () => {
  const tiles = visibleTiles(plate, camera({ x: 1024, y: 768 }), 0);

  expect(new Set(tiles.map((t) => `${t.tx},${t.ty}`))).toEqual(new Set(["1,1", "2,1"]));
  const all = visibleTiles(plate, camera({ x: 1300, y: 800, width: 1600, height: 1600 }), 0);
  const distances = all.map((t) => Math.hypot((t.tx + 0.5) * 512 - 1300, (t.ty + 0.5) * 512 - 800));
  expect(distances).toEqual([...distances].sort((a, b) => a - b));
});

test("nothing is visible beside the plate, and a plate elsewhere in the world is found at its place", () => {
  const second = { ...plate, originX: 6000, originY: 1000 };

  expect(visibleTiles(plate, camera({ x: -4000 }), 0)).toEqual([]);
  expect(visibleTiles(second, camera({ x: 6256, y: 1256, width: 500, height: 500 }), 0)).toEqual([
    { level: 0, tx: 0, ty: 0 },
  ]);
  expect(pyramidAt([plate, second], 6100, 1100)).toBe(second);
  expect(pyramidAt([plate, second], 5500, 100)).toBeUndefined();
});

test("a tile's place in its ancestors", () => {
  const tile = { level: 0, tx: 5, ty: 2 };
  const grandparent = parent(parent(tile));

  expect(grandparent).toEqual({ level: 2, tx: 1, ty: 0 });
  expect(cropIn(tile, grandparent)).toEqual([0.25, 0.5, 0.25]);
  expect(cropIn(tile, tile)).toEqual([0, 0, 1]);
});

test("a fitted plate is whole on the screen", () => {
  const place = fitBounds(worldBounds([plate]), 800, 600);
  const bounds = boundsOf({ ...place, width: 800, height: 600 });

  expect(bounds.x0).toBeLessThan(0);
  expect(bounds.y0).toBeLessThan(0);
  expect(bounds.x1).toBeGreaterThan(5000);
  expect(bounds.y1).toBeGreaterThan(3000);
});
