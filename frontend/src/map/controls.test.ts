import { expect, test } from "vitest";
import { INITIAL_VIEW } from "../store/viewState";
import { createViewStore, LARGEST_SCALE } from "../store/viewStore";
import { pressKey, zoomAt } from "./controls";

function setUp() {
  const view = createViewStore({
    ...INITIAL_VIEW,
    view: { ...INITIAL_VIEW.view, x: 1000, y: 500, scale: 2 },
  });
  const canvas = document.createElement("canvas");
  Object.defineProperty(canvas, "clientWidth", { value: 800 });
  Object.defineProperty(canvas, "clientHeight", { value: 400 });
  return { view, canvas, position: () => view.store.getState().view };
}

test("zooming keeps the point under the pointer in place", () => {
  const { view, canvas, position } = setUp();
  const worldAt = (x: number, y: number) => {
    const { x: cx, y: cy, scale } = position();
    return [cx + (x - 400) / scale, cy + (y - 200) / scale];
  };
  const before = worldAt(650, 120);

  zoomAt(view, canvas, 1.7, { x: 650, y: 120 });

  expect(position().scale).toBeCloseTo(3.4);
  worldAt(650, 120).forEach((value, i) => {
    expect(value).toBeCloseTo(before[i] as number);
  });
});

test("the largest scale does not move the map", () => {
  const { view, canvas, position } = setUp();
  view.actions.move({ scale: LARGEST_SCALE });

  zoomAt(view, canvas, 2, { x: 0, y: 0 });

  expect(position()).toMatchObject({ x: 1000, y: 500, scale: LARGEST_SCALE });
});

test("keys move, zoom and fit, and others are left alone", () => {
  const { view, canvas, position } = setUp();
  let fitted = 0;
  const press = (key: string) => pressKey(key, view, canvas, () => fitted++);

  expect(press("ArrowRight")).toBe(true);
  expect(position().x).toBe(1025);
  press("+");
  expect(position().scale).toBe(3);
  press("1");
  expect(position().scale).toBe(1);
  press("0");
  expect(fitted).toBe(1);
  expect(press("a")).toBe(false);
});
