/** One number per well from one value per object. */

export interface WellRange {
  name: string;
  first: number;
  count: number;
}

export interface WellValue {
  name: string;
  /** Mean of the values that are there; NaN if there is none. */
  mean: number;
  /** Objects in the well, with or without a value. */
  count: number;
}

/** Return the mean of each well; `values[i]` belongs to object i + 1, a well's objects are one run of indices. */
export function wellMeans(values: Float32Array, wells: readonly WellRange[]): WellValue[] {
  return wells.map(({ name, first, count }) => {
    let sum = 0;
    let present = 0;
    const end = Math.min(values.length, first - 1 + count);
    for (let i = first - 1; i < end; i++) {
      const value = values[i] as number;
      if (!Number.isNaN(value)) {
        sum += value;
        present++;
      }
    }
    return { name, mean: present ? sum / present : Number.NaN, count };
  });
}

/** Return the range of the wells' means, widened when they are all alike; null if no well has one. */
export function meansRange(wells: readonly WellValue[]): [low: number, high: number] | null {
  const means = wells.map((w) => w.mean).filter((mean) => !Number.isNaN(mean));
  if (!means.length) return null;
  const low = Math.min(...means);
  const high = Math.max(...means);
  return low < high ? [low, high] : [low - 0.5, high + 0.5];
}
