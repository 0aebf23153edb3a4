/** Gives the pages of an experiment its live connection. */

import { useQueryClient } from "@tanstack/react-query";
import { createContext, type ReactNode, useContext, useEffect, useMemo, useState } from "react";
import { createStore, useStore } from "zustand";
import { keys } from "../api/queries";
import { applyEvents, Renewal } from "./apply";
import { LiveConnection, type LiveStatus } from "./connection";
import type { Progress } from "./messages";

interface LiveState {
  status: LiveStatus;
  reason: string | null;
  progress: Record<string, Progress>;
}

interface Live {
  connection: LiveConnection;
  state: ReturnType<typeof makeState>;
}

function makeState() {
  return createStore<LiveState>(() => ({ status: "connecting", reason: null, progress: {} }));
}

const LiveContext = createContext<Live | null>(null);

export function LiveProvider({ experiment, children }: { experiment: string; children: ReactNode }) {
  const queries = useQueryClient();
  const live = useMemo<Live>(() => {
    const state = makeState();
    const renewal = new Renewal(queries);
    const connection = new LiveConnection(experiment, {
      events: (events) => applyEvents(queries, renewal, experiment, events),
      progress: (progress) =>
        state.setState((old) => ({ progress: { ...old.progress, [progress.step]: progress } })),
      status: (status, reason) => state.setState({ status, reason: reason ?? null }),
      resync: () => {
        for (const name of ["workflows", "workflow", "jobs", "acquisitions", "tool-results"]) {
          renewal.add(keys.part(experiment, name));
        }
      },
    });
    return { connection, state };
  }, [queries, experiment]);
  useEffect(() => {
    live.connection.start();
    return () => live.connection.stop();
  }, [live]);
  return <LiveContext.Provider value={live}>{children}</LiveContext.Provider>;
}

function useLive(): Live {
  const live = useContext(LiveContext);
  if (!live) throw new Error("useLive outside of an experiment's pages");
  return live;
}

export function useLiveStatus(): { status: LiveStatus; reason: string | null } {
  const { state } = useLive();
  const status = useStore(state, (all) => all.status);
  const reason = useStore(state, (all) => all.reason);
  return { status, reason };
}

/** The newest progress told for a step run, if any. */
export function useProgress(step: string): Progress | undefined {
  return useStore(useLive().state, (all) => all.progress[step]);
}

export interface JobLog {
  text: string;
  complete: boolean;
  error: string | null;
}

const EMPTY: JobLog = { text: "", complete: false, error: null };
const MOST = 1_000_000;

/** A job's log, as it grows; only its last million characters are kept. */
export function useJobLog(job: string): JobLog {
  const { connection } = useLive();
  const [log, setLog] = useState(EMPTY);
  useEffect(() => {
    setLog(EMPTY);
    connection.follow(job, 0, (part) =>
      setLog((old) => ({
        text: (old.text + (part.text ?? "")).slice(-MOST),
        complete: Boolean(part.complete),
        error: part.error ?? null,
      })),
    );
    return () => connection.unfollow(job);
  }, [connection, job]);
  return log;
}
