/** The description of the next workflow while one edits it; kept until it is saved or thrown away. */

import type { Description, StepDescription } from "../api/types";

/** Return a description with one step changed; everything else is the same object. */
export function withStep(
  description: Description,
  name: string,
  change: Partial<Pick<StepDescription, "active" | "arguments">>,
): Description {
  const stages = description.stages.map((stage) => {
    if (!stage.steps.some((step) => step.name === name)) return stage;
    return {
      ...stage,
      steps: stage.steps.map((step) => (step.name === name ? { ...step, ...change } : step)),
    };
  });
  return { ...description, stages };
}

export function stepOf(description: Description, name: string): StepDescription | undefined {
  return description.stages.flatMap((stage) => stage.steps).find((step) => step.name === name);
}

/** JSON with sorted keys: forms put an object's fields into another order. */
function canonical(value: unknown): string {
  return JSON.stringify(value, (_key, inner: unknown) => {
    if (!inner || typeof inner !== "object" || Array.isArray(inner)) return inner;
    return Object.fromEntries(Object.entries(inner).sort(([a], [b]) => (a < b ? -1 : 1)));
  });
}

export function isChanged(draft: Description, saved: Description): boolean {
  return canonical(draft) !== canonical(saved);
}
