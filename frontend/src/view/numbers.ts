/** How numbers are written in the view. */

/** Write a value with about `digits` significant digits, large ones with thin spaces, missing ones as a dash. */
export function formatNumber(value: number | null | undefined, digits = 4): string {
  if (value === null || value === undefined || Number.isNaN(value)) return "–";
  const size = Math.abs(value);
  if (size >= 1e7 || (size > 0 && size < 1e-3)) return value.toExponential(digits - 2);
  const decimals = size === 0 ? 0 : Math.max(0, digits - 1 - Math.floor(Math.log10(size)));
  const rounded = Number.isInteger(value) ? String(value) : value.toFixed(decimals);
  return rounded.replace(/\B(?=(\d{3})+(?!\d))(?<!\.\d*)/g, "\u2009");
}

/** Return a value with at most six significant digits: what a field shows of a percentile. */
export function shortNumber(value: number): number {
  return Number(value.toPrecision(6));
}

/** Return a round number (1, 2 or 5 times a power of ten) that is at most `value`. */
export function roundDown(value: number): number {
  const power = 10 ** Math.floor(Math.log10(value));
  const lead = value / power;
  return (lead >= 5 ? 5 : lead >= 2 ? 2 : 1) * power;
}

export interface ScaleBar {
  /** Length on the screen in CSS pixels. */
  length: number;
  text: string;
}

/** Return a scale bar of at most `room` CSS pixels; in pixels where their size is not known. */
export function scaleBar(scale: number, pixelSizeUm: number | null, room = 120): ScaleBar {
  if (!pixelSizeUm) {
    const pixels = Math.max(1, roundDown(room / scale));
    return { length: pixels * scale, text: `${formatNumber(pixels)} px` };
  }
  const um = roundDown((room / scale) * pixelSizeUm);
  const length = (um / pixelSizeUm) * scale;
  if (um >= 1000) return { length, text: `${formatNumber(um / 1000)} mm` };
  return { length, text: um >= 1 ? `${formatNumber(um)} µm` : `${formatNumber(um * 1000)} nm` };
}

/** Return a step for sliders over a range: whole numbers where they are fine enough. */
export function stepOf(low: number, high: number, whole: boolean): number {
  const width = high - low;
  if (whole && width >= 100) return 1;
  return width > 0 ? roundDown(width / 500) : 1;
}
