/** The jobs of a step: counts, a filter by state, pages, and the log of one. */

import {
  Badge,
  Button,
  Code,
  Group,
  NativeSelect,
  Progress,
  Table,
  Text,
  VisuallyHidden,
} from "@mantine/core";
import { Fragment } from "react";
import { useJobs } from "../api/queries";
import type { Job, State, StepRun } from "../api/types";
import { formatCount, formatDuration } from "../ui/format";
import { ProblemNote } from "../ui/ProblemNote";
import { Loading, More, SectionTitle } from "../ui/parts";
import { STATE_COLORS, STATE_WORDS, StateMark, sumOf } from "./states";

const ORDER: State[] = ["succeeded", "reused", "running", "failed", "killed", "queued", "waiting"];

export interface JobTableProps {
  experimentId: string;
  workflowId: string;
  run: StepRun;
  state: State | null;
  onState: (state: State | null) => void;
  openLog: string | null;
  onLog: (job: string | null) => void;
}

/** Return a job's name as people say it: what it does, and which of its round it is. */
export function jobName(job: Job): string {
  const round = job.kind === "run" ? ` ${job.round + 1}.${String(job.index + 1).padStart(4, "0")}` : "";
  return `${job.kind}${round}`;
}

export function JobTable(props: JobTableProps) {
  const { experimentId, workflowId, run, state, onState } = props;
  const query = useJobs(experimentId, workflowId, run.name, state);
  const jobs = query.data?.pages.flatMap((page) => page.results) ?? [];
  return (
    <section aria-label={`Jobs of ${run.name}`}>
      <SectionTitle
        right={
          <NativeSelect
            aria-label="Jobs in state"
            value={state ?? ""}
            onChange={(event) => onState((event.currentTarget.value || null) as State | null)}
            data={[
              { value: "", label: "all states" },
              ...ORDER.map((each) => ({ value: each, label: STATE_WORDS[each] })),
            ]}
          />
        }
      >
        Jobs · {run.name}
      </SectionTitle>
      <CountBar run={run} />
      <ProblemNote title="The jobs could not be read" error={query.error} onRetry={() => query.refetch()} />
      {query.isPending && <Loading what="jobs" />}
      {query.data && !jobs.length && (
        <Text size="sm" c="dimmed" py="xs">
          {state ? `No job is ${STATE_WORDS[state]}.` : "No jobs yet."}
        </Text>
      )}
      {jobs.length > 0 && (
        <Table aria-label={`Jobs of ${run.name}`}>
          <Table.Thead>
            <Table.Tr>
              <Table.Th>Job</Table.Th>
              <Table.Th>State</Table.Th>
              <Table.Th>Time</Table.Th>
              <Table.Th visibleFrom="lg">CPU</Table.Th>
              <Table.Th visibleFrom="lg">Memory</Table.Th>
              <Table.Th>Tries</Table.Th>
              <Table.Th>
                <VisuallyHidden>Log</VisuallyHidden>
              </Table.Th>
            </Table.Tr>
          </Table.Thead>
          <Table.Tbody>
            {jobs.map((job) => (
              <JobRow key={job.id} job={job} open={props.openLog === job.id} onLog={props.onLog} />
            ))}
          </Table.Tbody>
        </Table>
      )}
      <More query={query} what="jobs" />
    </section>
  );
}

function CountBar({ run }: { run: StepRun }) {
  const { all } = sumOf(run.counts);
  const there = ORDER.filter((state) => run.counts[state]);
  if (!all) return null;
  return (
    <>
      <Group gap={6} mb={6}>
        {there.map((state) => (
          <Badge key={state} color={STATE_COLORS[state]} variant="filled" radius="sm" c="white">
            {formatCount(run.counts[state] ?? 0)} {STATE_WORDS[state]}
          </Badge>
        ))}
      </Group>
      <Progress.Root size={5} mb="xs" aria-hidden>
        {there.map((state) => (
          <Progress.Section
            key={state}
            value={(100 * (run.counts[state] ?? 0)) / all}
            color={STATE_COLORS[state]}
            withAria={false}
          />
        ))}
      </Progress.Root>
    </>
  );
}

interface JobRowProps {
  job: Job;
  open: boolean;
  onLog: (job: string | null) => void;
}

function JobRow({ job, open, onLog }: JobRowProps) {
  return (
    <Fragment>
      <Table.Tr data-state={job.state}>
        <Table.Td style={{ whiteSpace: "nowrap" }}>{jobName(job)}</Table.Td>
        <Table.Td>
          <Group gap={6} wrap="nowrap">
            <StateMark state={job.state} />
            <span aria-hidden>{STATE_WORDS[job.state]}</span>
          </Group>
        </Table.Td>
        <Table.Td>{formatDuration(job.started_at, job.ended_at)}</Table.Td>
        <Table.Td visibleFrom="lg">{job.cpu_s ? `${job.cpu_s.toFixed(1)} s` : "–"}</Table.Td>
        <Table.Td visibleFrom="lg">
          {job.peak_memory_mb ? `${Math.round(job.peak_memory_mb)} MB` : "–"}
        </Table.Td>
        <Table.Td>{job.attempts_made}</Table.Td>
        <Table.Td ta="right">
          <Button
            size="compact-xs"
            variant="default"
            aria-expanded={open}
            aria-label={`Log of ${jobName(job)}`}
            onClick={() => onLog(open ? null : job.id)}
          >
            Log
          </Button>
        </Table.Td>
      </Table.Tr>
      {job.error && (
        <Table.Tr>
          <Table.Td colSpan={7}>
            <Text size="sm" c="red.4" style={{ overflowWrap: "anywhere" }}>
              {job.error.message} <Code>{job.error.code}</Code>
            </Text>
          </Table.Td>
        </Table.Tr>
      )}
    </Fragment>
  );
}
