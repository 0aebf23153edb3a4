import { expect, test } from "vitest";
import { stitchingText } from "./StepFindings";

const FOUND = {
  plate: "p",
  n_sites: 54,
  n_pairs: 93,
  n_measured: 85,
  n_used: 84,
  n_unconnected: 1,
  median_residual_px: 0.1126,
  median_confidence: 0.9,
  turn_deg: -0.9535,
  scale: 1.002,
  largest_move_px: 36.88,
};

test("what stitching found is told in a sentence", () => {
  expect(stitchingText(FOUND)).toBe(
    "Sites are placed by what their overlaps show: 84 of 93 overlaps used, 0.11 px remain in the median; " +
      "farthest move 36.9 px; the grid is turned by -0.95°. 1 site has no overlap to go by.",
  );
});

test("without overlaps nothing is said to remain", () => {
  const text = stitchingText({ ...FOUND, n_used: 0, n_unconnected: 54, median_residual_px: null });

  expect(text).toContain("0 of 93 overlaps used; farthest");
  expect(text).toContain("54 sites have no overlap");
});
