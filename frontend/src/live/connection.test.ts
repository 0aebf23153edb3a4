import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { LiveConnection, type LiveHandlers } from "./connection";
import type { LiveEvent, LogText } from "./messages";

/** A socket whose other end is the test. */
class Wire {
  static all: Wire[] = [];
  readyState: number = WebSocket.OPEN;
  sent: unknown[] = [];
  onopen: (() => void) | null = null;
  onmessage: ((message: { data: string }) => void) | null = null;
  onclose: ((event: { code: number }) => void) | null = null;

  constructor(readonly url: string) {
    Wire.all.push(this);
  }

  send(text: string): void {
    this.sent.push(JSON.parse(text));
  }

  close(): void {
    this.readyState = WebSocket.CLOSED;
  }

  say(message: unknown): void {
    this.onmessage?.({ data: JSON.stringify(message) });
  }
}

const event = (sequence: number): LiveEvent => ({ sequence, kind: "job.state", payload: {} });
const events = (from: number, to: number) => ({
  type: "events",
  from,
  to,
  events: Array.from({ length: to - from + 1 }, (_, i) => event(from + i)),
});
const newest = () => Wire.all.at(-1) as Wire;

describe("LiveConnection", () => {
  let seen: number[];
  let resyncs: number;
  let states: string[];
  let reads: string[];
  let pages: LiveEvent[][];
  let connection: LiveConnection;

  beforeEach(() => {
    vi.useFakeTimers();
    Wire.all = [];
    seen = [];
    states = [];
    reads = [];
    pages = [];
    resyncs = 0;
    const handlers: LiveHandlers = {
      events: (some) => seen.push(...some.map(({ sequence }) => sequence)),
      progress: () => undefined,
      status: (status, reason) => states.push(reason ? `${status} ${reason}` : status),
      resync: () => {
        resyncs += 1;
      },
    };
    connection = new LiveConnection("e1", handlers, {
      open: (url) => new Wire(url) as unknown as WebSocket,
      delay: () => 1000,
      read: async (path) => {
        reads.push(path);
        const results = pages.shift() ?? [];
        const next = pages.length ? `http://elsewhere/api/v1/experiments/e1/events/?after=x` : null;
        return { results, next, newest: results.at(-1)?.sequence ?? 0 };
      },
    });
    connection.start();
  });

  afterEach(() => {
    connection.stop();
    vi.useRealTimers();
  });

  it("reads everything anew at its first message, then passes events on in order", () => {
    newest().say({ type: "events", from: 5, to: 4, events: [] });
    newest().say(events(5, 6));

    expect(newest().url).toMatch(/\/ws\/v1\/experiments\/e1\/$/);
    expect(resyncs).toBe(1);
    expect(seen).toEqual([5, 6]);
    expect(states.at(-1)).toBe("open");
  });

  it("passes no event on twice", () => {
    newest().say({ type: "events", from: 5, to: 4, events: [] });
    newest().say(events(5, 6));
    newest().say(events(6, 7));

    expect(seen).toEqual([5, 6, 7]);
  });

  it("fetches what a gap hides before it goes on, page by page", async () => {
    newest().say({ type: "events", from: 5, to: 4, events: [] });
    pages = [[event(5), event(6)], [event(7)]];

    newest().say(events(8, 9));
    newest().say(events(10, 10));
    await vi.runAllTimersAsync();

    expect(reads[0]).toBe("experiments/e1/events/?after=4");
    expect(reads[1]).toBe("/api/v1/experiments/e1/events/?after=x");
    expect(seen).toEqual([5, 6, 7, 8, 9, 10]);
  });

  it("connects again after a loss, from where it was", async () => {
    newest().say({ type: "events", from: 5, to: 4, events: [] });
    newest().say(events(5, 6));

    newest().onclose?.({ code: 1006 });
    expect(states.at(-1)).toBe("waiting");
    await vi.advanceTimersByTimeAsync(1000);
    newest().say(events(7, 8));

    expect(Wire.all).toHaveLength(2);
    expect(newest().url).toMatch(/\?after=6$/);
    expect(seen).toEqual([5, 6, 7, 8]);
    expect(resyncs).toBe(1);
  });

  it("reads everything anew when the server's count has fallen back", () => {
    newest().say({ type: "events", from: 101, to: 100, events: [] });

    newest().say({ type: "events", from: 1, to: 0, events: [] });
    newest().say(events(1, 1));

    expect(resyncs).toBe(2);
    expect(seen).toEqual([1]);
  });

  it("stays closed when access is taken back", async () => {
    newest().say({ type: "closed", code: "access_revoked" });
    newest().onclose?.({ code: 4403 });
    await vi.advanceTimersByTimeAsync(60_000);

    expect(Wire.all).toHaveLength(1);
    expect(states.at(-1)).toBe("closed access_revoked");
  });

  it("follows a log over a lost connection without repeating what it has", async () => {
    const parts: LogText[] = [];
    newest().onopen?.();
    connection.follow("j1", 0, (part) => parts.push(part));
    newest().say({ type: "log", job: "j1", after: 0, text: "one", next: 3, complete: false });
    newest().say({ type: "log", job: "other", after: 0, text: "no", next: 2, complete: false });

    newest().onclose?.({ code: 1006 });
    await vi.advanceTimersByTimeAsync(1000);
    newest().onopen?.();

    expect(parts.map(({ text }) => text)).toEqual(["one"]);
    expect(newest().sent).toEqual([{ type: "log.follow", job: "j1", after: 3 }]);
  });
});
