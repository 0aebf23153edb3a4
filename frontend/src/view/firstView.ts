/** The view that opens by itself, and how a view from a link meets an experiment that has changed since. */

import { DEFAULT_MAP } from "../objects/colormaps";
import type { ChannelView, Colouring, ObjectView, ViewState } from "../store/viewState";
import type { FeatureSummary, Mosaic, MosaicChannel, ObjectSet } from "./requests";

/** For channels without a colour of their own: additive light keeps these apart. */
const PALETTE = ["#3b82ff", "#22c55e", "#ff4d4d", "#e64df0", "#f5c211", "#22d3ee", "#ff8a1f", "#ffffff"];
/** More than this many channels at once only make white. */
const VISIBLE = 4;

/** Return the channels of all mosaics, each once, in order. */
export function channelsOf(mosaics: readonly Mosaic[]): MosaicChannel[] {
  const byIndex = new Map<number, MosaicChannel>();
  for (const mosaic of mosaics)
    for (const channel of mosaic.channels) byIndex.set(channel.index, byIndex.get(channel.index) ?? channel);
  return [...byIndex.values()].sort((a, b) => a.index - b.index);
}

/** Return a channel's own colour if it can be seen on black, else one of the palette. */
function colorFor(channel: MosaicChannel): string {
  const fallback = PALETTE[channel.index % PALETTE.length] as string;
  return /^#[0-9a-f]{6}$/i.test(channel.color) && channel.color !== "#000000"
    ? channel.color.toLowerCase()
    : fallback;
}

/** Return the window that the mosaic proposes. */
export function autoWindow(channel: MosaicChannel): { low: number; high: number } {
  const [low, high] = channel.window;
  return low < high ? { low, high } : { low, high: low + 1 };
}

export function firstChannel(channel: MosaicChannel): ChannelView {
  return {
    index: channel.index,
    visible: channel.index < VISIBLE,
    color: colorFor(channel),
    ...autoWindow(channel),
    gamma: 1,
    opacity: 1,
  };
}

/** Return the features of a type over all plates, with the range that covers them all. */
export function featuresOf(sets: readonly ObjectSet[], type: string): FeatureSummary[] {
  const byName = new Map<string, FeatureSummary>();
  for (const set of sets) {
    if (set.object_type.name !== type) continue;
    for (const feature of set.features) {
      const known = byName.get(feature.name);
      byName.set(feature.name, known ? merged(known, feature) : feature);
    }
  }
  return [...byName.values()];
}

function merged(a: FeatureSummary, b: FeatureSummary): FeatureSummary {
  type Bound = number | null | undefined;
  const pick = (choose: (x: number, y: number) => number, x: Bound, y: Bound) =>
    x == null ? y : y == null ? x : choose(x, y);
  return {
    ...a,
    min: pick(Math.min, a.min, b.min),
    low: pick(Math.min, a.low, b.low),
    high: pick(Math.max, a.high, b.high),
    max: pick(Math.max, a.max, b.max),
  };
}

/** Return the range that colours are spread over: percentiles, or the extremes where those coincide. */
export function rangeOf(feature: FeatureSummary | undefined): { low: number; high: number } {
  if (feature?.low != null && feature.high != null && feature.low < feature.high) {
    return { low: feature.low, high: feature.high };
  }
  const low = feature?.min ?? 0;
  const high = feature?.max ?? 1;
  return low < high ? { low, high } : { low: low - 0.5, high: low + 0.5 };
}

/** Return the measurement worth seeing first: the mean intensity of the first channel where there is one. */
export function firstFeature(
  features: readonly FeatureSummary[],
  channel: string | undefined,
): FeatureSummary | undefined {
  const means = features.filter((f) => /mean/i.test(f.name) && /intensity/i.test(f.name));
  const named = channel === undefined ? undefined : means.find((f) => f.name.endsWith(channel));
  return named ?? means[0] ?? features[0];
}

/** Regions of the layout: objects that no pipeline has found, and that cover everything. */
const REGIONS: ReadonlySet<string> = new Set(["Plates", "Wells", "Sites"]);

/** Return the types, nuclei first: they are the smaller and lie on top; regions of the layout last. */
export function typesOf(sets: readonly ObjectSet[]): string[] {
  const types = [...new Set(sets.map((set) => set.object_type.name))];
  const rank = (type: string) => (REGIONS.has(type) ? 2 : /nucle/i.test(type) ? 0 : 1);
  return types.sort((a, b) => rank(a) - rank(b));
}

function firstObjects(sets: readonly ObjectSet[], channel: string | undefined): ObjectView[] {
  return typesOf(sets).map((type, position) => {
    const feature = firstFeature(featuresOf(sets, type), channel);
    const colour: Colouring = feature ? { feature: feature.name } : null;
    return {
      type,
      visible: position === 0 && !REGIONS.has(type),
      colour,
      ...rangeOf(feature),
      map: DEFAULT_MAP,
      fill: 0.35,
      outline: 1.5,
    };
  });
}

/** Return the view to open with; its position is set once the canvas has a size. */
export function firstView(mosaics: readonly Mosaic[], sets: readonly ObjectSet[]): Omit<ViewState, "view"> {
  const channels = channelsOf(mosaics);
  return {
    channels: channels.map(firstChannel),
    objects: firstObjects(sets, channels[0]?.name),
    selection: null,
    smoothing: true,
  };
}

/** Return the z plane to open with: the middle of the deepest stack, whose ends are mostly out of focus. */
export function firstPlane(mosaics: readonly Mosaic[]): number {
  return Math.floor(Math.max(0, ...mosaics.map((mosaic) => mosaic.n_zplanes - 1)) / 2);
}

/** Keep what a view says about what still exists; add what is new as the first view would show it. */
export function reconcile(view: ViewState, first: Omit<ViewState, "view">): Omit<ViewState, "view"> {
  const types = new Map(first.objects.map((o) => [o.type, o]));
  const kept = view.objects.filter((o) => types.has(o.type));
  const added = first.objects.filter((o) => !view.objects.some((v) => v.type === o.type));
  return {
    channels: first.channels.map(
      (channel) => view.channels.find((c) => c.index === channel.index) ?? channel,
    ),
    objects: [...kept, ...added],
    selection: view.selection && types.has(view.selection.type) ? view.selection : null,
    smoothing: view.smoothing,
  };
}
