import { describe, expect, it } from "vitest";
import { formatBytes, formatCount, formatDuration, plural } from "./format";

describe("format", () => {
  it.each([
    [0, "0 bytes"],
    [999, "999 bytes"],
    [1300, "1.3 kB"],
    [138_000, "138 kB"],
    [16_777_216, "16.8 MB"],
    [2.5e12, "2.5 TB"],
  ])("writes %d bytes as %s", (bytes, text) => expect(formatBytes(bytes)).toBe(text));

  it("separates thousands", () => expect(formatCount(1405992)).toBe("1\u2009405\u2009992"));

  it("knows one from many", () => {
    expect(plural(1, "job")).toBe("1 job");
    expect(plural(0, "job")).toBe("0 jobs");
  });

  it("measures a time that is not over up to now", () => {
    const from = "2026-01-01T00:00:00Z";

    expect(formatDuration(from, null, Date.parse(from) + 3_671_000)).toBe("1:01:11");
    expect(formatDuration(null, null)).toBe("–");
  });
});
