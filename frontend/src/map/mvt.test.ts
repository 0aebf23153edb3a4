import { expect, test } from "vitest";
import { readSegments } from "./mvt";

/** A minimal writer, straight from the specification, as the reader's reference. */
const varint = (value: number): number[] =>
  value < 128 ? [value] : [(value & 127) | 128, ...varint(Math.floor(value / 128))];
const zigzag = (value: number): number => (value < 0 ? -2 * value - 1 : 2 * value);
const part = (field: number, bytes: number[]): number[] => [
  ...varint(field * 8 + 2),
  ...varint(bytes.length),
  ...bytes,
];
type Ring = [number, number][];

function geometry(rings: Ring[]): number[] {
  const out: number[] = [];
  let pen = [0, 0];
  for (const [start, ...rest] of rings) {
    const step = (to: [number, number]) => {
      out.push(...varint(zigzag(to[0] - (pen[0] ?? 0))), ...varint(zigzag(to[1] - (pen[1] ?? 0))));
      pen = to;
    };
    out.push(...varint((1 << 3) | 1));
    step(start as [number, number]);
    out.push(...varint((rest.length << 3) | 2));
    rest.forEach(step);
    out.push(...varint((1 << 3) | 7));
  }
  return out;
}

function tile(features: { id: number; rings: Ring[] }[], extent = 4096): Uint8Array {
  const layer = [
    ...part(1, [...new TextEncoder().encode("Nuclei")]),
    ...features.flatMap(({ id, rings }) =>
      part(2, [
        ...varint(8),
        ...varint(id),
        ...part(2, [0, 0]),
        ...varint(24),
        3,
        ...part(4, geometry(rings)),
      ]),
    ),
    ...varint(40),
    ...varint(extent),
    ...varint(120),
    2,
  ];
  return new Uint8Array(part(3, layer));
}

const square: Ring = [
  [10, 10],
  [30, 10],
  [30, 40],
  [10, 40],
];

test("a polygon gives its closed outline with its object's index", () => {
  const { points, indices, extent } = readSegments(tile([{ id: 1_234_567, rings: [square] }]));

  expect([...points]).toEqual([10, 10, 30, 10, 30, 10, 30, 40, 30, 40, 10, 40, 10, 40, 10, 10]);
  expect([...indices]).toEqual([1_234_567, 1_234_567, 1_234_567, 1_234_567]);
  expect(extent).toBe(4096);
});

test("parts and holes start where the pen was left, also beyond the tile's edge", () => {
  const hole: Ring = [
    [-15, -20],
    [-25, -20],
    [-25, 5000],
  ];

  const { points, indices } = readSegments(tile([{ id: 7, rings: [square, hole] }], 512));

  expect([...points.slice(16)]).toEqual([-15, -20, -25, -20, -25, -20, -25, 5000, -25, 5000, -15, -20]);
  expect(indices.length).toBe(7);
});

test("several features keep apart, and more than the first buffer holds are kept", () => {
  const many = Array.from({ length: 2000 }, (_, i) => ({ id: i + 1, rings: [square] }));

  const { indices, points } = readSegments(tile(many));

  expect(indices.length).toBe(8000);
  expect(points.length).toBe(32_000);
  expect(indices[7999]).toBe(2000);
});

test("an empty tile has no segments", () => {
  expect(readSegments(new Uint8Array(0)).indices.length).toBe(0);
  expect(readSegments(tile([])).indices.length).toBe(0);
});

test("damaged bytes are refused instead of drawn", () => {
  const whole = tile([{ id: 7, rings: [square] }]);

  expect(() => readSegments(whole.slice(0, whole.length - 6))).toThrow(RangeError);
  expect(() => readSegments(new Uint8Array([0x1f, 1]))).toThrow(RangeError);
});

test("corners are cut: stairs of one pixel become a line, long edges keep their middle", () => {
  const stairs: Ring = [
    [0, 0],
    [8, 0],
    [8, 8],
    [16, 8],
    [16, 16],
    [0, 16],
  ];

  const { points, indices } = readSegments(tile([{ id: 5, rings: [stairs] }]), 4);

  const lines = Array.from({ length: indices.length }, (_, i) => [...points.slice(4 * i, 4 * i + 4)]);
  // the stairs, one straight run of diagonals
  expect(lines).toContainEqual([4, 0, 8, 4]);
  expect(lines).toContainEqual([8, 4, 12, 8]);
  expect(lines).toContainEqual([12, 8, 16, 12]);
  // the long edges but for their corners
  expect(lines).toContainEqual([12, 16, 4, 16]);
  expect(lines).toContainEqual([0, 12, 0, 4]);
  // closed: each end is another's start
  const starts = lines.map(([x, y]) => `${x},${y}`).sort();
  expect(lines.map(([, , x, y]) => `${x},${y}`).sort()).toEqual(starts);
});
