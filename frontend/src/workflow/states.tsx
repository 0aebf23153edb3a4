/** How states look and what they are called. */

import { Loader } from "@mantine/core";
import {
  IconAlertTriangle,
  IconCheck,
  IconCircle,
  IconCircleDashed,
  IconClock,
  IconPlayerStop,
  IconRefresh,
  IconX,
} from "@tabler/icons-react";
import type { Counts, State } from "../api/types";

export const STATE_WORDS: Record<State, string> = {
  waiting: "waiting",
  queued: "queued",
  running: "running",
  succeeded: "done",
  failed: "failed",
  killed: "killed",
  reused: "reused",
  skipped: "left out",
};

export const STATE_COLORS: Record<State, string> = {
  waiting: "dark.4",
  queued: "dark.3",
  running: "blue.8",
  succeeded: "#1f6f33",
  failed: "red.9",
  killed: "orange.9",
  reused: "#1f6f33",
  skipped: "dark.4",
};

/** A state's mark; its word is for those who don't see it. */
export function StateMark({ state, problems = 0 }: { state: State; problems?: number }) {
  const label = STATE_WORDS[state] + (problems ? ", with problems" : "");
  return (
    <span role="img" aria-label={label} title={label} style={{ display: "inline-flex" }}>
      <Mark state={state} problems={problems} />
    </span>
  );
}

function Mark({ state, problems }: { state: State; problems: number }) {
  if (state === "running") return <Loader size={14} color="blue.5" aria-hidden />;
  if (state === "failed") return <IconX size={16} color="var(--mantine-color-red-6)" />;
  if (state === "killed") return <IconPlayerStop size={16} color="var(--mantine-color-orange-6)" />;
  if (state === "succeeded" && problems) {
    return <IconAlertTriangle size={16} color="var(--mantine-color-yellow-6)" />;
  }
  if (state === "succeeded") return <IconCheck size={16} color="var(--mantine-color-green-6)" />;
  if (state === "reused") return <IconRefresh size={16} color="var(--mantine-color-green-6)" />;
  if (state === "queued") return <IconClock size={16} color="var(--mantine-color-dark-2)" />;
  if (state === "skipped") return <IconCircleDashed size={16} color="var(--mantine-color-dark-3)" />;
  return <IconCircle size={16} color="var(--mantine-color-dark-3)" />;
}

/** Return how many jobs there are, and how many of them ended well. */
export function sumOf(counts: Counts): { all: number; done: number } {
  const all = Object.values(counts).reduce((sum, count) => sum + count, 0);
  return { all, done: (counts.succeeded ?? 0) + (counts.reused ?? 0) };
}
