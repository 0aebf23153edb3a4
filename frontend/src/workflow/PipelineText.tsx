/** A pipeline as text: line numbers, and what the server's check finds wrong at the line it means. */

import { Anchor, Button, Group, Select, Stack, Text, Textarea } from "@mantine/core";
import { useDebouncedValue, useId } from "@mantine/hooks";
import { useRef } from "react";
import type { PipelineProblem } from "../api/types";
import { lineStart, type Marked, markLines, summaryOf } from "./pipelineText";
import { usePipelineCheck, usePipelineTemplates } from "./usePipelineCheck";
import classes from "./workflow.module.css";

export interface PipelineTextProps {
  experimentId: string;
  value: string;
  disabled: boolean;
  onChange: (value: string) => void;
}

const DELAY_MS = 500;
const ROWS = 18;

function Gutter({ lines, box }: { lines: Marked[]; box: React.RefObject<HTMLDivElement | null> }) {
  return (
    <div className={classes.gutter} ref={box} aria-hidden="true">
      {lines.map(({ number, problems }) => (
        <div
          key={number}
          className={problems.length ? classes.marked : undefined}
          title={problems.map(({ message }) => message).join("; ")}
        >
          {number}
        </div>
      ))}
    </div>
  );
}

function Problems({ problems, goTo }: { problems: PipelineProblem[]; goTo: (line: number) => void }) {
  return (
    <ul className={classes.problems} aria-label="Problems of the pipeline">
      {problems.map(({ code, where, message, line }) => (
        <li key={`${code} ${where} ${message}`}>
          {line !== null && (
            <Anchor component="button" type="button" size="xs" underline="always" onClick={() => goTo(line)}>
              line {line}
            </Anchor>
          )}{" "}
          <Text span size="xs" c="red.4">
            {where ? `${where}: ${message}` : message}
          </Text>
        </li>
      ))}
    </ul>
  );
}

export function PipelineText({ experimentId, value, disabled, onChange }: PipelineTextProps) {
  const id = useId();
  const text = useRef<HTMLTextAreaElement>(null);
  const gutter = useRef<HTMLDivElement>(null);
  const [settled] = useDebouncedValue(value, DELAY_MS);
  const check = usePipelineCheck(experimentId, settled);
  const templates = usePipelineTemplates(experimentId);
  const found = value.trim() ? check.data : undefined;
  const problems = found?.problems ?? [];
  const goTo = (line: number) => {
    const at = lineStart(value, line);
    text.current?.focus();
    text.current?.setSelectionRange(at, lineStart(value, line + 1));
  };
  const insert = (name: string | null) => {
    const template = templates.data?.find((each) => each.name === name);
    if (template) onChange(template.text);
  };
  return (
    <Stack gap={6}>
      <Group justify="space-between" align="end">
        <Text component="label" htmlFor={id} size="sm" fw={500}>
          Pipeline
        </Text>
        <Group gap="xs">
          <Select
            size="xs"
            aria-label="Start from a template"
            placeholder="Start from a template"
            data={(templates.data ?? []).map(({ name, title }) => ({ value: name, label: title }))}
            value={null}
            disabled={disabled}
            onChange={insert}
          />
          <Button
            size="xs"
            variant="subtle"
            color="gray.4"
            disabled={disabled || !value}
            onClick={() => onChange("")}
          >
            Use the built-in one
          </Button>
        </Group>
      </Group>
      <div className={classes.editor}>
        <Gutter lines={markLines(value, problems)} box={gutter} />
        <Textarea
          id={id}
          ref={text}
          className={classes.source}
          classNames={{ input: classes.sourceText }}
          rows={ROWS}
          wrap="off"
          spellCheck={false}
          disabled={disabled}
          value={value}
          placeholder="Empty: the built-in pipeline, set by the arguments below. Write YAML or JSON here, or start from a template."
          aria-invalid={problems.length > 0}
          aria-describedby={`${id}-found`}
          onChange={(event) => onChange(event.currentTarget.value)}
          onScroll={(event) => {
            if (gutter.current) gutter.current.scrollTop = event.currentTarget.scrollTop;
          }}
        />
      </div>
      <div id={`${id}-found`} aria-live="polite">
        <Text size="xs" c={problems.length ? "red.4" : "dimmed"}>
          {summaryOf(value, found, check.isFetching || settled !== value, check.error)}
        </Text>
        {problems.length > 0 && <Problems problems={problems} goTo={goTo} />}
      </div>
    </Stack>
  );
}
