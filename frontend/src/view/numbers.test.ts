import { expect, test } from "vitest";
import { formatNumber, roundDown, scaleBar, shortNumber, stepOf } from "./numbers";

test("numbers are short and exact enough", () => {
  expect([0, 12, 1234567, 0.12345, 2.71428, -1500.5].map((n) => formatNumber(n))).toEqual([
    "0",
    "12",
    "1\u2009234\u2009567",
    "0.1235",
    "2.714",
    "-1\u2009501",
  ]);
  expect(formatNumber(Number.NaN)).toBe("–");
  expect(formatNumber(null)).toBe("–");
  expect(formatNumber(1.5e-7)).toBe("1.50e-7");
});

test("a scale bar has a round length that fits", () => {
  expect(roundDown(730)).toBe(500);
  const bar = scaleBar(0.05, 0.65);
  expect(bar.text).toBe("1 mm");
  expect(bar.length).toBeLessThanOrEqual(120);
  expect(bar.length).toBeCloseTo((1000 / 0.65) * 0.05);
  expect(scaleBar(20, 0.1).text).toBe("500 nm");
  expect(scaleBar(1, null).text).toBe("100 px");
});

test("slider steps are whole for whole pixels and always above zero", () => {
  expect(stepOf(0, 4000, true)).toBe(1);
  expect(stepOf(0, 1, false)).toBeCloseTo(0.002);
  expect(stepOf(5, 5, false)).toBe(1);
});

test("a percentile fits into its field", () => {
  expect([521.5454248046875, 1661.82337402, 3, 1e-7].map(shortNumber)).toEqual([521.545, 1661.82, 3, 1e-7]);
});
