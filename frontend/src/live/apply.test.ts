import { QueryClient } from "@tanstack/react-query";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { keys } from "../api/queries";
import type { StepRun, Workflow } from "../api/types";
import { applyEvents, Renewal } from "./apply";

const step = (id: string, name: string): StepRun => ({
  id,
  name,
  active: true,
  state: "waiting",
  phase: null,
  round: 0,
  counts: {},
  progress: 0,
  error: null,
  problems: [],
  n_problems: 0,
  bytes_to_write: 0,
  started_at: null,
  ended_at: null,
});

const workflow: Workflow = {
  id: "w1",
  number: 1,
  state: "running",
  submitted_by: "ada",
  submitted_at: "2026-01-01T00:00:00Z",
  started_at: null,
  ended_at: null,
  stages: [
    {
      name: "image_conversion",
      state: "waiting",
      steps: [step("s1", "metaextract"), step("s2", "metaconfig")],
    },
  ],
};

describe("applyEvents", () => {
  let queries: QueryClient;
  let renewal: Renewal;
  const cached = () => queries.getQueryData<Workflow>(keys.part("e1", "workflow", "w1"));

  beforeEach(() => {
    vi.useFakeTimers();
    queries = new QueryClient();
    renewal = new Renewal(queries, 100);
    queries.setQueryData(keys.part("e1", "workflow", "w1"), workflow);
  });

  afterEach(() => vi.useRealTimers());

  it("patches the step that changed and leaves the others alone", () => {
    const counts = { succeeded: 3, running: 1, waiting: 4 };
    const payload = {
      workflow: "w1",
      step: "s2",
      name: "metaconfig",
      stage: "image_conversion",
      stage_state: "running",
      state: "running",
      phase: "run",
      round: 1,
      counts,
    };

    applyEvents(queries, renewal, "e1", [{ sequence: 1, kind: "step.state", payload }]);

    const stage = cached()?.stages[0];
    expect(stage?.state).toBe("running");
    expect(stage?.steps[1]).toMatchObject({
      state: "running",
      phase: "run",
      round: 1,
      counts,
      progress: 3 / 8,
    });
    expect(stage?.steps[0]).toBe(workflow.stages[0]?.steps[0]);
  });

  it("patches the workflow's state", () => {
    const payload = { workflow: "w1", state: "failed" };

    applyEvents(queries, renewal, "e1", [{ sequence: 1, kind: "workflow.state", payload }]);

    expect(cached()?.state).toBe("failed");
  });

  it("renews what many events name only once", async () => {
    const renewed = vi.spyOn(queries, "invalidateQueries");
    const some = [1, 2, 3].map((sequence) => ({ sequence, kind: "job.state", payload: {} }));

    applyEvents(queries, renewal, "e1", some);
    expect(renewed).not.toHaveBeenCalled();
    await vi.advanceTimersByTimeAsync(100);

    expect(renewed).toHaveBeenCalledTimes(1);
    expect(renewed).toHaveBeenCalledWith({ queryKey: ["experiments", "e1", "jobs"] });
  });

  it("passes over kinds that it does not know", () => {
    applyEvents(queries, renewal, "e1", [{ sequence: 1, kind: "weather.changed", payload: {} }]);

    expect(cached()).toBe(workflow);
  });
});
