/** Uploads of all acquisitions; they go on while one looks at other pages. */

import { createStore, useStore } from "zustand";
import { getAll } from "../api/client";
import { experimentPath } from "../api/queries";
import type { SourceFile } from "../api/types";
import { type Candidate, sendFile } from "./pieces";

const AT_ONCE = 3;

export interface Upload {
  running: boolean;
  files: number;
  bytes: number;
  doneFiles: number;
  doneBytes: number;
  /** Files that were there already. */
  skipped: number;
  active: Record<string, { size: number; sent: number }>;
  errors: { path: string; message: string }[];
}

const NEW: Upload = {
  running: true,
  files: 0,
  bytes: 0,
  doneFiles: 0,
  doneBytes: 0,
  skipped: 0,
  active: {},
  errors: [],
};

const store = createStore<Record<string, Upload>>(() => ({}));
const waiting = new Map<string, Candidate[]>();
const stops = new Map<string, AbortController>();

function change(acquisition: string, edit: (upload: Upload) => Partial<Upload>): void {
  store.setState((all) => {
    const upload = all[acquisition] ?? NEW;
    return { [acquisition]: { ...upload, ...edit(upload) } };
  });
}

export function useUpload(acquisition: string): Upload | undefined {
  return useStore(store, (all) => all[acquisition]);
}

export function stopUpload(acquisition: string): void {
  waiting.delete(acquisition);
  stops.get(acquisition)?.abort();
}

export function forgetUpload(acquisition: string): void {
  store.setState(({ [acquisition]: _gone, ...rest }) => rest, true);
}

function warnOfLeaving(event: BeforeUnloadEvent): void {
  event.preventDefault();
}

/** Add files to an acquisition; those that are there whole, with the same size, are not sent again. */
export async function startUpload(
  experiment: string,
  acquisition: string,
  files: Candidate[],
): Promise<void> {
  const base = `${experimentPath(experiment)}acquisitions/${acquisition}/files/`;
  const queue = waiting.get(acquisition) ?? [];
  const running = stops.has(acquisition);
  if (!running) {
    forgetUpload(acquisition);
    stops.set(acquisition, new AbortController());
    window.addEventListener("beforeunload", warnOfLeaving);
  }
  change(acquisition, (old) => ({
    running: true,
    files: old.files + files.length,
    bytes: old.bytes + files.reduce((sum, { file }) => sum + file.size, 0),
  }));
  queue.push(...files);
  waiting.set(acquisition, queue);
  if (running) return;
  const signal = (stops.get(acquisition) as AbortController).signal;
  const there = await complete(base, signal);
  await Promise.all(Array.from({ length: AT_ONCE }, () => lane(base, acquisition, there, signal)));
  stops.delete(acquisition);
  waiting.delete(acquisition);
  if (!stops.size) window.removeEventListener("beforeunload", warnOfLeaving);
  change(acquisition, () => ({ running: false, active: {} }));
}

/** Return name and size of what is there; not knowing costs only time, so trouble is ignored here. */
async function complete(base: string, signal: AbortSignal): Promise<Map<string, number>> {
  const files = await getAll<SourceFile>(`${base}?status=complete`, signal).catch(() => []);
  return new Map(files.map(({ name, size }) => [name, size]));
}

async function lane(
  base: string,
  acquisition: string,
  there: Map<string, number>,
  signal: AbortSignal,
): Promise<void> {
  for (;;) {
    const next = waiting.get(acquisition)?.shift();
    if (!next || signal.aborted) return;
    const { path, file } = next;
    if (there.get(path) === file.size) {
      change(acquisition, (old) => ({ skipped: old.skipped + 1, ...done(old, path, file.size) }));
      continue;
    }
    await one(base, acquisition, next, signal);
  }
}

function done(old: Upload, path: string, size: number): Partial<Upload> {
  const { [path]: _sent, ...active } = old.active;
  return { doneFiles: old.doneFiles + 1, doneBytes: old.doneBytes + size, active };
}

async function one(base: string, acquisition: string, next: Candidate, signal: AbortSignal): Promise<void> {
  const { path, file } = next;
  const progress = (sent: number) =>
    change(acquisition, (old) => ({ active: { ...old.active, [path]: { size: file.size, sent } } }));
  progress(0);
  try {
    await sendFile(base, next, signal, progress);
    change(acquisition, (old) => done(old, path, file.size));
  } catch (error) {
    const message = signal.aborted ? "stopped" : (error as Error).message;
    change(acquisition, (old) => {
      const { [path]: _failed, ...active } = old.active;
      return { active, errors: [...old.errors, { path, message }] };
    });
  }
}
