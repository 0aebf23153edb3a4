/**
 * The view in the address: a version number and short arrays, as URL-safe base64 of JSON.
 *
 * Numbers keep all their digits, so a pasted address restores the view exactly. What cannot be read, or is
 * of another version, is ignored as a whole: a bad link opens the first view and never a broken one.
 */

import type { ChannelView, Colouring, ObjectView, Selection, ViewState } from "./viewState";
import { colouringKey, colouringOf } from "./viewState";

const VERSION = 1;
export const PARAMETER = "v";

type Packed = [
  version: number,
  view: [number, number, number, number, number, string | null],
  channels: [number, number, string, number, number, number, number][],
  objects: [string, number, string, number, number, string, number, number][],
  selection: [string, string, number] | null,
  smoothing: number,
];

function toBase64(text: string): string {
  const bytes = new TextEncoder().encode(text);
  return btoa(String.fromCharCode(...bytes))
    .replaceAll("+", "-")
    .replaceAll("/", "_")
    .replaceAll("=", "");
}

function fromBase64(text: string): string {
  const binary = atob(text.replaceAll("-", "+").replaceAll("_", "/"));
  return new TextDecoder("utf-8", { fatal: true }).decode(Uint8Array.from(binary, (c) => c.charCodeAt(0)));
}

/** Return the view as text for the address. */
export function encodeView(state: ViewState): string {
  const { view } = state;
  const packed: Packed = [
    VERSION,
    [view.x, view.y, view.scale, view.t, view.z, view.plate],
    state.channels.map((c) => [
      c.index,
      Number(c.visible),
      c.color.slice(1),
      c.low,
      c.high,
      c.gamma,
      c.opacity,
    ]),
    state.objects.map((o) => [
      o.type,
      Number(o.visible),
      colouringKey(o.colour),
      o.low,
      o.high,
      o.map,
      o.fill,
      o.outline,
    ]),
    state.selection && [state.selection.type, state.selection.plate, state.selection.index],
    Number(state.smoothing),
  ];
  return toBase64(JSON.stringify(packed));
}

class Malformed extends Error {}

const finite = (value: unknown): number => {
  if (typeof value !== "number" || !Number.isFinite(value)) throw new Malformed();
  return value;
};
const whole = (value: unknown): number => {
  const number = finite(value);
  if (!Number.isInteger(number) || number < 0) throw new Malformed();
  return number;
};
const text = (value: unknown): string => {
  if (typeof value !== "string") throw new Malformed();
  return value;
};
const list = (value: unknown): unknown[] => {
  if (!Array.isArray(value)) throw new Malformed();
  return value;
};
const between = (value: unknown, low: number, high: number) => Math.min(high, Math.max(low, finite(value)));

function color(value: unknown): string {
  if (!/^[0-9a-f]{6}$/i.test(text(value))) throw new Malformed();
  return `#${value}`;
}

function channelOf(value: unknown): ChannelView {
  const [index, visible, hex, low, high, gamma, opacity] = list(value);
  return {
    index: whole(index),
    visible: Boolean(visible),
    color: color(hex),
    low: finite(low),
    high: finite(high),
    gamma: between(gamma, 0.05, 20),
    opacity: between(opacity, 0, 1),
  };
}

function objectOf(value: unknown): ObjectView {
  const [type, visible, colour, low, high, map, fill, outline] = list(value);
  const colouring: Colouring = colouringOf(text(colour));
  return {
    type: text(type),
    visible: Boolean(visible),
    colour: colouring,
    low: finite(low),
    high: finite(high),
    map: text(map),
    fill: between(fill, 0, 1),
    outline: between(outline, 0, 20),
  };
}

function selectionOf(value: unknown): Selection | null {
  if (value === null) return null;
  const [type, plate, index] = list(value);
  return { type: text(type), plate: text(plate), index: whole(index) };
}

/** Return the view that a text stands for, or null if it is not one. */
export function decodeView(encoded: string): ViewState | null {
  try {
    const [version, view, channels, objects, selection, smoothing] = list(JSON.parse(fromBase64(encoded)));
    if (version !== VERSION) return null;
    const [x, y, scale, t, z, plate] = list(view);
    return {
      view: {
        x: finite(x),
        y: finite(y),
        scale: between(scale, 1e-6, 1e3),
        t: whole(t),
        z: whole(z),
        plate: plate === null ? null : text(plate),
      },
      channels: list(channels).map(channelOf),
      objects: list(objects).map(objectOf),
      selection: selectionOf(selection),
      smoothing: Boolean(smoothing),
    };
  } catch {
    return null;
  }
}

/** Return the view in an address' query, or null. */
export function viewFromQuery(query: string): ViewState | null {
  const encoded = new URLSearchParams(query).get(PARAMETER);
  return encoded ? decodeView(encoded) : null;
}

/** Return a query with the view put in, all else kept. */
export function queryWithView(query: string, state: ViewState): string {
  const parameters = new URLSearchParams(query);
  parameters.set(PARAMETER, encodeView(state));
  return `?${parameters.toString()}`;
}
