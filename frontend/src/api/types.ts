/** What the API answers, as far as these pages read it (docs/contracts.md §3). */

import type { RJSFSchema } from "@rjsf/utils";

export type Role = "view" | "edit" | "own";
export type State =
  | "waiting"
  | "queued"
  | "running"
  | "succeeded"
  | "failed"
  | "killed"
  | "reused"
  | "skipped";

export interface Named {
  id: string;
  name: string;
}

export interface Me {
  id: string;
  username: string;
  email: string;
  is_staff: boolean;
  groups: (Named & { role: string })[];
}

export interface Token {
  id: string;
  name: string;
  scope: "read" | "write";
  created_at: string;
  expires_at: string | null;
  token?: string;
}

export interface Experiment extends Named {
  description: string;
  group: Named;
  workflow_type: string;
  plate_format: number;
  acquisition_mode: string;
  microscope: string;
  created_at: string;
  updated_at: string;
  role: Role;
  status: { plates: number; wells: number; sites: number; objects: number };
}

export interface Access {
  subject: string;
  kind: "user" | "group";
  name: string;
  level: Role;
  plate: Named | null;
  object_type: Named | null;
}

export interface Plate extends Named {
  description: string;
  created_at: string;
}

export interface Acquisition extends Named {
  index: number;
  plate: Named;
  source: "uploads" | "registered";
  folder: string;
  microscope: string;
  pattern: string;
  status: "empty" | "uploading" | "complete";
  files: number;
  bytes: number;
  received: number;
}

export interface SourceFile {
  name: string;
  size: number;
  received: number;
  status: "uploading" | "complete";
}

export interface Entry {
  name: string;
  title: string;
  help: string;
  version: number;
  schema: RJSFSchema;
}

export interface StepDescription {
  name: string;
  title: string;
  active: boolean;
  arguments: Record<string, unknown>;
}

export interface StageDescription {
  name: string;
  title: string;
  active: boolean;
  steps: StepDescription[];
}

export interface Description {
  type: string;
  stages: StageDescription[];
}

export interface Fault {
  code: string;
  message: string;
  files?: string[];
  user?: boolean;
}

export interface Problem extends Fault {
  severity: "warning" | "error";
}

export type Counts = Partial<Record<State, number>>;

export interface StepRun {
  id: string;
  name: string;
  active: boolean;
  state: State;
  phase: string | null;
  round: number;
  counts: Counts;
  progress: number;
  error: Fault | null;
  problems: Problem[];
  n_problems: number;
  bytes_to_write: number;
  started_at: string | null;
  ended_at: string | null;
}

export interface StageRun {
  name: string;
  state: State;
  steps: StepRun[];
}

export interface WorkflowSummary {
  id: string;
  number: number;
  state: State;
  submitted_by: string | null;
  submitted_at: string;
  started_at: string | null;
  ended_at: string | null;
}

export interface Workflow extends WorkflowSummary {
  stages: StageRun[];
}

export interface Job {
  id: string;
  kind: "plan" | "run" | "collect" | "tool";
  name: string;
  state: State;
  round: number;
  index: number;
  attempts_made: number;
  error: Fault | null;
  problems: Problem[];
  started_at: string | null;
  ended_at: string | null;
  worker: string;
  cpu_s: number;
  peak_memory_mb: number;
}

export interface LogPart {
  text: string;
  next: number;
  complete: boolean;
}

export interface ToolResult extends Named {
  tool: string;
  object_type: Named;
  arguments: Record<string, unknown>;
  state: State;
  error: Fault | null;
  info: { label?: string; unit?: string; low?: number; high?: number };
  created_by: string | null;
  created_at: string;
}
