/** The description being edited: the saved one until something is changed. */

import { useMutation, useQueryClient } from "@tanstack/react-query";
import { createStore, useStore } from "zustand";
import { sendJson } from "../api/client";
import { experimentPath, keys, useDescription } from "../api/queries";
import type { Description } from "../api/types";
import { isChanged } from "./draft";

// Kept outside of the page, so that a look at the map loses nothing that was typed.
const drafts = createStore<Record<string, Description>>(() => ({}));

export function useDraft(experimentId: string) {
  const queries = useQueryClient();
  const saved = useDescription(experimentId);
  const edited = useStore(drafts, (all) => all[experimentId]);
  const description = edited ?? saved.data;
  const changed = Boolean(edited && saved.data && isChanged(edited, saved.data));
  const forget = () => drafts.setState(({ [experimentId]: _draft, ...rest }) => rest, true);
  const save = useMutation({
    mutationFn: (body: Description) =>
      sendJson<Description>("PUT", `${experimentPath(experimentId)}workflow-description/`, body),
    onSuccess: (kept) => {
      queries.setQueryData(keys.part(experimentId, "description"), kept);
      forget();
    },
  });
  return {
    description,
    changed,
    error: saved.error,
    saveError: save.error,
    saving: save.isPending,
    edit: (next: Description) => {
      save.reset();
      drafts.setState({ [experimentId]: next });
    },
    revert: () => {
      save.reset();
      forget();
    },
    save: async () => {
      if (changed && edited) await save.mutateAsync(edited);
    },
  };
}
