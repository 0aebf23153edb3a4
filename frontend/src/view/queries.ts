/** The view's server state. The keys start with the experiment, so that live messages can renew them. */

import { useQuery } from "@tanstack/react-query";
import {
  experimentUrl,
  getAll,
  getJson,
  type Mosaic,
  type ObjectDetails,
  type ObjectSet,
  type Tool,
  type ToolResult,
  type Well,
} from "./requests";

const SOON = 2_000;

const pending = (result: ToolResult) => result.state === "waiting" || result.state === "running";

export function useMosaics(experiment: string) {
  return useQuery({
    queryKey: ["experiments", experiment, "mosaics"],
    queryFn: () => getAll<Mosaic>(`${experimentUrl(experiment)}/mosaics/?current=true`),
  });
}

export function useObjectSets(experiment: string) {
  return useQuery({
    queryKey: ["experiments", experiment, "object-sets"],
    queryFn: () => getAll<ObjectSet>(`${experimentUrl(experiment)}/object-sets/?current=true`),
  });
}

export function useWells(experiment: string) {
  return useQuery({
    queryKey: ["experiments", experiment, "wells"],
    queryFn: () => getAll<Well>(`${experimentUrl(experiment)}/wells/`),
  });
}

/** Tool results, newest first; asked for again while one is on its way, should the socket be away. */
export function useToolResults(experiment: string) {
  return useQuery({
    queryKey: ["experiments", experiment, "tool-results"],
    queryFn: () => getAll<ToolResult>(`${experimentUrl(experiment)}/tool-results/`),
    refetchInterval: ({ state }) => (state.data?.some(pending) ? SOON : false),
  });
}

export function useTools() {
  return useQuery({
    queryKey: ["tools"],
    queryFn: () => getJson<Tool[] | { results: Tool[] }>("/api/v1/tools/"),
    select: (answer) => (Array.isArray(answer) ? answer : answer.results),
    staleTime: Number.POSITIVE_INFINITY,
  });
}

export function useObjectDetails(experiment: string, objectSet: string, index: number) {
  return useQuery({
    queryKey: ["experiments", experiment, "objects", objectSet, index],
    queryFn: () =>
      getJson<ObjectDetails>(`${experimentUrl(experiment)}/object-sets/${objectSet}/objects/${index}/`),
    staleTime: Number.POSITIVE_INFINITY,
  });
}
