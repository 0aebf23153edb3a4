import { expect, test } from "vitest";
import { isBrightfield } from "./imageLayer";
import type { ImageSource } from "./scene";

const slide = {
  channels: [
    { index: 0, scale: 1, offset: 0, brightfield: true },
    { index: 1, scale: 1, offset: 0 },
  ],
} as ImageSource;
const view = (index: number) => ({
  index,
  visible: true,
  color: "#ffffff",
  low: 0,
  high: 1,
  gamma: 1,
  opacity: 1,
});

test("the ground is white only while a brightfield channel is shown", () => {
  expect(isBrightfield([slide], [view(0)])).toBe(true);
  expect(isBrightfield([slide], [view(1)])).toBe(false);
  expect(isBrightfield([slide], [])).toBe(false);
});
