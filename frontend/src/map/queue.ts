/**
 * What to fetch next: visible first, few at a time, nothing that nobody wants any more.
 *
 * The renderer states with every frame what it wants, best first; the queue compares that with what is
 * under way. It knows neither workers nor tiles' contents: both are handed in.
 */

export interface Wanted {
  key: string;
  url: string;
  kind: "image" | "label" | "outline";
}

export type Answer =
  | { status: "loaded"; data: unknown }
  | { status: "empty" }
  | { status: "refused" } // 401 or 403: the tile session ended
  | { status: "failed"; reason: string };

/** Fetch one thing; the signal ends it early, and then the answer is dropped. */
export type Fetcher = (wanted: Wanted, signal: AbortSignal) => Promise<Answer>;

export interface QueueOptions {
  limit?: number;
  /** Renew the tile session; resolves to whether it worked. */
  renew: () => Promise<boolean>;
  loaded: (wanted: Wanted, data: unknown) => void;
  /** Something changed that a new frame should see (an empty tile, a retry that is due). */
  changed: () => void;
  now?: () => number;
  later?: (run: () => void, ms: number) => void;
}

interface Failure {
  attempts: number;
  retryAt: number;
  reason: string;
}

const EMPTY_REMEMBERED = 200_000;
const ATTEMPTS = 8;

export class RequestQueue {
  readonly counts = { requested: 0, loaded: 0, empty: 0, failed: 0, cancelled: 0 };
  private wanted: Wanted[] = [];
  private readonly running = new Map<string, AbortController>();
  private readonly absent = new Set<string>();
  private readonly failures = new Map<string, Failure>();
  private renewal: Promise<boolean> | null = null;
  private closed = false;

  constructor(
    private readonly fetcher: Fetcher,
    private readonly options: QueueOptions,
  ) {}

  /** Replace the list of what is wanted, best first; what is under way and not in it is cancelled. */
  want(wanted: Wanted[]): void {
    const keys = new Set(wanted.map((w) => w.key));
    for (const [key, controller] of this.running) {
      if (keys.has(key)) continue;
      controller.abort();
      this.running.delete(key);
      this.counts.cancelled++;
    }
    this.wanted = wanted;
    this.fill();
  }

  /** Return whether a tile is known to be absent on the server. */
  isEmpty(key: string): boolean {
    return this.absent.has(key);
  }

  /** Return whether a tile was given up after several failures. */
  isFailed(key: string): boolean {
    return (this.failures.get(key)?.attempts ?? 0) >= ATTEMPTS;
  }

  get inFlight(): number {
    return this.running.size;
  }

  /** Return the reason of the most recent failure that still stands, or null. */
  get trouble(): string | null {
    let reason: string | null = null;
    for (const failure of this.failures.values()) reason = failure.reason;
    return reason;
  }

  /** Try again whatever failed, at once. */
  retry(): void {
    this.failures.clear();
    this.options.changed();
  }

  close(): void {
    this.closed = true;
    this.want([]);
  }

  private fill(): void {
    if (this.closed) return;
    const now = (this.options.now ?? Date.now)();
    const limit = this.options.limit ?? 8;
    for (const wanted of this.wanted) {
      if (this.running.size >= limit) return;
      if (this.running.has(wanted.key) || this.absent.has(wanted.key)) continue;
      const failure = this.failures.get(wanted.key);
      if (failure && (failure.attempts >= ATTEMPTS || failure.retryAt > now)) continue;
      this.start(wanted);
    }
  }

  private start(wanted: Wanted): void {
    const controller = new AbortController();
    this.running.set(wanted.key, controller);
    this.counts.requested++;
    void this.attempt(wanted, controller).then((answer) => {
      if (controller.signal.aborted || this.closed) return;
      this.running.delete(wanted.key);
      // Until the next frame says otherwise; else what has just come would be asked for again.
      this.wanted = this.wanted.filter((other) => other.key !== wanted.key);
      this.settle(wanted, answer);
      this.fill();
    });
  }

  private async attempt(wanted: Wanted, controller: AbortController): Promise<Answer> {
    const first = await this.ask(wanted, controller.signal);
    if (first.status !== "refused" || controller.signal.aborted) return first;
    // Many tiles are refused at once when a session ends: they share one renewal.
    this.renewal ??= this.options.renew().finally(() => {
      this.renewal = null;
    });
    if (!(await this.renewal.catch(() => false))) return first;
    return this.ask(wanted, controller.signal);
  }

  private async ask(wanted: Wanted, signal: AbortSignal): Promise<Answer> {
    try {
      return await this.fetcher(wanted, signal);
    } catch (error) {
      return { status: "failed", reason: String(error) };
    }
  }

  private settle(wanted: Wanted, answer: Answer): void {
    if (answer.status === "loaded") {
      this.counts.loaded++;
      this.failures.delete(wanted.key);
      this.options.loaded(wanted, answer.data);
      return;
    }
    if (answer.status === "empty") {
      this.counts.empty++;
      if (this.absent.size >= EMPTY_REMEMBERED) this.absent.clear();
      this.absent.add(wanted.key);
      this.failures.delete(wanted.key);
      this.options.changed();
      return;
    }
    this.fail(wanted.key, answer.status === "refused" ? "Access was refused" : answer.reason);
  }

  private fail(key: string, reason: string): void {
    this.counts.failed++;
    const attempts = (this.failures.get(key)?.attempts ?? 0) + 1;
    const wait = Math.min(30_000, 500 * 2 ** (attempts - 1));
    const retryAt = (this.options.now ?? Date.now)() + wait;
    this.failures.delete(key); // so that the newest failure is the last of the map
    this.failures.set(key, { attempts, retryAt, reason });
    this.options.changed();
    const later = this.options.later ?? ((run, ms) => void setTimeout(run, ms));
    later(() => {
      if (!this.closed) this.options.changed();
    }, wait + 1);
  }
}
