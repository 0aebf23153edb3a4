/** Colour maps for values: a few that read well on black, are even in lightness and safe for colour-blind eyes. */

const STOPS: Record<string, string> = {
  viridis: "440154 482475 414487 355f8d 2a788e 21918c 22a884 44bf70 7ad151 bddf26 fde725",
  plasma: "0d0887 41049d 6a00a8 8f0da4 b12a90 cc4778 e16462 f2844b fca636 fcce25 f0f921",
  magma: "000004 140e36 3b0f70 641a80 8c2981 b73779 de4968 f7705c fe9f6d fecf92 fcfdbf",
  cividis: "00224e 123570 3b496c 575d6d 707173 8a8678 a59c74 c3b369 e1cc55 fee838",
  "blue–red": "3b4cc0 6788ee 9abbff c9d7f0 edd1c2 f7a889 e26952 b40426",
  grey: "101010 ffffff",
};

export const COLOR_MAPS = Object.keys(STOPS);
export const DEFAULT_MAP = "viridis";

export type Rgb = [number, number, number];

/** Return red, green, blue (0 … 255) of "#rrggbb". */
export function parseColor(hex: string): Rgb {
  const value = Number.parseInt(hex.replace("#", ""), 16);
  return [(value >> 16) & 255, (value >> 8) & 255, value & 255];
}

const ramps = new Map<string, Uint8Array>();

/** Return a colour map as 256 RGBA values; an unknown name gives the default. */
export function colorRamp(name: string): Uint8Array {
  const known = ramps.get(name);
  if (known) return known;
  const stops = (STOPS[name] ?? (STOPS[DEFAULT_MAP] as string)).split(" ").map(parseColor);
  const ramp = new Uint8Array(256 * 4);
  for (let i = 0; i < 256; i++) {
    const at = (i / 255) * (stops.length - 1);
    const left = Math.min(stops.length - 2, Math.floor(at));
    const [a, b] = [stops[left] as Rgb, stops[left + 1] as Rgb];
    const mixed = a.map((value, k) => Math.round(value + ((b[k] as number) - value) * (at - left)));
    ramp.set([...mixed, 255], i * 4);
  }
  ramps.set(name, ramp);
  return ramp;
}

/** Return the colour of a value within a range; null for a missing value. */
export function colorOf(value: number, low: number, high: number, map: string): Rgb | null {
  if (Number.isNaN(value)) return null;
  const part = high > low ? (value - low) / (high - low) : value >= high ? 1 : 0;
  const at = Math.round(Math.min(1, Math.max(0, part)) * 255) * 4;
  const ramp = colorRamp(map);
  return [ramp[at] as number, ramp[at + 1] as number, ramp[at + 2] as number];
}

/** Return a colour map as a CSS gradient that runs from one part of the width (0 … 1) to another. */
export function cssGradient(name: string, from = 0, to = 1): string {
  const ramp = colorRamp(name);
  const stops = Array.from({ length: 17 }, (_, i) => {
    const at = Math.round((i / 16) * 255) * 4;
    const place = ((from + ((to - from) * i) / 16) * 100).toFixed(2);
    return `rgb(${ramp[at]} ${ramp[at + 1]} ${ramp[at + 2]}) ${place}%`;
  });
  return `linear-gradient(to right, ${stops.join(", ")})`;
}
