/** The view's server state. The keys start with the experiment, so that live messages can renew them. */

import { useQuery } from "@tanstack/react-query";
import { getAll, getJson } from "../api/client";
import { keys } from "../api/queries";
import { shownMosaics } from "./buildScene";
import {
  experimentUrl,
  type Mosaic,
  type ObjectDetails,
  type ObjectSet,
  type ToolResult,
  type Well,
} from "./requests";

const SOON = 2_000;

const pending = (result: ToolResult) => result.state === "waiting" || result.state === "running";

export function useMosaics(experiment: string) {
  return useQuery({
    queryKey: keys.part(experiment, "mosaics"),
    queryFn: () => getAll<Mosaic>(`${experimentUrl(experiment)}/mosaics/?current=true`),
    select: shownMosaics,
  });
}

export function useObjectSets(experiment: string) {
  return useQuery({
    queryKey: keys.part(experiment, "object-sets"),
    queryFn: () => getAll<ObjectSet>(`${experimentUrl(experiment)}/object-sets/?current=true`),
  });
}

export function useWells(experiment: string) {
  return useQuery({
    queryKey: keys.part(experiment, "wells"),
    queryFn: () => getAll<Well>(`${experimentUrl(experiment)}/wells/`),
  });
}

/** Tool results, newest first; asked for again while one is on its way, should the socket be away. */
export function useToolResults(experiment: string) {
  return useQuery({
    queryKey: keys.part(experiment, "tool-results"),
    queryFn: () => getAll<ToolResult>(`${experimentUrl(experiment)}/tool-results/`),
    refetchInterval: ({ state }) => (state.data?.some(pending) ? SOON : false),
  });
}

export function useObjectDetails(experiment: string, objectSet: string, index: number) {
  return useQuery({
    queryKey: keys.part(experiment, "objects", objectSet, String(index)),
    queryFn: () =>
      getJson<ObjectDetails>(`${experimentUrl(experiment)}/object-sets/${objectSet}/objects/${index}/`),
    staleTime: Number.POSITIVE_INFINITY,
  });
}
