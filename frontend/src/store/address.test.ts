import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { decodeView, encodeView, queryWithView, viewFromQuery } from "./address";
import type { ViewState } from "./viewState";
import { createViewStore, followInAddress } from "./viewStore";

const state: ViewState = {
  view: {
    x: 1234.567890123,
    y: 0.1 + 0.2,
    scale: 1 / 3,
    t: 2,
    z: 1,
    plate: "b3f0c9d2-0000-4000-8000-000000000001",
  },
  channels: [
    { index: 0, visible: true, color: "#0000ff", low: 98.5, high: 4000, gamma: 1, opacity: 1 },
    { index: 5, visible: false, color: "#00ff7f", low: -0.5, high: 1e-7, gamma: 0.45, opacity: 0.3 },
  ],
  objects: [
    {
      type: "Zellen & Kerne µ",
      visible: true,
      colour: { feature: "Intensity:mean" },
      low: 0,
      high: 1,
      map: "blue–red",
      fill: 0.35,
      outline: 1.5,
    },
    {
      type: "Nuclei",
      visible: false,
      colour: { toolResult: "r-1" },
      low: 0,
      high: 1,
      map: "viridis",
      fill: 0,
      outline: 0,
    },
    { type: "Cells", visible: true, colour: null, low: 0, high: 1, map: "viridis", fill: 1, outline: 1 },
  ],
  selection: { type: "Nuclei", plate: "p", index: 4_294_967_295 },
  smoothing: false,
};

test("a view comes back from the address with every digit", () => {
  const encoded = encodeView(state);

  expect(decodeView(encoded)).toEqual(state);
  expect(encoded).toMatch(/^[\w-]+$/);
});

test("the rest of the query is kept", () => {
  const query = queryWithView("?tab=tools&v=old", state);

  expect(new URLSearchParams(query).get("tab")).toBe("tools");
  expect(viewFromQuery(query)).toEqual(state);
});

const packed = (value: unknown) => btoa(JSON.stringify(value)).replaceAll("=", "");

test.each([
  ["no base64", "%%%"],
  ["no JSON", btoa("hello")],
  ["another version", packed([2])],
  ["a number that is text", packed([1, ["x", 0, 1, 0, 0, null], [], [], null, 1])],
  ["a negative plane", packed([1, [0, 0, 1, -1, 0, null], [], [], null, 1])],
  ["a colour that is none", packed([1, [0, 0, 1, 0, 0, null], [[0, 1, "javas!", 0, 1, 1, 1]], [], null, 1])],
  ["too short", packed([1, [0, 0, 1, 0, 0, null]])],
])("an address with %s is ignored", (_, encoded) => {
  expect(decodeView(encoded)).toBeNull();
});

test("an address without a view has none", () => {
  expect(viewFromQuery("?tab=1")).toBeNull();
});

beforeEach(() => {
  vi.useFakeTimers();
});
afterEach(() => {
  vi.useRealTimers();
});

test("many changes write the address once, and none after the end", () => {
  const { store, actions } = createViewStore(state);
  const written = vi.spyOn(window.history, "replaceState");
  const stop = followInAddress(store, 300);

  actions.move({ x: 1 });
  actions.move({ x: 2 });
  vi.advanceTimersByTime(301);

  expect(written).toHaveBeenCalledTimes(1);
  expect(viewFromQuery(window.location.search)?.view.x).toBe(2);
  actions.move({ x: 3 });
  stop();
  vi.advanceTimersByTime(301);
  expect(written).toHaveBeenCalledTimes(1);
});
