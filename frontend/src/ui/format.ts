/** How counts, sizes and times are written. */

const UNITS = ["bytes", "kB", "MB", "GB", "TB", "PB"];

export function formatBytes(bytes: number): string {
  let value = bytes;
  let unit = 0;
  while (value >= 1000 && unit < UNITS.length - 1) {
    value /= 1000;
    unit += 1;
  }
  return `${unit && value < 100 ? value.toFixed(1) : Math.round(value)} ${UNITS[unit]}`;
}

/** Write a whole number with thin spaces between thousands. */
export function formatCount(count: number): string {
  return String(count).replace(/\B(?=(\d{3})+$)/g, "\u2009");
}

/** Write "1 file", "2 files". */
export function plural(count: number, noun: string): string {
  return `${formatCount(count)} ${noun}${count === 1 ? "" : "s"}`;
}

/** Write the time between two moments as h:mm:ss; an open end means now. */
export function formatDuration(from: string | null, to: string | null, now = Date.now()): string {
  if (!from) return "–";
  const end = to ? Date.parse(to) : now;
  const seconds = Math.max(0, Math.round((end - Date.parse(from)) / 1000));
  const two = (value: number) => String(value).padStart(2, "0");
  return `${Math.floor(seconds / 3600)}:${two(Math.floor(seconds / 60) % 60)}:${two(seconds % 60)}`;
}

export function formatDate(moment: string): string {
  return new Date(moment).toLocaleString("en-GB", { dateStyle: "medium", timeStyle: "short" });
}

/** Turn a name of the API ("image_conversion") into words. */
export function words(name: string): string {
  return name.replaceAll("_", " ");
}
