/** Which tile lies in which layer of which texture array. Bookkeeping only, no WebGL. */

export interface Place {
  array: number;
  layer: number;
}

/**
 * Layers of several texture arrays with least-recently-used eviction.
 *
 * Arrays are opened one by one as they are needed, so a small screen takes little memory.
 */
export class LayerPool {
  private readonly places = new Map<string, Place>(); // in the order of use, oldest first
  private free: Place[] = [];
  private opened = 0;

  constructor(
    readonly arrays: number,
    readonly layers: number,
    private readonly evicted: (key: string) => void = () => {},
  ) {}

  get capacity(): number {
    return this.arrays * this.layers;
  }

  get size(): number {
    return this.places.size;
  }

  has(key: string): boolean {
    return this.places.has(key);
  }

  /** Return a tile's place and mark it as just used. */
  get(key: string): Place | undefined {
    const place = this.places.get(key);
    if (place) {
      this.places.delete(key);
      this.places.set(key, place);
    }
    return place;
  }

  /** Return a tile's place without marking it as used. */
  peek(key: string): Place | undefined {
    return this.places.get(key);
  }

  /** Find a place for a tile; undefined if every layer holds a tile in `keep`. */
  take(key: string, keep: ReadonlySet<string>): Place | undefined {
    const known = this.get(key);
    if (known) return known;
    const place = this.free.pop() ?? this.open() ?? this.evict(keep);
    if (place) this.places.set(key, place);
    return place;
  }

  clear(): void {
    for (const key of this.places.keys()) this.evicted(key);
    this.places.clear();
    this.free = [];
    this.opened = 0;
  }

  private open(): Place | undefined {
    if (this.opened === this.arrays) return undefined;
    const array = this.opened++;
    for (let layer = this.layers - 1; layer >= 0; layer--) this.free.push({ array, layer });
    return this.free.pop();
  }

  private evict(keep: ReadonlySet<string>): Place | undefined {
    for (const [key, place] of this.places) {
      if (keep.has(key)) continue;
      this.places.delete(key);
      this.evicted(key);
      return place;
    }
    return undefined;
  }
}
