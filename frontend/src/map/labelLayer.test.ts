import { describe, expect, it } from "vitest";
import { growth } from "./labelLayer";

describe("growth", () => {
  it("makes an object of two pixels four wide", () => {
    expect(growth(2, 1)).toBe(1);
  });

  it("leaves objects alone that can be seen as they are", () => {
    expect(growth(4, 1)).toBe(0);
    expect(growth(60, 1)).toBe(0);
  });

  it("never reaches far beyond a border, on any screen", () => {
    expect(growth(0.5, 1)).toBe(1.25);
    expect(growth(1, 2)).toBe(2.5);
  });
});
