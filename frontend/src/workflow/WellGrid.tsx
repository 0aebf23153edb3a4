/** Wells of a plate as small squares, filled by a value from 0 to 1. */

const SIDE = 16;
const GAP = 2;

export interface WellValue {
  well: string;
  /** 0 … 1 */
  value: number;
  /** What a pointer or a screen reader is told. */
  text: string;
}

/** Return row and column, from 0, of a well such as B02 or AA13; null for other names. */
export function wellPlace(name: string): [row: number, column: number] | null {
  const match = /^([A-Z]{1,2})(\d{1,2})$/.exec(name);
  if (!match?.[1] || !match[2]) return null;
  const row = [...match[1]].reduce((sum, letter) => 26 * sum + letter.charCodeAt(0) - 64, 0) - 1;
  return [row, Number(match[2]) - 1];
}

export function WellGrid({ label, values }: { label: string; values: WellValue[] }) {
  const placed = values.flatMap((each) => {
    const place = wellPlace(each.well);
    return place ? [{ ...each, row: place[0], column: place[1] }] : [];
  });
  const rows = Math.max(0, ...placed.map(({ row }) => row)) + 1;
  const columns = Math.max(0, ...placed.map(({ column }) => column)) + 1;
  const step = SIDE + GAP;
  return (
    <svg
      role="img"
      aria-label={label}
      width={columns * step}
      height={rows * step}
      style={{ maxWidth: "100%" }}
      viewBox={`0 0 ${columns * step} ${rows * step}`}
    >
      <title>{label}</title>
      {placed.map((each) => (
        <rect
          key={each.well}
          x={each.column * step}
          y={each.row * step}
          width={SIDE}
          height={SIDE}
          rx={3}
          fill={each.value > 0 ? `rgb(255 146 43 / ${0.25 + 0.75 * Math.min(1, each.value)})` : "#3a3d42"}
        >
          <title>{each.text}</title>
        </rect>
      ))}
    </svg>
  );
}
