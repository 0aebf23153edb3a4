/**
 * Outlines from Mapbox Vector Tiles (MVT 2.1), read into line segments for the GPU.
 *
 * Only what outlines need is read: features with an id and a polygon. Attributes are skipped.
 */

export interface Segments {
  /** x0, y0, x1, y1 of each segment, in units of the tile's extent. */
  points: Int16Array;
  /** Object index of each segment. */
  indices: Uint32Array;
  extent: number;
}

const MOVE_TO = 1;
const LINE_TO = 2;
const CLOSE_PATH = 7;

/** A reader of protocol-buffer fields over bytes. */
class Reader {
  constructor(
    readonly bytes: Uint8Array,
    public at = 0,
    readonly end = bytes.length,
  ) {}

  /** Read a varint; exact to 2^53. */
  varint(): number {
    let value = 0;
    let factor = 1;
    for (;;) {
      if (this.at >= this.end) throw new RangeError("vector tile ends early");
      const byte = this.bytes[this.at++] as number;
      value += (byte & 0x7f) * factor;
      if (byte < 0x80) return value;
      factor *= 128;
    }
  }

  /** Return a reader over the next length-delimited field. */
  part(): Reader {
    const length = this.varint();
    const start = this.at;
    this.at = start + length;
    if (this.at > this.end) throw new RangeError("vector tile ends early");
    return new Reader(this.bytes, start, this.at);
  }

  skip(wire: number): void {
    if (wire === 0) this.varint();
    else if (wire === 1) this.at += 8;
    else if (wire === 2) this.part();
    else if (wire === 5) this.at += 4;
    else throw new RangeError(`vector tile has a field of wire type ${wire}`);
  }
}

/** Segments that grow as they are read. */
class Collector {
  points = new Int16Array(4096);
  indices = new Uint32Array(1024);
  count = 0;

  add(x0: number, y0: number, x1: number, y1: number, index: number): void {
    if (this.count === this.indices.length) this.grow();
    const at = this.count * 4;
    this.points[at] = x0;
    this.points[at + 1] = y0;
    this.points[at + 2] = x1;
    this.points[at + 3] = y1;
    this.indices[this.count++] = index;
  }

  private grow(): void {
    const points = new Int16Array(this.points.length * 2);
    points.set(this.points);
    this.points = points;
    const indices = new Uint32Array(this.indices.length * 2);
    indices.set(this.indices);
    this.indices = indices;
  }
}

const zigzag = (value: number): number => (value % 2 === 0 ? value / 2 : -(value + 1) / 2);

/**
 * Follows a geometry's commands and notes the segments of each ring.
 *
 * Outlines run along the borders of pixels. With a `cut` of half a pixel each corner is cut off there, so that
 * the stairs of a slanted border become a line; no point of the outline moves by more than half a pixel.
 */
class Pen {
  private x = 0;
  private y = 0;
  private ring: number[] = [];

  constructor(
    private readonly index: number,
    private readonly into: Collector,
    private readonly cut: number,
  ) {}

  moveTo(dx: number, dy: number): void {
    this.ring = [];
    this.lineTo(dx, dy);
  }

  lineTo(dx: number, dy: number): void {
    this.x += dx;
    this.y += dy;
    this.ring.push(this.x, this.y);
  }

  /** Note the ring. The pen stays: the next MoveTo is relative to the last point drawn. */
  close(): void {
    const { ring } = this;
    const n = ring.length / 2;
    for (let i = 0; i < n; i++) {
      const [x0, y0] = [ring[2 * i] as number, ring[2 * i + 1] as number];
      const j = (i + 1) % n;
      const [x1, y1] = [ring[2 * j] as number, ring[2 * j + 1] as number];
      this.edge(x0, y0, x1, y1);
      if (this.cut > 0)
        this.corner(x0, y0, x1, y1, ring[2 * ((i + 2) % n)] as number, ring[2 * ((i + 2) % n) + 1] as number);
    }
  }

  /** Note an edge but for what the corners at its ends take. */
  private edge(x0: number, y0: number, x1: number, y1: number): void {
    const length = Math.hypot(x1 - x0, y1 - y0);
    const part = length ? Math.min(this.cut / length, 0.5) : 0;
    if (!length || part === 0.5) return;
    const [dx, dy] = [(x1 - x0) * part, (y1 - y0) * part];
    this.into.add(x0 + dx, y0 + dy, x1 - dx, y1 - dy, this.index);
  }

  /** Note the line that cuts the corner at (x1, y1) between two edges. */
  private corner(x0: number, y0: number, x1: number, y1: number, x2: number, y2: number): void {
    const before = Math.min(this.cut / Math.hypot(x1 - x0, y1 - y0), 0.5);
    const after = Math.min(this.cut / Math.hypot(x2 - x1, y2 - y1), 0.5);
    this.into.add(
      x1 - (x1 - x0) * before,
      y1 - (y1 - y0) * before,
      x1 + (x2 - x1) * after,
      y1 + (y2 - y1) * after,
      this.index,
    );
  }
}

function readGeometry(geometry: Reader, index: number, into: Collector, cut: number): void {
  const pen = new Pen(index, into, cut);
  while (geometry.at < geometry.end) {
    const command = geometry.varint();
    const kind = command & 7;
    if (kind === CLOSE_PATH) pen.close();
    else if (kind !== MOVE_TO && kind !== LINE_TO) {
      throw new RangeError(`vector tile has an unknown command ${kind}`);
    } else {
      for (let n = command >> 3; n > 0; n--) {
        const [dx, dy] = [zigzag(geometry.varint()), zigzag(geometry.varint())];
        if (kind === LINE_TO) pen.lineTo(dx, dy);
        else pen.moveTo(dx, dy);
      }
    }
  }
}

function readFeature(feature: Reader, into: Collector, cut: number): void {
  let index = 0;
  let geometry: Reader | null = null;
  while (feature.at < feature.end) {
    const tag = feature.varint();
    if (tag === 8) index = feature.varint();
    else if (tag === 34) geometry = feature.part();
    else feature.skip(tag & 7);
  }
  if (geometry) readGeometry(geometry, index, into, cut);
}

/**
 * Read the first layer of a tile; an empty tile gives no segments. Throws RangeError on damaged bytes.
 *
 * `cut` is how much of each edge its corners take at either end, in units of the tile's extent.
 */
export function readSegments(bytes: Uint8Array, cut = 0): Segments {
  const tile = new Reader(bytes);
  const into = new Collector();
  let extent = 4096;
  while (tile.at < tile.end) {
    const tag = tile.varint();
    if (tag >> 3 !== 3) {
      tile.skip(tag & 7);
      continue;
    }
    const layer = tile.part();
    while (layer.at < layer.end) {
      const field = layer.varint();
      if (field === 18) readFeature(layer.part(), into, cut);
      else if (field === 40) extent = layer.varint();
      else layer.skip(field & 7);
    }
    break;
  }
  return { points: into.points.slice(0, into.count * 4), indices: into.indices.slice(0, into.count), extent };
}
