/** The view as one plain JSON object: what the store holds, what the address carries, what a saved view is. */

export interface Position {
  /** Centre of the canvas in world pixels. */
  x: number;
  y: number;
  /** CSS pixels per world pixel. */
  scale: number;
  t: number;
  z: number;
  /** The plate that the plate map shows; null = none chosen yet. */
  plate: string | null;
}

export interface ChannelView {
  index: number;
  visible: boolean;
  /** #rrggbb */
  color: string;
  /** Window in the microscope's units. */
  low: number;
  high: number;
  gamma: number;
  opacity: number;
}

/** What colours objects: a feature, a tool's result, or nothing. */
export type Colouring = { feature: string } | { toolResult: string } | null;

export interface ObjectView {
  type: string;
  visible: boolean;
  colour: Colouring;
  low: number;
  high: number;
  /** Name of the colour map. */
  map: string;
  /** Opacity of the fill, 0 … 1. */
  fill: number;
  /** Width of the outline in CSS pixels; 0 = none. */
  outline: number;
}

export interface Selection {
  type: string;
  plate: string;
  index: number;
}

export interface ViewState {
  view: Position;
  channels: ChannelView[];
  objects: ObjectView[];
  selection: Selection | null;
  /** Blend between pixels when magnified; off shows each pixel as a square. */
  smoothing: boolean;
}

export const INITIAL_VIEW: ViewState = {
  view: { x: 0, y: 0, scale: 1, t: 0, z: 0, plate: null },
  channels: [],
  objects: [],
  selection: null,
  smoothing: true,
};

/** Return a name for what colours objects that is equal exactly when the colouring is. */
export function colouringKey(colour: Colouring): string {
  if (!colour) return "";
  return "feature" in colour ? `feature:${colour.feature}` : `result:${colour.toolResult}`;
}

/** Return the colouring that a name from `colouringKey` stands for. */
export function colouringOf(key: string): Colouring {
  if (key.startsWith("feature:")) return { feature: key.slice(8) };
  if (key.startsWith("result:")) return { toolResult: key.slice(7) };
  return null;
}
