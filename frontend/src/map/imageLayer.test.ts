import { expect, test } from "vitest";
import { channelTile, isBrightfield } from "./imageLayer";
import type { ImageSource } from "./scene";

const slide = {
  channels: [
    { index: 0, c: 0, scale: 1, offset: 0, brightfield: true },
    { index: 1, c: 1, scale: 1, offset: 0 },
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

test("a channel of a pipeline is found at its place in its own image", () => {
  const derived = {
    tileUrl: "/tiles/{level}/{t}/{c}/{z}/{y}/{x}",
    channels: [
      { index: 1003, c: 0, scale: 1, offset: 0 },
      { index: 1001, c: 1, scale: 1, offset: 0 },
    ],
  } as ImageSource;
  const tile = { level: 2, ty: 3, tx: 4 };
  expect(channelTile(derived, tile, 1001, { t: 0, z: 5 })).toBe("/tiles/2/0/1/5/3/4");
});
