import { describe, expect, it } from "vitest";
import type { PipelineCheck } from "../api/types";
import { lineStart, markLines, summaryOf } from "./pipelineText";

const problem = { code: "x", where: "modules.0 (smooth)", message: "no", line: 2 };
const good: PipelineCheck = {
  problems: [],
  modules: ["smooth", "label"],
  object_types: ["Nuclei"],
  memory_bytes: 52_000_000,
};

describe("pipeline text", () => {
  it("marks the lines that problems are told at", () => {
    const lines = markLines("a\nb\nc", [problem, { ...problem, line: null }]);

    expect(lines.map(({ problems }) => problems.length)).toEqual([0, 1, 0]);
  });

  it("finds where lines start", () => {
    expect([1, 2, 3, 9].map((line) => lineStart("ab\nc\nd", line))).toEqual([0, 3, 5, 6]);
  });

  it("says what was found in one line", () => {
    expect(summaryOf(" ", undefined, false, null)).toContain("built-in");
    expect(summaryOf("x", good, true, null)).toBe("Checking…");
    expect(summaryOf("x", good, false, null)).toBe(
      "Nothing is wrong: 2 modules find Nuclei; about 52 MB a site.",
    );
    expect(summaryOf("x", { ...good, problems: [problem] }, false, null)).toContain("1 problem");
    expect(summaryOf("x", undefined, false, new Error("away"))).toContain("away");
  });
});
