/** How often each brightness occurs; the part inside the window is drawn in the channel's colour. */

import type { ChannelView } from "../store/viewState";
import type { MosaicChannel } from "./requests";

const BARS = 64;

/** Return the heights (0 … 1) of `BARS` bars over a range, on a root scale so that rare bright pixels show. */
export function histogramBars(histogram: MosaicChannel["histogram"], low: number, high: number): number[] {
  const { counts } = histogram;
  const bars = new Array<number>(BARS).fill(0);
  const binWidth = (histogram.high - histogram.low) / counts.length;
  if (!(binWidth > 0) || !(high > low)) return bars;
  // Each bar takes its share of every bin it covers: with fewer bins than bars no bar stays empty by chance.
  for (let bar = 0; bar < BARS; bar++) {
    const from = (low + ((high - low) * bar) / BARS - histogram.low) / binWidth;
    const to = (low + ((high - low) * (bar + 1)) / BARS - histogram.low) / binWidth;
    for (let bin = Math.max(0, Math.floor(from)); bin < Math.min(counts.length, to); bin++) {
      const share = Math.min(to, bin + 1) - Math.max(from, bin);
      bars[bar] = (bars[bar] ?? 0) + (counts[bin] ?? 0) * Math.max(0, share);
    }
  }
  const most = Math.max(...bars, 1e-12);
  return bars.map((count) => Math.cbrt(count / most));
}

interface HistogramProps {
  channel: ChannelView;
  described: MosaicChannel;
  range: [number, number];
}

export function Histogram({ channel, described, range }: HistogramProps) {
  const [low, high] = range;
  const bars = histogramBars(described.histogram, low, high);
  const inside = (bar: number) => {
    const value = low + ((high - low) * (bar + 0.5)) / BARS;
    return value >= channel.low && value <= channel.high;
  };
  return (
    <svg
      viewBox={`0 0 ${BARS} 30`}
      preserveAspectRatio="none"
      aria-hidden="true"
      style={{ display: "block", width: "100%", height: 32 }}
    >
      {bars.map((height, bar) => (
        <rect
          // biome-ignore lint/suspicious/noArrayIndexKey: a bar is its position
          key={bar}
          x={bar + 0.1}
          width={0.8}
          y={30 - height * 29}
          height={height * 29}
          fill={inside(bar) ? channel.color : "var(--mantine-color-dark-3, #555)"}
        />
      ))}
    </svg>
  );
}
