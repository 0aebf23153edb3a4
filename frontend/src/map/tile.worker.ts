/** Fetches tiles and decodes them away from the main thread: Blosc chunks of pixels and labels, vector outlines. */

import Blosc from "numcodecs/blosc";
import { readSegments } from "./mvt";
import type { Wanted } from "./queue";
import type { FromWorker, ToWorker } from "./workers";

const codec = Blosc.fromConfig({ id: "blosc" });
const running = new Map<number, AbortController>();

/** Half a pixel of the full resolution, in units of the outline tile's extent (4096 across 512 px at its level). */
function halfPixel(url: string): number {
  const level = Number(/\/(\d+)\/\d+\/\d+\.mvt/.exec(url)?.[1] ?? 0);
  return 4 / 2 ** level;
}

async function decode(
  { kind, url }: Wanted,
  bytes: Uint8Array,
): Promise<{ data: unknown; transfer: Transferable[] }> {
  if (kind === "outline") {
    const segments = readSegments(bytes, halfPixel(url));
    return { data: segments, transfer: [segments.points.buffer, segments.indices.buffer] };
  }
  const raw = await codec.decode(bytes);
  const pixels = kind === "image" ? new Uint16Array(raw.buffer) : new Uint32Array(raw.buffer);
  return { data: pixels, transfer: [pixels.buffer] };
}

async function load(id: number, wanted: Wanted): Promise<void> {
  const controller = new AbortController();
  running.set(id, controller);
  const answer = (message: FromWorker, transfer: Transferable[] = []) =>
    self.postMessage(message, { transfer });
  try {
    const response = await fetch(wanted.url, { signal: controller.signal, credentials: "same-origin" });
    // 204 and 413 are how the server says that a tile has too many objects for outlines.
    if (
      response.status === 404 ||
      response.status === 204 ||
      (response.status === 413 && wanted.kind === "outline")
    ) {
      answer({ id, status: "empty" });
    } else if (response.status === 401 || response.status === 403) answer({ id, status: "refused" });
    else if (!response.ok) answer({ id, status: "failed", reason: `The server answered ${response.status}` });
    else {
      const { data, transfer } = await decode(wanted, new Uint8Array(await response.arrayBuffer()));
      answer({ id, status: "loaded", data }, transfer);
    }
  } catch (error) {
    answer({ id, status: "failed", reason: error instanceof Error ? error.message : String(error) });
  } finally {
    running.delete(id);
  }
}

self.onmessage = ({ data }: MessageEvent<ToWorker>) => {
  if ("abort" in data) running.get(data.abort)?.abort();
  else void load(data.id, data.wanted);
};
