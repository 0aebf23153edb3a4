/** Stages and steps with their states; choosing one shows its arguments and jobs. */

import { Text, UnstyledButton } from "@mantine/core";
import type { Description, StepRun, Workflow } from "../api/types";
import { useProgress } from "../live/LiveProvider";
import { formatCount, words } from "../ui/format";
import { SectionTitle } from "../ui/parts";
import { StateMark, sumOf } from "./states";
import classes from "./workflow.module.css";

export interface StepTreeProps {
  description: Description;
  workflow: Workflow | undefined;
  chosen: string;
  onChoose: (step: string) => void;
}

export function StepTree({ description, workflow, chosen, onChoose }: StepTreeProps) {
  const runs = new Map(workflow?.stages.flatMap((stage) => stage.steps).map((step) => [step.name, step]));
  return (
    <nav aria-label="Stages and steps">
      {description.stages.map((stage) => (
        <div key={stage.name} className={classes.stage}>
          <SectionTitle>{stage.title || words(stage.name)}</SectionTitle>
          {stage.steps.map((step) => (
            <UnstyledButton
              key={step.name}
              className={classes.step}
              aria-current={step.name === chosen ? "step" : undefined}
              onClick={() => onChoose(step.name)}
            >
              <StepLine name={step.name} active={stage.active && step.active} run={runs.get(step.name)} />
            </UnstyledButton>
          ))}
        </div>
      ))}
    </nav>
  );
}

function StepLine({ name, active, run }: { name: string; active: boolean; run: StepRun | undefined }) {
  return (
    <>
      <StateMark state={run?.state ?? "waiting"} problems={run?.n_problems} />
      <span className={classes.stepName} data-off={!active || undefined}>
        {name}
      </span>
      {run ? <HowFar run={run} /> : !active && <Text size="xs">off</Text>}
    </>
  );
}

function HowFar({ run }: { run: StepRun }) {
  const told = useProgress(run.id);
  const { all, done } = sumOf(run.counts);
  if (run.state === "running") {
    const fraction = Math.max(run.progress, all <= 1 ? (told?.fraction ?? 0) : done / all);
    const phase = run.phase === "run" || !run.phase ? "" : `${run.phase} `;
    return (
      <Text size="xs" c="dark.0" className={classes.far}>
        {phase}
        {Math.floor(100 * fraction)} %
      </Text>
    );
  }
  const failed = run.counts.failed ?? 0;
  if (failed) {
    return (
      <Text size="xs" c="red.4" className={classes.far}>
        {formatCount(failed)} failed
      </Text>
    );
  }
  return all ? (
    <Text size="xs" c="dimmed" className={classes.far}>
      {formatCount(all)}
    </Text>
  ) : null;
}
