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

/** Follows a geometry's commands and notes the segments it draws. */
class Pen {
  private x = 0;
  private y = 0;
  private startX = 0;
  private startY = 0;

  constructor(
    private readonly index: number,
    private readonly into: Collector,
  ) {}

  moveTo(dx: number, dy: number): void {
    this.startX = this.x += dx;
    this.startY = this.y += dy;
  }

  lineTo(dx: number, dy: number): void {
    const [x, y] = [this.x + dx, this.y + dy];
    this.into.add(this.x, this.y, x, y, this.index);
    this.x = x;
    this.y = y;
  }

  /** Draw back to the ring's start. The pen stays: the next MoveTo is relative to the last point drawn. */
  close(): void {
    const { x, y, startX, startY } = this;
    if (x !== startX || y !== startY) this.into.add(x, y, startX, startY, this.index);
  }
}

function readGeometry(geometry: Reader, index: number, into: Collector): void {
  const pen = new Pen(index, into);
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

function readFeature(feature: Reader, into: Collector): void {
  let index = 0;
  let geometry: Reader | null = null;
  while (feature.at < feature.end) {
    const tag = feature.varint();
    if (tag === 8) index = feature.varint();
    else if (tag === 34) geometry = feature.part();
    else feature.skip(tag & 7);
  }
  if (geometry) readGeometry(geometry, index, into);
}

/** Read the first layer of a tile; an empty tile gives no segments. Throws RangeError on damaged bytes. */
export function readSegments(bytes: Uint8Array): Segments {
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
      if (field === 18) readFeature(layer.part(), into);
      else if (field === 40) extent = layer.varint();
      else layer.skip(field & 7);
    }
    break;
  }
  return { points: into.points.slice(0, into.count * 4), indices: into.indices.slice(0, into.count), extent };
}
