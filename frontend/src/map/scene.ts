/** What there is to show: the renderer's view of mosaics, object sets and wells, free of HTTP and React. */

import type { Pyramid } from "./pyramid";

/** Stored value · scale + offset = value in the microscope's units. */
export interface ChannelSource {
  index: number;
  /** Place on the image's own axis of channels. */
  c: number;
  scale: number;
  offset: number;
  /** White where nothing is: the channel takes light away instead of adding it. */
  brightfield?: boolean;
}

/** One plate's mosaic. */
export interface ImageSource extends Pyramid {
  id: string;
  plate: string;
  /** Address with {level} {t} {c} {z} {y} {x} to fill in; immutable, so it also names the tile. */
  tileUrl: string;
  channels: ChannelSource[];
  tpoints: number;
  zplanes: number;
}

/** Objects of a well are one run of indices, from `first` on. */
export interface WellRange {
  name: string;
  first: number;
  count: number;
}

/** One object type on one plate. */
export interface ObjectSource extends Pyramid {
  id: string;
  type: string;
  plate: string;
  tileUrl: string;
  /** Address with {level} {y} {x} to fill in; null if there are no outlines to draw. */
  outlineUrl: string | null;
  count: number;
  tpoints: number;
  zplanes: number;
  wells: WellRange[];
  /** Typical diameter of an object in pixels. */
  diameter: number;
}

/** A well's rectangle in world pixels. */
export interface WellBox {
  plate: string;
  name: string;
  x0: number;
  y0: number;
  x1: number;
  y1: number;
}

export interface Scene {
  images: ImageSource[];
  objects: ObjectSource[];
  wells: WellBox[];
}

export const EMPTY_SCENE: Scene = { images: [], objects: [], wells: [] };

/** Fill in an address; a name that the template lacks is ignored. */
export function tileAddress(template: string, at: Record<string, number>): string {
  return template.replace(/\{(\w+)\}/g, (whole, name: string) => (name in at ? String(at[name]) : whole));
}
