/** The middle of the Workflow page: what the chosen step is, whether it runs, and its arguments. */

import { Button, Group, Stack, Switch, Text } from "@mantine/core";
import { ApiError } from "../api/client";
import type { Entry, StepDescription } from "../api/types";
import { ProblemNote } from "../ui/ProblemNote";
import { SectionTitle } from "../ui/parts";
import { ArgumentsForm } from "./ArgumentsForm";

export interface StepArgumentsProps {
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

export function StepArguments(props: StepArgumentsProps) {
  const { entry, step, disabled, changed, error } = props;
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
        <ArgumentsForm
          key={step.name}
          step={entry}
          value={step.arguments}
          disabled={disabled || !step.active}
          faults={faultsOf(error, step.name)}
          onChange={(value) => props.onChange({ arguments: value })}
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
