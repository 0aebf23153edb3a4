/** What all parts of the View page share. */

import { createContext, useContext, useSyncExternalStore } from "react";
import { useStore } from "zustand";
import type { StoreApi } from "zustand/vanilla";
import type { MapRenderer, Picked } from "../map/renderer";
import type { Scene } from "../map/scene";
import type { Column, ColumnStore } from "../objects/columns";
import type { Colouring, ViewState } from "../store/viewState";
import type { ViewStore } from "../store/viewStore";
import { columnUrl } from "./buildScene";
import type { Mosaic, ObjectSet, ToolResult, Well } from "./requests";

/** Where the pointer is on the canvas (CSS pixels) and what lies under it. */
export interface Hover {
  at: { x: number; y: number } | null;
  picked: Picked | null;
}

export interface MapContextValue {
  experiment: string;
  view: ViewStore;
  hover: StoreApi<Hover>;
  scene: Scene;
  mosaics: Mosaic[];
  sets: ObjectSet[];
  wells: Well[];
  results: ToolResult[];
  columns: ColumnStore;
  renderer: MapRenderer | null;
  setRenderer: (renderer: MapRenderer | null) => void;
}

export const MapContext = createContext<MapContextValue | null>(null);

export function useMap(): MapContextValue {
  const value = useContext(MapContext);
  if (!value) throw new Error("useMap outside of the View page");
  return value;
}

/** Return part of the view's state; the component renders again only when that part changes. */
export function useView<T>(select: (state: ViewState) => T): T {
  return useStore(useMap().view.store, select);
}

/** Return the plate that the plate map shows: the chosen one, or the first where that is not there (any more). */
export function usePlate(): string | null {
  const { mosaics } = useMap();
  const chosen = useView((state) => state.view.plate);
  return mosaics.some((m) => m.plate.id === chosen) ? chosen : (mosaics[0]?.plate.id ?? null);
}

export interface ColumnAnswer {
  column: Column | null;
  loading: boolean;
  error: string | null;
  retry: () => void;
}

const NOTHING: ColumnAnswer = { column: null, loading: false, error: null, retry: () => {} };

/** Return the values that colour an object type on a plate, loading them if need be. */
export function useColumn(plate: string | null, type: string | null, colour: Colouring): ColumnAnswer {
  const { experiment, scene, results, columns } = useMap();
  useSyncExternalStore(columns.subscribe, columns.snapshot);
  const source = scene.objects.find((o) => o.plate === plate && o.type === type);
  const url = source ? columnUrl(experiment, source, colour, results) : null;
  if (!url) return NOTHING;
  const state = columns.get(url);
  if (state === "loading") return { ...NOTHING, loading: true };
  if ("error" in state) return { ...NOTHING, error: state.error, retry: () => columns.retry(url) };
  return { ...NOTHING, column: state };
}
