/** Submit, resume, submit again from a stage, kill. */

import { Button, NativeSelect, Stack, Text } from "@mantine/core";
import { IconPlayerPlay, IconPlayerStop, IconRefresh } from "@tabler/icons-react";
import { useMutation, useQueryClient } from "@tanstack/react-query";
import { useState } from "react";
import { sendJson } from "../api/client";
import { experimentPath, keys } from "../api/queries";
import type { Description, Workflow } from "../api/types";
import { words } from "../ui/format";
import { InlineConfirm } from "../ui/InlineConfirm";
import { ProblemNote } from "../ui/ProblemNote";

export interface WorkflowActionsProps {
  experimentId: string;
  description: Description;
  workflow: Workflow | undefined;
  disabled: boolean;
  /** Saves what was edited; throws when the server refuses it. */
  beforeSubmit: () => Promise<void>;
  onError: (error: Error | null) => void;
}

type Action = { path: string; body: Record<string, unknown>; saves: boolean };

export function WorkflowActions(props: WorkflowActionsProps) {
  const { experimentId, description, workflow, disabled } = props;
  const queries = useQueryClient();
  const [stage, setStage] = useState("");
  const act = useMutation({
    mutationFn: async ({ path, body, saves }: Action) => {
      props.onError(null);
      if (saves) await props.beforeSubmit();
      return sendJson<Workflow>("POST", `${experimentPath(experimentId)}workflows/${path}`, body);
    },
    onSuccess: (made) => {
      queries.setQueryData(keys.part(experimentId, "workflow", made.id), made);
      void queries.invalidateQueries({ queryKey: keys.part(experimentId, "workflows") });
      void queries.invalidateQueries({ queryKey: keys.part(experimentId, "jobs") });
    },
    onError: props.onError,
  });
  const alive = workflow?.state === "running" || workflow?.state === "waiting";
  const resubmit = (body: Record<string, unknown>) =>
    act.mutate({ path: `${workflow?.id}/resubmit/`, body, saves: true });
  if (disabled) {
    return (
      <Text size="xs" c="dimmed">
        You may look at this workflow, not run it.
      </Text>
    );
  }
  if (alive) {
    return (
      <Stack gap="xs" align="start">
        <InlineConfirm
          label="Kill workflow"
          text="Kill"
          question="Stop all its jobs?"
          icon={<IconPlayerStop size={14} />}
          loading={act.isPending}
          onConfirm={() => act.mutate({ path: `${workflow.id}/kill/`, body: {}, saves: false })}
        />
        <ProblemNote title="Not killed" error={act.error} />
      </Stack>
    );
  }
  const broken = workflow?.state === "failed" || workflow?.state === "killed";
  return (
    <Stack gap="xs">
      {broken && (
        <Button
          leftSection={<IconPlayerPlay size={15} />}
          loading={act.isPending}
          onClick={() => resubmit({ only_failed: true })}
        >
          Resume
        </Button>
      )}
      <Button
        variant={broken ? "default" : "filled"}
        leftSection={<IconPlayerPlay size={15} />}
        loading={act.isPending}
        onClick={() => act.mutate({ path: "", body: {}, saves: true })}
      >
        {workflow ? "Submit again" : "Submit"}
      </Button>
      {workflow && (
        <Stack gap={6}>
          <NativeSelect
            label="From stage"
            value={stage}
            onChange={(event) => setStage(event.currentTarget.value)}
            data={description.stages.map(({ name, title }) => ({ value: name, label: title || words(name) }))}
          />
          <Button
            variant="default"
            leftSection={<IconRefresh size={15} />}
            loading={act.isPending}
            onClick={() => resubmit({ from_stage: stage || description.stages[0]?.name })}
          >
            Resubmit from there
          </Button>
        </Stack>
      )}
      <ProblemNote title="Not submitted" error={act.error} />
    </Stack>
  );
}
