/** Lines of a pipeline's text and what is wrong at them. */

import type { PipelineCheck, PipelineProblem } from "../api/types";

export interface Marked {
  number: number;
  problems: PipelineProblem[];
}

/** Return every line of a text with the problems that are told at it. */
export function markLines(text: string, problems: PipelineProblem[]): Marked[] {
  const count = text.split("\n").length;
  return Array.from({ length: count }, (_, index) => ({
    number: index + 1,
    problems: problems.filter(({ line }) => line === index + 1),
  }));
}

/** Return where a line starts in a text, in characters; its end for a line beyond the last. */
export function lineStart(text: string, line: number): number {
  let at = 0;
  for (let number = 1; number < line; number++) {
    const end = text.indexOf("\n", at);
    if (end < 0) return text.length;
    at = end + 1;
  }
  return at;
}

function megabytes(bytes: number): string {
  return `${Math.max(1, Math.round(bytes / 1e6))} MB`;
}

/** Say in one line what the check found. */
export function summaryOf(
  text: string,
  found: PipelineCheck | undefined,
  pending: boolean,
  error: Error | null,
): string {
  if (!text.trim()) return "No pipeline of your own: the arguments below set the built-in one.";
  if (pending) return "Checking…";
  if (error) return `The pipeline could not be checked: ${error.message}`;
  if (!found) return "";
  if (found.problems.length === 1) return "1 problem: the pipeline can't run.";
  if (found.problems.length > 1) return `${found.problems.length} problems: the pipeline can't run.`;
  const objects = found.object_types.join(", ") || "no objects";
  const memory = found.memory_bytes ? `; about ${megabytes(found.memory_bytes)} a site` : "";
  return `Nothing is wrong: ${found.modules.length} modules find ${objects}${memory}.`;
}
