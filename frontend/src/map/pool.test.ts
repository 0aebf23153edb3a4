import { expect, test } from "vitest";
import { LayerPool } from "./pool";

const none = new Set<string>();

test("layers are handed out array by array, each once", () => {
  const pool = new LayerPool(2, 3);

  const places = ["a", "b", "c", "d", "e", "f"].map((key) => pool.take(key, none));

  expect(new Set(places.map((p) => `${p?.array}/${p?.layer}`)).size).toBe(6);
  expect(places.slice(0, 3).every((p) => p?.array === 0)).toBe(true);
  expect(pool.size).toBe(pool.capacity);
});

test("the least recently used tile goes first and its end is told", () => {
  const gone: string[] = [];
  const pool = new LayerPool(1, 2, (key) => gone.push(key));
  pool.take("a", none);
  pool.take("b", none);
  pool.get("a");

  pool.take("c", none);

  expect(gone).toEqual(["b"]);
  expect(pool.has("a") && pool.has("c")).toBe(true);
});

test("what is on the screen is never thrown out", () => {
  const pool = new LayerPool(1, 2);
  pool.take("a", none);
  pool.take("b", none);

  expect(pool.take("c", new Set(["a", "b"]))).toBeUndefined();
  expect(pool.take("c", new Set(["a"]))).toBeDefined();
  expect(pool.has("a")).toBe(true);
});

test("a tile that is there keeps its layer", () => {
  const pool = new LayerPool(1, 2);

  expect(pool.take("a", none)).toEqual(pool.take("a", none));
  expect(pool.size).toBe(1);
});

test("clearing forgets everything and tells of every tile", () => {
  const gone: string[] = [];
  const pool = new LayerPool(1, 2, (key) => gone.push(key));
  pool.take("a", none);

  pool.clear();

  expect(gone).toEqual(["a"]);
  expect(pool.take("b", none)).toEqual({ array: 0, layer: 0 });
});
