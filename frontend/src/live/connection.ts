/**
 * One socket to one experiment: numbered events without gaps, progress, one followed log.
 *
 * Events carry consecutive numbers. A message that begins after the next expected number, or the end of a
 * connection, makes the client ask for what it missed before it goes on, so that nothing is applied twice,
 * out of order, or not at all.
 */

import { type ApiError, getJson, localPath } from "../api/client";
import type { LiveEvent, LogText, Message, Progress } from "./messages";

export type LiveStatus = "connecting" | "open" | "waiting" | "closed";

export interface LiveHandlers {
  events: (events: LiveEvent[]) => void;
  progress: (progress: Progress) => void;
  status: (status: LiveStatus, reason?: string) => void;
  /** What was read before the socket opened may be stale. */
  resync: () => void;
}

interface EventPage {
  next: string | null;
  results: LiveEvent[];
  newest: number;
}

export interface LiveOptions {
  open?: (url: string) => WebSocket;
  read?: (path: string) => Promise<EventPage>;
  /** Milliseconds before the n-th try to connect again. */
  delay?: (tries: number) => number;
}

const FINAL = new Set([4400, 4401, 4403]);
const LONGEST_WAIT = 15_000;

function backOff(tries: number): number {
  return Math.min(LONGEST_WAIT, 500 * 2 ** tries) * (0.5 + Math.random() / 2);
}

function socketUrl(experiment: string, after: number | null): string {
  const scheme = window.location.protocol === "https:" ? "wss" : "ws";
  const query = after === null ? "" : `?after=${after}`;
  return `${scheme}://${window.location.host}/ws/v1/experiments/${experiment}/${query}`;
}

export class LiveConnection {
  private socket: WebSocket | null = null;
  private last: number | null = null;
  private held: LiveEvent[] = [];
  private catchingUp = false;
  private tries = 0;
  private timer: number | undefined;
  private stopped = false;
  private log: { job: string; after: number; tell: (part: LogText) => void } | null = null;

  constructor(
    private readonly experiment: string,
    private readonly handlers: LiveHandlers,
    private readonly options: LiveOptions = {},
  ) {}

  start(): void {
    this.stopped = false;
    this.connect();
    window.addEventListener("online", this.hurry);
  }

  stop(): void {
    this.stopped = true;
    window.clearTimeout(this.timer);
    window.removeEventListener("online", this.hurry);
    this.socket?.close();
    this.socket = null;
  }

  /** Tell `tell` a job's log from a byte on, as it grows, until `unfollow`; replaces the log before. */
  follow(job: string, after: number, tell: (part: LogText) => void): void {
    this.log = { job, after, tell };
    this.send({ type: "log.follow", job, after });
  }

  unfollow(job: string): void {
    if (this.log?.job !== job) return;
    this.log = null;
    this.send({ type: "log.stop" });
  }

  private readonly hurry = (): void => {
    if (this.socket) return;
    window.clearTimeout(this.timer);
    this.connect();
  };

  private send(message: unknown): void {
    if (this.socket?.readyState === WebSocket.OPEN) this.socket.send(JSON.stringify(message));
  }

  private connect(): void {
    this.handlers.status("connecting");
    const url = socketUrl(this.experiment, this.last);
    const socket = (this.options.open ?? ((address: string) => new WebSocket(address)))(url);
    this.socket = socket;
    socket.onopen = () => {
      if (this.log) this.send({ type: "log.follow", job: this.log.job, after: this.log.after });
    };
    socket.onmessage = (message) => this.take(JSON.parse(String(message.data)) as Message);
    socket.onclose = (event) => {
      if (this.socket === socket) this.lost(event.code);
    };
  }

  private lost(code: number): void {
    this.socket = null;
    if (this.stopped) return;
    if (FINAL.has(code)) {
      this.stopped = true;
      this.handlers.status("closed", code === 4403 ? "access_revoked" : "not_allowed");
      return;
    }
    this.handlers.status("waiting");
    const wait = (this.options.delay ?? backOff)(this.tries);
    this.tries += 1;
    this.timer = window.setTimeout(() => this.connect(), wait);
  }

  private take(message: Message): void {
    if (message.type === "events") this.number(message.from, message.to, message.events);
    else if (message.type === "progress") this.handlers.progress(message);
    else if (message.type === "log" && message.job === this.log?.job) this.grow(message);
    else if (message.type === "closed") this.handlers.status("closed", message.code);
  }

  private grow(part: LogText): void {
    if (!this.log) return;
    this.log.after = part.next ?? this.log.after;
    this.log.tell(part);
  }

  private number(from: number, to: number, events: LiveEvent[]): void {
    this.tries = 0;
    if (this.last === null || to < this.last - 1_000_000 || (events.length === 0 && to < this.last)) {
      // The first message of all, or a server that lost its count: read everything anew from here.
      this.last = to;
      this.handlers.resync();
      this.handlers.status("open");
      return;
    }
    this.handlers.status("open");
    if (this.catchingUp) this.held.push(...events);
    else if (from > this.last + 1) void this.catchUp(events);
    else this.pass(events);
  }

  private pass(events: LiveEvent[]): void {
    const fresh = events.filter((event) => event.sequence > (this.last ?? 0));
    const newest = fresh.at(-1);
    if (!newest) return;
    this.last = newest.sequence;
    this.handlers.events(fresh);
  }

  private async catchUp(events: LiveEvent[]): Promise<void> {
    this.catchingUp = true;
    this.held = [...events];
    const read = this.options.read ?? ((path: string) => getJson<EventPage>(path));
    try {
      let path: string | null = `experiments/${this.experiment}/events/?after=${this.last}`;
      while (path) {
        const page: EventPage = await read(path);
        this.pass(page.results);
        path = page.next && localPath(page.next);
      }
    } catch (error) {
      // What cannot be replayed is read anew.
      if ((error as ApiError).status !== 401) this.handlers.resync();
    }
    this.catchingUp = false;
    this.pass(this.held);
    this.held = [];
  }
}
