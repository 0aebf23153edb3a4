/** A few workers behind one promise-based fetch. */

import type { Answer, Fetcher, Wanted } from "./queue";

export type ToWorker = { id: number; wanted: Wanted } | { abort: number };
export type FromWorker = { id: number } & Answer;

export interface Workers {
  fetch: Fetcher;
  close: () => void;
}

/** Start `count` workers; tiles go to them in turn. */
export function startWorkers(count = 2): Workers {
  const waiting = new Map<number, (answer: Answer) => void>();
  let sequence = 0;
  const workers = Array.from({ length: count }, () => {
    const worker = new Worker(new URL("./tile.worker.ts", import.meta.url), { type: "module" });
    worker.onmessage = ({ data }: MessageEvent<FromWorker>) => {
      waiting.get(data.id)?.(data);
      waiting.delete(data.id);
    };
    worker.onerror = (event) => {
      // A worker that cannot start answers nothing: fail what waits instead of waiting for ever.
      for (const [id, settle] of waiting) {
        if (id % count === workers.indexOf(worker)) {
          settle({ status: "failed", reason: event.message || "The tile worker stopped" });
          waiting.delete(id);
        }
      }
    };
    return worker;
  });
  return {
    fetch: (wanted, signal) =>
      new Promise((settle) => {
        const id = sequence++;
        const worker = workers[id % count] as Worker;
        waiting.set(id, settle);
        signal.addEventListener("abort", () => {
          worker.postMessage({ abort: id } satisfies ToWorker);
          waiting.delete(id);
          settle({ status: "failed", reason: "cancelled" });
        });
        worker.postMessage({ id, wanted } satisfies ToWorker);
      }),
    close: () => {
      for (const worker of workers) worker.terminate();
    },
  };
}
