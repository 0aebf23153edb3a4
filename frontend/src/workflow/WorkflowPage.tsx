/** The Workflow page: steps, the chosen step's arguments, its jobs and a log, live. */

import { Badge, Stack, Text } from "@mantine/core";
import { useState } from "react";
import { Link, useSearchParams } from "react-router";
import { useExperiment, useRegistry, useWorkflow, useWorkflows } from "../api/queries";
import type { State, StepRun, Workflow } from "../api/types";
import { formatDate, formatDuration, plural } from "../ui/format";
import { ProblemNote } from "../ui/ProblemNote";
import { Empty, Loading, SectionTitle } from "../ui/parts";
import { stepOf, withStep } from "./draft";
import { JobLog } from "./JobLog";
import { JobTable } from "./JobTable";
import { StepArguments } from "./StepArguments";
import { StepFindings } from "./StepFindings";
import { StepProblems } from "./StepProblems";
import { StepTree } from "./StepTree";
import { STATE_COLORS, STATE_WORDS } from "./states";
import { useDraft } from "./useDraft";
import { WorkflowActions } from "./WorkflowActions";
import classes from "./workflow.module.css";

export function WorkflowPage({ experimentId }: { experimentId: string }) {
  const { data: experiment } = useExperiment(experimentId);
  const steps = useRegistry("steps");
  const draft = useDraft(experimentId);
  const workflows = useWorkflows(experimentId);
  const newest = workflows.data?.pages[0]?.results[0];
  const { data: workflow } = useWorkflow(experimentId, newest?.id ?? null);
  const [search, setSearch] = useSearchParams();
  const [refusal, setRefusal] = useState<Error | null>(null);
  const error = draft.error ?? workflows.error ?? steps.error;
  if (error) {
    return (
      <div className="page">
        <ProblemNote title="The workflow could not be read" error={error} />
      </div>
    );
  }
  const { description } = draft;
  if (!experiment || !description || !steps.data || !workflows.data) return <Loading what="workflow" />;
  const all = description.stages.flatMap((stage) => stage.steps);
  const wanted = search.get("step") ?? liveStep(workflow) ?? all[0]?.name ?? "";
  const step = stepOf(description, wanted) ?? all[0];
  const entry = steps.data.find(({ name }) => name === step?.name);
  const run = workflow?.stages.flatMap((stage) => stage.steps).find(({ name }) => name === step?.name);
  const set = (change: Record<string, string | null>) =>
    setSearch(
      (old) => {
        for (const [key, value] of Object.entries(change)) {
          if (value === null) old.delete(key);
          else old.set(key, value);
        }
        return old;
      },
      { replace: true },
    );
  const edits = experiment.role !== "view";
  const unread = newest !== undefined && workflow === undefined;
  return (
    <div className={`panes ${classes.layout}`} data-wide={"pipeline" in (entry?.schema.properties ?? {})}>
      <Stack gap="md">
        <WorkflowState workflow={workflow} />
        <StepTree
          description={description}
          workflow={workflow}
          chosen={step?.name ?? ""}
          onChoose={(name) => set({ step: name, log: null, state: null })}
        />
        <WorkflowActions
          experimentId={experimentId}
          description={description}
          workflow={workflow}
          disabled={!edits || unread}
          beforeSubmit={draft.save}
          onError={setRefusal}
        />
      </Stack>
      <div>
        {step && entry ? (
          <StepArguments
            experimentId={experimentId}
            entry={entry}
            step={step}
            disabled={!edits}
            changed={draft.changed}
            saving={draft.saving}
            error={draft.saveError ?? refusal}
            onChange={(change) => {
              setRefusal(null);
              draft.edit(withStep(description, step.name, change));
            }}
            onSave={() => void draft.save().catch(() => undefined)}
            onRevert={draft.revert}
          />
        ) : (
          <Text size="sm">The server has no step called {step?.name}.</Text>
        )}
      </div>
      <StepWork
        experimentId={experimentId}
        workflow={workflow}
        run={run}
        state={search.get("state") as State | null}
        log={search.get("log")}
        set={set}
      />
    </div>
  );
}

/** The step worth looking at when none was chosen: the one that runs, or the one that failed. */
function liveStep(workflow: Workflow | undefined): string | undefined {
  const steps = workflow?.stages.flatMap((stage) => stage.steps) ?? [];
  return steps.find(({ state }) => state === "failed" || state === "running")?.name;
}

function WorkflowState({ workflow }: { workflow: Workflow | undefined }) {
  if (!workflow) {
    return (
      <div>
        <SectionTitle>Workflow</SectionTitle>
        <Text size="sm" c="dimmed">
          Not submitted yet.
        </Text>
      </div>
    );
  }
  const problems = workflow.stages
    .flatMap((stage) => stage.steps)
    .reduce((sum, step) => sum + step.n_problems, 0);
  return (
    <div>
      <SectionTitle
        right={
          <Badge
            color={STATE_COLORS[workflow.state]}
            variant="filled"
            radius="sm"
            c="white"
            role="status"
            data-testid="workflow-state"
          >
            {STATE_WORDS[workflow.state]}
          </Badge>
        }
      >
        Workflow {workflow.number}
      </SectionTitle>
      <Text size="xs" c="dimmed">
        {workflow.submitted_by ? `${workflow.submitted_by}, ` : ""}
        {formatDate(workflow.submitted_at)}
        {workflow.ended_at && ` · took ${formatDuration(workflow.started_at, workflow.ended_at)}`}
      </Text>
      {workflow.state === "succeeded" && problems > 0 && (
        <Text size="xs" c="yellow.4" mt={4}>
          With {plural(problems, "problem")}: choose a step marked with a triangle to read them.
        </Text>
      )}
    </div>
  );
}

interface StepWorkProps {
  experimentId: string;
  workflow: Workflow | undefined;
  run: StepRun | undefined;
  state: State | null;
  log: string | null;
  set: (change: Record<string, string | null>) => void;
}

function StepWork({ experimentId, workflow, run, state, log, set }: StepWorkProps) {
  if (!workflow || !run) {
    return (
      <div>
        <Empty title="Nothing has run yet">
          Submit the workflow at the left. It needs files: see the <Link to="../data">Data page</Link>. The
          arguments in the middle have defaults that suit most screens.
        </Empty>
      </div>
    );
  }
  return (
    <div className={classes.right}>
      <StepProblems run={run} />
      <StepFindings experimentId={experimentId} run={run} />
      {log && <JobLog key={log} experimentId={experimentId} job={log} onClose={() => set({ log: null })} />}
      <JobTable
        experimentId={experimentId}
        workflowId={workflow.id}
        run={run}
        state={state}
        onState={(value) => set({ state: value })}
        openLog={log}
        onLog={(job) => set({ log: job })}
      />
    </div>
  );
}
