/** What the view asks the API for, in the shapes of docs/contracts.md §3. */

export interface MosaicChannel {
  index: number;
  name: string;
  color: string;
  dtype: string;
  scale: number;
  offset: number;
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
  unit: string;
  min: number | null;
  max: number | null;
  low: number | null;
  high: number | null;
}

export interface ObjectSet {
  id: string;
  key: string;
  object_type: { id: string; name: string };
  plate: { id: string; name: string };
  n_objects: number;
  shape: number[];
  levels: Level[];
  tile: number;
  wells: { name: string; first: number; count: number }[];
  features: FeatureSummary[];
  tile_url: string;
  outline_url: string;
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

export interface Tool {
  name: string;
  title: string;
  help: string;
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

/** An answer of the server that is not a success, in its own words. */
export class RequestError extends Error {
  constructor(
    readonly status: number,
    readonly code: string,
    message: string,
  ) {
    super(message);
  }
}

function cookie(name: string): string {
  const found = document.cookie.split("; ").find((part) => part.startsWith(`${name}=`));
  return found ? decodeURIComponent(found.slice(name.length + 1)) : "";
}

/** Send a request; throws RequestError with the server's message when it is refused. */
export async function request(url: string, options: RequestInit = {}): Promise<Response> {
  const headers = new Headers(options.headers);
  if (options.method && options.method !== "GET") headers.set("X-CSRFToken", cookie("csrftoken"));
  const response = await fetch(url, { ...options, headers, credentials: "same-origin" });
  if (response.ok) return response;
  const problem = await response.json().catch(() => ({}));
  const { code = "unknown", message = `The server answered ${response.status}.` } = problem;
  throw new RequestError(response.status, code, message);
}

export async function getJson<T>(url: string): Promise<T> {
  return (await request(url, { headers: { Accept: "application/json" } })).json();
}

export async function postJson<T>(url: string, body: unknown): Promise<T> {
  const headers = { "Content-Type": "application/json", Accept: "application/json" };
  return (await request(url, { method: "POST", headers, body: JSON.stringify(body) })).json();
}

export async function getBytes(url: string): Promise<ArrayBuffer> {
  return (await request(url)).arrayBuffer();
}

/** Return all of a list, page by page. */
export async function getAll<T>(url: string): Promise<T[]> {
  const all: T[] = [];
  let next: string | null = `${url}${url.includes("?") ? "&" : "?"}page_size=1000`;
  while (next) {
    const page: { next: string | null; results: T[] } = await getJson(next);
    all.push(...page.results);
    // Behind a proxy the server may not know its own name: keep to the path.
    next =
      page.next &&
      new URL(page.next, window.location.origin).pathname + new URL(page.next, window.location.origin).search;
  }
  return all;
}

export const experimentUrl = (experiment: string): string => `/api/v1/experiments/${experiment}`;

/** Ask for the cookies that open tiles; resolves to whether they were given. */
export async function renewTileSession(experiment: string): Promise<boolean> {
  try {
    await request(`${experimentUrl(experiment)}/tile-session/`, { method: "POST" });
    return true;
  } catch {
    return false;
  }
}
