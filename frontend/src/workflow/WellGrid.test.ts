import { expect, test } from "vitest";
import { wellPlace } from "./WellGrid";

test("places of wells follow rows and columns, past Z too", () => {
  expect(wellPlace("A01")).toEqual([0, 0]);
  expect(wellPlace("P24")).toEqual([15, 23]);
  expect(wellPlace("AF48")).toEqual([31, 47]);
  expect(wellPlace("slide")).toBeNull();
});
