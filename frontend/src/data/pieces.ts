/** Sending one file in pieces of at most 16 MB, going on where the server says it is. */

import { ApiError, getJson, request } from "../api/client";
import type { SourceFile } from "../api/types";

export const PIECE = 16 * 1024 * 1024;
const TRIES = 5;

export interface Candidate {
  /** Path below the acquisition, with "/" between folders. */
  path: string;
  file: File;
}

/** Return a path for an address: every part encoded, the slashes kept. */
export function encodedPath(path: string): string {
  return path.split("/").map(encodeURIComponent).join("/");
}

/** Return the Content-Range of a piece; an empty file has its own form. */
export function contentRange(start: number, end: number, total: number): string {
  return total === 0 ? "bytes */0" : `bytes ${start}-${end - 1}/${total}`;
}

function worthTrying(error: unknown): boolean {
  return error instanceof ApiError && (error.status === 0 || error.status === 429 || error.status >= 500);
}

const pause = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));

/** Do something again after trouble on the way, five times at most, each time a while later. */
async function stubbornly<T>(work: () => Promise<T>, signal: AbortSignal): Promise<T> {
  for (let tries = 1; ; tries += 1) {
    try {
      return await work();
    } catch (error) {
      if (signal.aborted || tries >= TRIES || !worthTrying(error)) throw error;
      await pause(500 * 2 ** tries);
    }
  }
}

async function receivedOf(url: string, signal: AbortSignal): Promise<number> {
  try {
    return (await getJson<SourceFile>(url, signal)).received;
  } catch (error) {
    if (error instanceof ApiError && error.status === 404) return 0;
    throw error;
  }
}

/** Return where the server wants the next piece to begin, if that is what it complains of. */
function expectedOffset(error: unknown): number | null {
  if (!(error instanceof ApiError) || error.code !== "wrong_offset") return null;
  return typeof error.extra.expected === "number" ? error.extra.expected : null;
}

/**
 * Send a file below `base`, beginning where an earlier upload of it stopped.
 *
 * `sent` is told how many bytes the server has. Throws ApiError when it refuses the file.
 */
export async function sendFile(
  base: string,
  { path, file }: Candidate,
  signal: AbortSignal,
  sent: (bytes: number) => void,
): Promise<void> {
  const url = `${base}${encodedPath(path)}/`;
  // A small file is sent whole in one go; asking first would double its requests.
  let start = file.size > PIECE ? await stubbornly(() => receivedOf(url, signal), signal) : 0;
  let corrections = 0;
  do {
    const end = Math.min(start + PIECE, file.size);
    const put = async () => {
      const body = file.slice(start, end);
      const headers = {
        "Content-Type": "application/octet-stream",
        "Content-Range": contentRange(start, end, file.size),
      };
      const answer = await request(url, { method: "PUT", headers, body, signal });
      return (await answer.json()) as SourceFile;
    };
    try {
      start = Math.max(end, (await stubbornly(put, signal)).received);
    } catch (error) {
      const expected = expectedOffset(error);
      corrections += 1;
      if (expected === null || corrections > TRIES) throw error;
      start = expected;
    }
    sent(start);
  } while (start < file.size);
}
