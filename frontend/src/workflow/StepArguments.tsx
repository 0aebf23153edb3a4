/** The middle of the Workflow page: what the chosen step is, whether it runs, and its arguments. */

import { Button, Group, Stack, Switch, Text } from "@mantine/core";
import { ApiError } from "../api/client";
import type { Entry, StepDescription } from "../api/types";
import { ProblemNote } from "../ui/ProblemNote";
import { SectionTitle } from "../ui/parts";
import { ArgumentsForm } from "./ArgumentsForm";
import { PipelineText } from "./PipelineText";

const PIPELINE = "pipeline";

export interface StepArgumentsProps {
  experimentId: string;
  entry: Entry;
  step: StepDescription;
  disabled: boolean;
  changed: boolean;
  saving: boolean;
  error: Error | null;
  onChange: (change: Partial<StepDescription>) => void;
  onSave: () => void;
  onRevert: () => void;
}

/** Return the server's complaints about one step's arguments. */
function faultsOf(error: Error | null, step: string): unknown {
  return error instanceof ApiError && error.extra.step === step ? error.extra.errors : undefined;
}

/** Return a pipeline as people edit it; one that a program stored as values becomes JSON. */
function textOf(value: unknown): string {
  if (value === null || value === undefined) return "";
  return typeof value === "string" ? value : JSON.stringify(value, null, 2);
}

/** Return a step without one argument, for which the page has something better than a field. */
function without(entry: Entry, name: string): Entry {
  const { [name]: _shown, ...properties } = entry.schema.properties ?? {};
  return { ...entry, schema: { ...entry.schema, properties } };
}

export function StepArguments(props: StepArgumentsProps) {
  const { entry, step, disabled, changed, error } = props;
  const hasPipeline = PIPELINE in (entry.schema.properties ?? {});
  // The form knows nothing of the pipeline and must not lose it.
  const kept = (value: Record<string, unknown>) =>
    hasPipeline ? { ...value, [PIPELINE]: step.arguments[PIPELINE] ?? null } : value;
  return (
    <section aria-label={`Arguments of ${step.name}`}>
      <SectionTitle
        right={
          <Switch
            label="Runs"
            aria-label={`${step.name} runs`}
            checked={step.active}
            disabled={disabled}
            onChange={(event) => props.onChange({ active: event.currentTarget.checked })}
          />
        }
      >
        {step.name} · arguments
      </SectionTitle>
      <Stack gap="sm">
        <Text size="sm" c="dimmed">
          {entry.help}
        </Text>
        {hasPipeline && (
          <PipelineText
            experimentId={props.experimentId}
            value={textOf(step.arguments[PIPELINE])}
            disabled={disabled || !step.active}
            onChange={(text) =>
              props.onChange({ arguments: { ...step.arguments, [PIPELINE]: text || null } })
            }
          />
        )}
        <ArgumentsForm
          key={step.name}
          step={hasPipeline ? without(entry, PIPELINE) : entry}
          value={step.arguments}
          disabled={disabled || !step.active}
          faults={faultsOf(error, step.name)}
          onChange={(value) => props.onChange({ arguments: kept(value) })}
        />
        <ProblemNote title="The description was not saved" error={error} />
        {!disabled && (
          <Group gap="xs">
            <Button variant="default" disabled={!changed} loading={props.saving} onClick={props.onSave}>
              Save arguments
            </Button>
            <Button variant="subtle" color="gray.4" disabled={!changed} onClick={props.onRevert}>
              Undo changes
            </Button>
          </Group>
        )}
      </Stack>
    </section>
  );
}
