import { describe, expect, it } from "vitest";
import { tidied } from "./dropped";

const file = new File([], "x");
const paths = (...all: string[]) => tidied(all.map((path) => ({ path, file }))).map(({ path }) => path);

describe("tidied", () => {
  it("drops the outer folder where everything lies in one", () => {
    expect(paths("Plate 1/a.HTD", "Plate 1/TimePoint_1/a.tif")).toEqual(["a.HTD", "TimePoint_1/a.tif"]);
  });

  it("keeps folders that stand side by side", () => {
    expect(paths("TimePoint_1/a.tif", "TimePoint_2/a.tif")).toEqual([
      "TimePoint_1/a.tif",
      "TimePoint_2/a.tif",
    ]);
  });

  it("keeps plain files", () => {
    expect(paths("a.tif", "b.tif")).toEqual(["a.tif", "b.tif"]);
  });

  it("leaves the operating system's own files out", () => {
    expect(paths("p/.DS_Store", "p/._a.tif", "p/Thumbs.db", "p/a.tif")).toEqual(["a.tif"]);
  });

  it("keeps the folder of a Zarr hierarchy", () => {
    expect(paths("x.zarr/.zattrs", "x.zarr/0/.zarray")).toEqual(["x.zarr/.zattrs", "x.zarr/0/.zarray"]);
  });

  it("takes nothing for nothing", () => {
    expect(paths()).toEqual([]);
  });
});
