/** Server state. Keys start with the experiment, so that live messages can renew them. */

import { useInfiniteQuery, useQuery } from "@tanstack/react-query";
import { ApiError, getAll, getJson, localPath, type Page, withQuery } from "./client";
import type {
  Access,
  Acquisition,
  Description,
  Entry,
  Experiment,
  Job,
  Me,
  Named,
  Plate,
  SourceFile,
  State,
  Token,
  ToolResult,
  Workflow,
  WorkflowSummary,
} from "./types";

const FOR_EVER = Number.POSITIVE_INFINITY;

export const keys = {
  experiments: ["experiments"] as const,
  experiment: (id: string) => ["experiments", id] as const,
  part: (id: string, ...rest: (string | null)[]) => ["experiments", id, ...rest] as const,
};

export const experimentPath = (id: string): string => `experiments/${id}/`;

/** Try again after trouble on the way, never after a refusal. */
export function worthRetrying(failures: number, error: Error): boolean {
  const refused = error instanceof ApiError && error.status >= 400 && error.status < 500;
  return !refused && failures < 3;
}

export function useMe() {
  return useQuery({ queryKey: ["me"], queryFn: () => getJson<Me>("me/"), staleTime: FOR_EVER });
}

export function useTokens() {
  return useQuery({ queryKey: ["tokens"], queryFn: () => getAll<Token>("auth/tokens/") });
}

export type Family = "steps" | "readers" | "tools" | "workflow-types";

/** What is installed on the server; does not change while it runs. */
export function useRegistry(family: Family) {
  return useQuery({
    queryKey: ["registry", family],
    queryFn: async () => {
      const answer = await getJson<Entry[] | Page<Entry>>(`${family}/`);
      return Array.isArray(answer) ? answer : answer.results;
    },
    staleTime: FOR_EVER,
  });
}

function usePages<T>(queryKey: readonly unknown[], path: string, enabled = true) {
  return useInfiniteQuery({
    queryKey,
    enabled,
    initialPageParam: path,
    queryFn: ({ pageParam, signal }) => getJson<Page<T>>(pageParam, signal),
    getNextPageParam: (page) => (page.next ? localPath(page.next) : undefined),
  });
}

export function useExperiments() {
  return usePages<Experiment>(["experiments", "list"], "experiments/");
}

export function useExperiment(id: string) {
  return useQuery({
    queryKey: keys.experiment(id),
    queryFn: () => getJson<Experiment>(experimentPath(id)),
  });
}

export function useAccess(id: string) {
  return useQuery({
    queryKey: keys.part(id, "access"),
    queryFn: () => getAll<Access>(`${experimentPath(id)}access/`),
  });
}

export function useGroups() {
  return useQuery({ queryKey: ["groups"], queryFn: () => getAll<Named>("groups/") });
}

export function usePlates(id: string) {
  return useQuery({
    queryKey: keys.part(id, "plates"),
    queryFn: () => getAll<Plate>(`${experimentPath(id)}plates/`),
  });
}

export function useAcquisitions(id: string) {
  return useQuery({
    queryKey: keys.part(id, "acquisitions"),
    queryFn: () => getAll<Acquisition>(`${experimentPath(id)}acquisitions/`),
  });
}

export function useFiles(id: string, acquisition: string) {
  const path = `${experimentPath(id)}acquisitions/${acquisition}/files/`;
  return usePages<SourceFile>(keys.part(id, "files", acquisition), path);
}

export function useDescription(id: string) {
  return useQuery({
    queryKey: keys.part(id, "description"),
    queryFn: () => getJson<Description>(`${experimentPath(id)}workflow-description/`),
  });
}

export function useWorkflows(id: string) {
  return usePages<WorkflowSummary>(keys.part(id, "workflows"), `${experimentPath(id)}workflows/`);
}

export function useWorkflow(id: string, workflow: string | null) {
  return useQuery({
    queryKey: keys.part(id, "workflow", workflow),
    enabled: workflow !== null,
    queryFn: () => getJson<Workflow>(`${experimentPath(id)}workflows/${workflow}/`),
  });
}

export function useJobs(id: string, workflow: string | null, step: string, state: State | null) {
  const path = withQuery(`${experimentPath(id)}workflows/${workflow}/jobs/`, { step, state });
  return usePages<Job>(keys.part(id, "jobs", step, state), path, workflow !== null);
}

export function useToolResults(id: string) {
  return useQuery({
    queryKey: keys.part(id, "tool-results"),
    queryFn: () => getAll<ToolResult>(`${experimentPath(id)}tool-results/`),
  });
}
