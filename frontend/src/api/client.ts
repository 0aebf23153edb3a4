/** Requests to the API: one error shape, the session's CSRF token, pages of lists. */

/** A refusal of the server, in its own words; `extra` names the thing at fault. */
export class ApiError extends Error {
  constructor(
    readonly status: number,
    readonly code: string,
    message: string,
    readonly extra: Record<string, unknown> = {},
  ) {
    super(message);
    this.name = "ApiError";
  }
}

export interface Page<T> {
  next: string | null;
  previous: string | null;
  results: T[];
}

const BASE = "/api/v1/";

/** Go to the log-in page and come back to this address afterwards. */
export function leaveForLogin(): void {
  const here = window.location.pathname + window.location.search;
  window.location.assign(`/login/?next=${encodeURIComponent(here)}`);
}

export function csrfToken(): string {
  const found = document.cookie.split("; ").find((part) => part.startsWith("csrftoken="));
  return found ? decodeURIComponent(found.slice("csrftoken=".length)) : "";
}

/** Make an error of an answer that is not a success; the body may be anything. */
export async function errorOf(response: Response): Promise<ApiError> {
  const body: unknown = await response.json().catch(() => null);
  const told = (body && typeof body === "object" ? body : {}) as Partial<{
    code: string;
    message: string;
    extra: Record<string, unknown>;
  }>;
  const message = told.message ?? `The server answered ${response.status} without saying why.`;
  return new ApiError(response.status, told.code ?? "unknown", message, told.extra ?? {});
}

/** Send a request; throws ApiError, and leaves for the log-in page when the session is over. */
export async function request(path: string, options: RequestInit = {}): Promise<Response> {
  const headers = new Headers(options.headers);
  headers.set("Accept", "application/json");
  if (options.method && options.method !== "GET") headers.set("X-CSRFToken", csrfToken());
  let response: Response;
  try {
    response = await fetch(path.startsWith("/") ? path : BASE + path, {
      ...options,
      headers,
      credentials: "same-origin",
    });
  } catch (cause) {
    if (options.signal?.aborted) throw cause;
    throw new ApiError(0, "unreachable", "The server can't be reached. Check the network and try again.");
  }
  if (response.ok) return response;
  const error = await errorOf(response);
  if (error.status === 401 || error.code === "not_authenticated") leaveForLogin();
  throw error;
}

export async function getJson<T>(path: string, signal?: AbortSignal): Promise<T> {
  return (await request(path, { signal })).json();
}

export async function sendJson<T>(
  method: "POST" | "PUT" | "PATCH",
  path: string,
  body: unknown = {},
): Promise<T> {
  const headers = { "Content-Type": "application/json" };
  const response = await request(path, { method, headers, body: JSON.stringify(body) });
  return response.status === 204 ? (undefined as T) : response.json();
}

export async function remove(path: string): Promise<void> {
  await request(path, { method: "DELETE" });
}

/** Keep the path of a page's link: behind a proxy the server may not know its own name. */
export function localPath(link: string): string {
  const url = new URL(link, window.location.origin);
  return url.pathname + url.search;
}

/** Return all of a short list, page by page. */
export async function getAll<T>(path: string, signal?: AbortSignal): Promise<T[]> {
  const all: T[] = [];
  let next: string | null = `${path}${path.includes("?") ? "&" : "?"}page_size=1000`;
  while (next) {
    const page: Page<T> = await getJson<Page<T>>(next, signal);
    all.push(...page.results);
    next = page.next && localPath(page.next);
  }
  return all;
}

/** Return a path with those parameters that have a value. */
export function withQuery(path: string, parameters: Record<string, string | null | undefined>): string {
  const given = Object.entries(parameters).filter((pair): pair is [string, string] => Boolean(pair[1]));
  return given.length ? `${path}?${new URLSearchParams(given)}` : path;
}
