import { describe, expect, it } from "vitest";
import type { Description } from "../api/types";
import { isChanged, stepOf, withStep } from "./draft";

const description: Description = {
  type: "canonical",
  stages: [
    {
      name: "image_conversion",
      title: "",
      active: true,
      steps: [{ name: "metaextract", title: "", active: true, arguments: { a: 1, b: 2 } }],
    },
    {
      name: "image_analysis",
      title: "",
      active: true,
      steps: [{ name: "jterator", title: "", active: true, arguments: {} }],
    },
  ],
};

describe("drafts", () => {
  it("change one step and share the rest", () => {
    const draft = withStep(description, "jterator", { active: false });

    expect(stepOf(draft, "jterator")?.active).toBe(false);
    expect(draft.stages[0]).toBe(description.stages[0]);
    expect(isChanged(draft, description)).toBe(true);
  });

  it("are unchanged when a form only put the fields in another order", () => {
    const draft = withStep(description, "metaextract", { arguments: { b: 2, a: 1 } });

    expect(isChanged(draft, description)).toBe(false);
  });
});
