/** What the view asks the API for, in the shapes of docs/contracts.md §3. */

import { request } from "../api/client";

export interface MosaicChannel {
  /** Of the channel in the experiment. */
  index: number;
  /** Place on the image's axis of channels. */
  c: number;
  name: string;
  color: string;
  dtype: string;
  scale: number;
  offset: number;
  /** Missing in mosaics of before. */
  brightfield?: boolean;
  min: number;
  max: number;
  window: [number, number];
  histogram: { low: number; high: number; counts: number[] };
}

export interface Level {
  path: string;
  height: number;
  width: number;
}

export interface Mosaic {
  id: string;
  key: string;
  layout_key: string;
  /** Of channels that a pipeline has made: lies over the mosaic of the same plate. */
  is_derived: boolean;
  plate: { id: string; name: string };
  origin: [number, number];
  pixel_size_um: number | null;
  n_tpoints: number;
  n_zplanes: number;
  shape: number[];
  levels: Level[];
  tile: number;
  channels: MosaicChannel[];
  tile_url: string;
}

export interface FeatureSummary {
  name: string;
  unit?: string | null;
  min?: number | null;
  max?: number | null;
  low?: number | null;
  high?: number | null;
}

export interface ObjectSet {
  id: string;
  key: string;
  layout_key: string;
  object_type: { id: string; name: string };
  plate: { id: string; name: string };
  n_objects: number;
  shape: number[];
  levels: Level[];
  tile: number;
  wells: { name: string; first: number; count: number }[];
  features: FeatureSummary[];
  tile_url: string;
  outline_url: string | null;
  features_url: string;
}

export interface Well {
  id: string;
  plate: string;
  name: string;
  row: number;
  column: number;
  y: number;
  x: number;
  height: number;
  width: number;
}

export interface ToolResult {
  id: string;
  tool: string;
  name: string;
  state: "waiting" | "running" | "succeeded" | "failed" | "killed";
  error: { message?: string } | null;
  object_type: { id: string; name: string };
  arguments: Record<string, unknown>;
  info: { kind?: string; label?: string; unit?: string; low?: number; high?: number };
  values_url: string;
}

export interface ObjectDetails {
  index: number;
  well: string;
  site: string | number;
  t: number;
  z: number;
  label: number;
  y: number;
  x: number;
  box: number[];
  is_border: boolean;
  features: Record<string, number | null>;
}

export const experimentUrl = (experiment: string): string => `/api/v1/experiments/${experiment}`;

export async function getBytes(url: string): Promise<ArrayBuffer> {
  return (await request(url)).arrayBuffer();
}

/** Ask for the cookies that open tiles; resolves to whether they were given. */
export async function renewTileSession(experiment: string): Promise<boolean> {
  try {
    await request(`${experimentUrl(experiment)}/tile-session/`, { method: "POST" });
    return true;
  } catch {
    return false;
  }
}
