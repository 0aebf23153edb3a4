/** What the API answers: names for the types that docs/openapi.yaml generates (`npm run schema`). */

import type { RJSFSchema } from "@rjsf/utils";
import type { components } from "./schema";

type Schemas = components["schemas"];

/** An answer carries every field: the generated types leave those open that a request may leave out. */
type Whole<T> = T extends (infer Item)[]
  ? Whole<Item>[]
  : T extends object
    ? { [K in keyof T]-?: Whole<Exclude<T[K], undefined>> }
    : T;
type Answer<Name extends keyof Schemas> = Whole<Schemas[Name]>;

export type Role = Schemas["LevelEnum"];
export type State = Schemas["JobStateEnum"] | Schemas["WorkflowStateEnum"];
export type Named = Answer<"Named">;
export type Me = Answer<"Me">;
export type Token = Answer<"Token"> & { token?: string };
export type Experiment = Answer<"Experiment">;
export type Access = Answer<"Access">;
export type Plate = Answer<"Plate">;
export type Acquisition = Answer<"Acquisition">;
export type SourceFile = Answer<"File">;
/** What one file was taken for. */
export interface PlaneExample {
  file: string;
  well: string;
  site: string;
  channel: string;
  z: number;
  t: number;
  role: string;
}
/** What a reader or a pattern makes of an acquisition's files. */
export interface Examination {
  reader: string;
  n_planes: number;
  n_absent: number;
  n_unused: number;
  n_wells: number;
  n_sites: number;
  n_z: number;
  n_t: number;
  n_cycles: number;
  channels: { key: string; name: string }[];
  examples: PlaneExample[];
  unused: string[];
  problems: Schemas["Finding"][];
}
export interface Inspection extends Omit<Answer<"Inspection">, "result" | "error"> {
  result: Examination;
  error: Schemas["Fault"] | null;
}
export type Fault = Schemas["Fault"];
export type Problem = Schemas["Finding"];
/** Live messages leave out what is zero. */
export type Counts = Partial<Record<State, number>>;
export type WorkflowSummary = Answer<"Workflow">;
export type Job = Omit<Answer<"Job">, "error" | "problems"> & { error: Fault | null; problems: Problem[] };
export type LogPart = Answer<"Log">;
export type PipelineProblem = Omit<Answer<"PipelineProblem">, "line"> & { line: number | null };
export type PipelineCheck = Omit<Answer<"PipelineCheck">, "problems" | "memory_bytes"> & {
  problems: PipelineProblem[];
  memory_bytes: number | null;
};
export type PipelineTemplate = Answer<"PipelineTemplate">;

export type Illumination = Answer<"Illumination">;
export type Alignment = Answer<"Alignment">;
export type WellAlignment = Answer<"WellAlignment">;

export interface Entry extends Omit<Answer<"RegistryEntry">, "schema"> {
  schema: RJSFSchema;
}

export interface StepDescription {
  name: string;
  title: string;
  active: boolean;
  arguments: Record<string, unknown>;
  limits?: Schemas["Limits"] | null;
}

export interface StageDescription extends Omit<Schemas["StageDescription"], "steps"> {
  active: boolean;
  steps: StepDescription[];
}

export interface Description {
  type: string;
  stages: StageDescription[];
}

/** A part of a job's log; ask again after `next` until it is complete. */
export type LogPiece = Schemas["Log"];

export interface StepRun
  extends Omit<Schemas["StepRun"], "state" | "phase" | "counts" | "arguments" | "backend" | "key"> {
  state: State;
  phase: string | null;
  counts: Counts;
}

export interface StageRun {
  name: string;
  state: State;
  steps: StepRun[];
}

export interface Workflow extends Omit<Schemas["WorkflowDetail"], "stages" | "state" | "type"> {
  state: State;
  stages: StageRun[];
}

export interface ToolResult
  extends Omit<Answer<"ToolResult">, "error" | "info" | "arguments" | "created_by"> {
  arguments: Record<string, unknown>;
  error: Fault | null;
  info: { label?: string; unit?: string; low?: number; high?: number };
  created_by: string | null;
}
