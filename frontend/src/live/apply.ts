/** What live events change in the pages' server state. */

import type { QueryClient, QueryKey } from "@tanstack/react-query";
import { keys } from "../api/queries";
import type { State, Workflow } from "../api/types";
import type { LiveEvent, StepState } from "./messages";

const ENDED: ReadonlySet<State> = new Set(["succeeded", "failed", "killed"]);
const SOON = 700;

/** Renews queries together, a moment after the first of several requests. */
export class Renewal {
  private waiting = new Map<string, QueryKey>();
  private timer: ReturnType<typeof setTimeout> | undefined;

  constructor(
    private readonly queries: QueryClient,
    private readonly wait = SOON,
  ) {}

  add(...queryKeys: QueryKey[]): void {
    for (const key of queryKeys) this.waiting.set(JSON.stringify(key), key);
    this.timer ??= setTimeout(() => this.flush(), this.wait);
  }

  flush(): void {
    clearTimeout(this.timer);
    this.timer = undefined;
    const all = [...this.waiting.values()];
    this.waiting.clear();
    for (const queryKey of all) void this.queries.invalidateQueries({ queryKey });
  }
}

/** Return the workflow with one step's new state; the same object if the step is not in it. */
export function withStep(workflow: Workflow, change: StepState): Workflow {
  let found = false;
  const stages = workflow.stages.map((stage) => {
    if (!stage.steps.some((step) => step.id === change.step)) return stage;
    found = true;
    const steps = stage.steps.map((step) => {
      if (step.id !== change.step) return step;
      const { state, phase, round, counts } = change;
      return { ...step, state, phase, round, counts, progress: progressOf(change, step.progress) };
    });
    return { ...stage, state: change.stage_state ?? stage.state, steps };
  });
  return found ? { ...workflow, stages } : workflow;
}

function progressOf({ state, counts }: StepState, before: number): number {
  if (state === "succeeded" || state === "reused") return 1;
  const all = Object.values(counts).reduce((sum, count) => sum + count, 0);
  const done = (counts.succeeded ?? 0) + (counts.reused ?? 0);
  return all ? Math.max(Math.min(before, 1), done / all) : before;
}

type Payload = LiveEvent["payload"];
type Part = (...rest: string[]) => QueryKey;
type Apply = (queries: QueryClient, renewal: Renewal, part: Part, payload: Payload) => void;

/** What each kind of event changes: it patches what the event says whole, renews what it only names. */
const APPLY: Record<string, Apply> = {
  "step.state": (queries, renewal, part, payload) => {
    const change = payload as unknown as StepState;
    queries.setQueryData<Workflow>(part("workflow", change.workflow), (old) => old && withStep(old, change));
    renewal.add(part("jobs", change.name));
    // The event carries no error and no problems; those come with the workflow.
    if (ENDED.has(change.state)) renewal.add(part("workflow", change.workflow));
  },
  "workflow.state": (queries, renewal, part, payload) => {
    const { workflow, state } = payload as { workflow: string; state: State };
    queries.setQueryData<Workflow>(part("workflow", workflow), (old) => old && { ...old, state });
    renewal.add(part("workflows"));
    // The experiment's own key begins all of its parts' keys: an ended workflow may have changed any.
    if (ENDED.has(state)) renewal.add(part());
  },
  "job.state": (_queries, renewal, part) => renewal.add(part("jobs")),
  "files.changed": (_queries, renewal, part, payload) =>
    renewal.add(part("acquisitions"), part("files", String(payload.acquisition))),
  "mosaic.ready": (_queries, renewal, part) =>
    renewal.add(part("mosaics"), part("wells"), part("channels"), part("plates")),
  "objects.ready": (_queries, renewal, part) => renewal.add(part("object-sets")),
  "tool.state": (_queries, renewal, part) => renewal.add(part("tool-results")),
};

/** Apply events in their order; kinds of a newer server are passed over. */
export function applyEvents(
  queries: QueryClient,
  renewal: Renewal,
  experiment: string,
  events: LiveEvent[],
): void {
  const part: Part = (...rest) => keys.part(experiment, ...rest);
  for (const { kind, payload } of events) APPLY[kind]?.(queries, renewal, part, payload);
}
