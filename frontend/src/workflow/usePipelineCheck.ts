/** What the server makes of a pipeline's text, and the pipelines that come along. */

import { keepPreviousData, useQuery } from "@tanstack/react-query";
import { getJson, sendJson } from "../api/client";
import { experimentPath, keys } from "../api/queries";
import type { PipelineCheck, PipelineTemplate } from "../api/types";

export function usePipelineCheck(experimentId: string, text: string) {
  return useQuery({
    queryKey: keys.part(experimentId, "pipeline-check", text),
    queryFn: () =>
      sendJson<PipelineCheck>("POST", `${experimentPath(experimentId)}pipeline/check/`, { pipeline: text }),
    enabled: text.trim() !== "",
    placeholderData: keepPreviousData,
    retry: false,
  });
}

/** Templates in which the experiment's channels play the roles that they can. */
export function usePipelineTemplates(experimentId: string) {
  return useQuery({
    queryKey: keys.part(experimentId, "pipeline-templates"),
    queryFn: () => getJson<PipelineTemplate[]>(`${experimentPath(experimentId)}pipeline/templates/`),
  });
}
