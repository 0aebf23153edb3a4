/** What the server says over the socket of an experiment. */

import type { Counts, State } from "../api/types";

export interface LiveEvent {
  sequence: number;
  kind: string;
  payload: Record<string, unknown>;
}

export interface StepState {
  workflow: string;
  step: string;
  name: string;
  stage: string;
  stage_state?: State;
  state: State;
  phase: string | null;
  round: number;
  counts: Counts;
}

export interface Progress {
  step: string;
  fraction: number;
  message: string;
}

/** A piece of a followed log; a log that cannot be read has an error instead. */
export interface LogText {
  job: string;
  after?: number;
  text?: string;
  next?: number;
  complete?: boolean;
  error?: string;
}

export type Message =
  | { type: "events"; from: number; to: number; events: LiveEvent[] }
  | ({ type: "progress" } & Progress)
  | ({ type: "log" } & LogText)
  | { type: "closed"; code: string };
