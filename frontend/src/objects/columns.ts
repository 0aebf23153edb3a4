/** Columns of values by object index: fetched once, kept while there is room, shared by map, plate map and read-out. */

export interface Column {
  /** Address it came from; equal addresses have equal values. */
  url: string;
  /** values[i] belongs to object i + 1; NaN = missing. */
  values: Float32Array;
}

export type ColumnState = Column | "loading" | { error: string };

const KEPT_BYTES = 256 * 1024 * 1024;

export class ColumnStore {
  private readonly columns = new Map<string, ColumnState>(); // in the order of use, oldest first
  private readonly listeners = new Set<() => void>();
  private version = 0;

  constructor(private readonly load: (url: string) => Promise<ArrayBuffer>) {}

  /** Return a column, or start to load it. */
  get(url: string): ColumnState {
    const known = this.columns.get(url);
    if (known) {
      this.columns.delete(url);
      this.columns.set(url, known);
      return known;
    }
    this.columns.set(url, "loading");
    void this.fetch(url);
    return "loading";
  }

  /** Return a column only if its values are here, and start to load it otherwise. */
  ready(url: string): Column | undefined {
    const state = this.get(url);
    return typeof state === "object" && "values" in state ? state : undefined;
  }

  /** Forget a column that could not be loaded, so that it is asked for again. */
  retry(url: string): void {
    this.columns.delete(url);
    this.tell();
  }

  subscribe = (listener: () => void): (() => void) => {
    this.listeners.add(listener);
    return () => this.listeners.delete(listener);
  };

  /** Return a number that changes whenever a column arrives. */
  snapshot = (): number => this.version;

  private async fetch(url: string): Promise<void> {
    try {
      const bytes = await this.load(url);
      if (bytes.byteLength % 4)
        throw new RangeError(`a column of ${bytes.byteLength} bytes is not made of numbers`);
      this.columns.set(url, { url, values: new Float32Array(bytes) });
      this.evict();
    } catch (error) {
      this.columns.set(url, { error: error instanceof Error ? error.message : String(error) });
    }
    this.tell();
  }

  private evict(): void {
    let bytes = 0;
    for (const [url, state] of [...this.columns].reverse()) {
      if (typeof state !== "object" || !("values" in state)) continue;
      bytes += state.values.byteLength;
      if (bytes > KEPT_BYTES && bytes > state.values.byteLength) this.columns.delete(url);
    }
  }

  private tell(): void {
    this.version++;
    for (const listener of this.listeners) listener();
  }
}
