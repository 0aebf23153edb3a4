import { expect, test } from "vitest";
import { InstanceList, InstanceLists, type Loaded, planPlane, tileRect } from "./plan";
import type { Camera, Pyramid, Tile } from "./pyramid";

const plate: Pyramid = { originX: 100, originY: 0, width: 1500, height: 700, tile: 512, levels: 3 };
const camera: Camera = { x: 850, y: 350, scale: 1, width: 1500, height: 700 };
const tile: Tile = { level: 0, tx: 1, ty: 1 };
const named = (plane: string) => (t: Tile) => `${plane} ${t.level}/${t.ty}/${t.tx}`;

const loaded = (keys: string[], empty: string[] = []): Loaded => ({
  get: (key) => (keys.includes(key) ? { array: 0, layer: keys.indexOf(key) } : undefined),
  isEmpty: (key) => empty.includes(key),
});

function plan(have: Loaded, before?: string) {
  const into = new InstanceLists();
  const plane = { key: named("now"), before: before ? named(before) : undefined };
  const missing = planPlane(plate, camera, [tile], plane, have, () => 5, into);
  const data = into.byArray.get(0)?.data;
  return {
    missing,
    drawn: data ? [...data.slice(0, 8)] : null,
    item: data ? [...new Uint32Array(data.buffer, 32, 2)] : null,
  };
}

test("a tile at the edge is cut off where the plate ends", () => {
  expect(tileRect(plate, camera, { level: 0, tx: 2, ty: 1 })).toEqual([1024, 512, 476, 188]);
});

test("a loaded tile is drawn whole, with its slot", () => {
  const { missing, drawn, item } = plan(loaded(["now 0/1/1"]));

  expect(missing).toEqual([]);
  expect(drawn).toEqual([512, 512, 512, 188, 0, 0, 512, 188]);
  expect(item).toEqual([0, 5]);
});

test("a missing tile is replaced by its part of the nearest coarser one", () => {
  const { missing, drawn } = plan(loaded(["now 2/0/0", "now 1/0/0"]));

  expect(missing).toEqual([tile]);
  expect(drawn?.slice(4)).toEqual([256, 256, 256, 94]);
});

test("after a change of plane the one before stays until the next is there, before anything coarser", () => {
  const { missing, drawn, item } = plan(loaded(["now 1/0/0", "then 0/1/1"]), "then");

  expect(missing).toEqual([tile]);
  expect(drawn?.slice(4)).toEqual([0, 0, 512, 188]);
  expect(item?.[0]).toBe(1);
});

test("an absent tile is neither drawn nor missing, whatever the plane before had", () => {
  const { missing, drawn } = plan(loaded(["then 0/1/1", "now 1/0/0"], ["now 0/1/1"]), "then");

  expect(missing).toEqual([]);
  expect(drawn).toBeNull();
});

test("nothing loaded draws nothing", () => {
  expect(plan(loaded([])).drawn).toBeNull();
});

test("a list of instances grows and keeps what it has", () => {
  const list = new InstanceList();

  for (let i = 0; i < 200; i++) list.add([i, 0, 0, 0], [0, 0, 0, 0], i, 1);

  expect(list.data.length).toBe(2000);
  expect(list.data[1990]).toBe(199);
  expect(new Uint32Array(list.data.buffer)[1998]).toBe(199);
});
