import { expect, test } from "vitest";
import { meansRange, wellMeans } from "./aggregate";
import { COLOR_MAPS, colorOf, colorRamp, cssGradient, parseColor } from "./colormaps";
import { ColumnStore } from "./columns";

test("a well's mean leaves out missing values; a well without any has none", () => {
  const values = new Float32Array([1, 3, Number.NaN, 10, Number.NaN]);
  const wells = [
    { name: "A01", first: 1, count: 3 },
    { name: "A02", first: 4, count: 1 },
    { name: "A03", first: 5, count: 1 },
    { name: "A04", first: 6, count: 0 },
  ];

  const means = wellMeans(values, wells);

  expect(means.map((w) => w.mean)).toEqual([2, 10, Number.NaN, Number.NaN]);
  expect(meansRange(means)).toEqual([2, 10]);
});

test("a range is never empty, and there is none without values", () => {
  expect(meansRange([{ name: "A01", mean: 4, count: 1 }])).toEqual([3.5, 4.5]);
  expect(meansRange([{ name: "A01", mean: Number.NaN, count: 1 }])).toBeNull();
});

test("colours are read, spread over the range and cut off at its ends", () => {
  expect(parseColor("#0a80ff")).toEqual([10, 128, 255]);
  expect(colorOf(0, 10, 20, "viridis")).toEqual([0x44, 0x01, 0x54]);
  expect(colorOf(99, 10, 20, "viridis")).toEqual([0xfd, 0xe7, 0x25]);
  expect(colorOf(Number.NaN, 10, 20, "viridis")).toBeNull();
  expect(colorOf(15, 15, 15, "grey")).toEqual([255, 255, 255]);
});

test("every map has 256 opaque colours and an unknown name the default's", () => {
  for (const name of COLOR_MAPS) {
    const ramp = colorRamp(name);
    expect(ramp.length).toBe(1024);
    expect(ramp.filter((_, i) => i % 4 === 3).every((alpha) => alpha === 255)).toBe(true);
  }
  expect(colorRamp("no such map")).toEqual(colorRamp("viridis"));
  expect(cssGradient("grey", 0.25, 0.75)).toContain("rgb(16 16 16) 25.00%");
});

const settled = () => new Promise((resolve) => setTimeout(resolve, 0));

test("a column is fetched once and told of when it is there", async () => {
  let fetches = 0;
  let told = 0;
  const store = new ColumnStore(async () => {
    fetches++;
    return new Float32Array([1, 2]).buffer;
  });
  store.subscribe(() => told++);

  expect(store.get("/a")).toBe("loading");
  expect(store.get("/a")).toBe("loading");
  await settled();

  expect(store.get("/a")).toMatchObject({ url: "/a", values: new Float32Array([1, 2]) });
  expect([fetches, told]).toEqual([1, 1]);
});

test("a column that fails says why and can be asked for again", async () => {
  let fetches = 0;
  const store = new ColumnStore(async () => {
    fetches++;
    if (fetches === 1) throw new Error("no such feature");
    return new ArrayBuffer(fetches === 2 ? 3 : 4);
  });
  store.get("/a");
  await settled();
  expect(store.get("/a")).toEqual({ error: "no such feature" });

  store.retry("/a");
  store.get("/a");
  await settled();

  expect(store.get("/a")).toMatchObject({ error: expect.stringContaining("3 bytes") });
  expect(store.ready("/a")).toBeUndefined();
});
