/** `window.__tissuemaps`: lets tests and the curious ask the map what it shows. */

import type { ViewState } from "../store/viewState";
import type { ViewStore } from "../store/viewStore";
import type { MapRenderer } from "./renderer";

export interface MapHandle {
  ready: () => boolean;
  readonly stats: MapRenderer["stats"];
  /** Colour at a point of the canvas in device pixels. */
  readPixel: (x: number, y: number) => number[];
  /** Colours of a rectangle of device pixels, RGBA, rows from the top. */
  readRegion: (x: number, y: number, width: number, height: number) => number[];
  /** Channel values and object under a point in CSS pixels. */
  valuesAt: MapRenderer["valuesAt"];
  pick: (x: number, y: number) => { type: string; plate: string; index: number } | null;
  worldAt: MapRenderer["worldAt"];
  view: () => ViewState;
  /** Change parts of the view, as a pasted address would. */
  setView: (change: Partial<ViewState>) => void;
}

declare global {
  interface Window {
    __tissuemaps?: MapHandle;
  }
}

/** Put the handle on the window; returns how to take it away. */
export function exposeMap(renderer: MapRenderer, { store }: ViewStore): () => void {
  const handle: MapHandle = {
    ready: () => renderer.ready(),
    get stats() {
      return renderer.stats;
    },
    readPixel: (x, y) => [...renderer.readRegion(x, y, 1, 1)],
    readRegion: (x, y, width, height) => [...renderer.readRegion(x, y, width, height)],
    valuesAt: (x, y) => renderer.valuesAt(x, y),
    pick: (x, y) => {
      const picked = renderer.pick(x, y);
      return picked && { type: picked.source.type, plate: picked.source.plate, index: picked.index };
    },
    worldAt: (x, y) => renderer.worldAt(x, y),
    view: () => store.getState(),
    setView: (change) => store.setState(change),
  };
  window.__tissuemaps = handle;
  return () => {
    if (window.__tissuemaps === handle) delete window.__tissuemaps;
  };
}
