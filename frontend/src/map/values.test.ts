import { expect, test } from "vitest";
import { packValues } from "./values";

test("values are padded to whole rows and what is missing is marked", () => {
  const { data, height } = packValues(new Float32Array([1, Number.NaN, Number.POSITIVE_INFINITY, -2]));

  expect(height).toBe(1);
  expect(data.length).toBe(2048);
  expect([...data.slice(0, 5)]).toEqual([1, Math.fround(3e38), Math.fround(3e38), -2, Math.fround(3e38)]);
});

test("no objects still make a texture", () => {
  expect(packValues(new Float32Array(0)).data.length).toBe(2048);
});
