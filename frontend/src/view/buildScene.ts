/** From the API's rows to what the map draws. */

import type { ImageSource, ObjectSource, Scene, WellBox } from "../map/scene";
import type { Colouring } from "../store/viewState";
import {
  experimentUrl,
  type FeatureSummary,
  type Mosaic,
  type ObjectSet,
  type ToolResult,
  type Well,
} from "./requests";

const UNKNOWN_DIAMETER = 16;

/** Return the typical diameter of objects in pixels, from their area where that is measured. */
export function typicalDiameter(features: readonly FeatureSummary[], pixelSize: number | null): number {
  const area = features.find((f) => /(^|_)area($|_)/i.test(f.name));
  if (area?.low == null || area.high == null) return UNKNOWN_DIAMETER;
  const middle = (area.low + area.high) / 2;
  const micrometres = /um|µm|μm/.test(area.unit ?? "");
  const pixels = micrometres && pixelSize ? middle / pixelSize ** 2 : middle;
  return pixels > 0 ? 2 * Math.sqrt(pixels / Math.PI) : UNKNOWN_DIAMETER;
}

function imageSource(mosaic: Mosaic): ImageSource {
  const [base] = mosaic.levels;
  return {
    id: mosaic.id,
    plate: mosaic.plate.id,
    originX: mosaic.origin[1],
    originY: mosaic.origin[0],
    width: base?.width ?? 1,
    height: base?.height ?? 1,
    tile: mosaic.tile,
    levels: mosaic.levels.length,
    tileUrl: mosaic.tile_url,
    channels: mosaic.channels.map(({ index, c, scale, offset, brightfield }) => ({
      index,
      c,
      scale,
      offset,
      brightfield,
    })),
    tpoints: mosaic.n_tpoints,
    zplanes: mosaic.n_zplanes,
  };
}

function objectSource(set: ObjectSet, mosaic: Mosaic): ObjectSource {
  const { originX, originY } = imageSource(mosaic);
  const [base] = set.levels;
  return {
    id: set.id,
    type: set.object_type.name,
    plate: set.plate.id,
    originX,
    originY,
    width: base?.width ?? 1,
    height: base?.height ?? 1,
    tile: set.tile,
    levels: set.levels.length,
    tileUrl: set.tile_url,
    outlineUrl: set.outline_url,
    count: set.n_objects,
    tpoints: set.shape[0] ?? 1,
    zplanes: set.shape[2] ?? 1,
    wells: set.wells,
    diameter: typicalDiameter(set.features, mosaic.pixel_size_um),
  };
}

/** Return whether objects were found on the same layout as the mosaic: else they would lie beside their cells. */
export function matches(set: ObjectSet, mosaic: Mosaic): boolean {
  return set.layout_key === mosaic.layout_key;
}

/** Return each plate's mosaic of the microscope's channels. */
export function plateMosaics(mosaics: readonly Mosaic[]): Mosaic[] {
  return mosaics.filter((mosaic) => !mosaic.is_derived);
}

/** Return the mosaics that belong together: derived ones of another layout would lie beside their cells. */
export function shownMosaics(mosaics: readonly Mosaic[]): Mosaic[] {
  const plates = plateMosaics(mosaics);
  const fits = (derived: Mosaic) =>
    plates.some((m) => m.plate.id === derived.plate.id && m.layout_key === derived.layout_key);
  return [...plates, ...mosaics.filter((mosaic) => mosaic.is_derived && fits(mosaic))];
}

/** Return the types that are left out somewhere because their plate was laid out anew since. */
export function outdatedTypes(mosaics: readonly Mosaic[], sets: readonly ObjectSet[]): string[] {
  const outdated = sets.filter((set) =>
    plateMosaics(mosaics).some((m) => m.plate.id === set.plate.id && !matches(set, m)),
  );
  return [...new Set(outdated.map((set) => set.object_type.name))];
}

/** Return the scene of an experiment; object sets that fit no mosaic are left out. */
export function buildScene(
  mosaics: readonly Mosaic[],
  sets: readonly ObjectSet[],
  wells: readonly Well[],
): Scene {
  const byPlate = new Map(plateMosaics(mosaics).map((mosaic) => [mosaic.plate.id, mosaic]));
  const objects = sets.flatMap((set) => {
    const mosaic = byPlate.get(set.plate.id);
    return mosaic && matches(set, mosaic) ? [objectSource(set, mosaic)] : [];
  });
  const boxes = wells.flatMap((well): WellBox[] => {
    const mosaic = byPlate.get(well.plate);
    if (!mosaic) return [];
    const x0 = mosaic.origin[1] + well.x;
    const y0 = mosaic.origin[0] + well.y;
    return [{ plate: well.plate, name: well.name, x0, y0, x1: x0 + well.width, y1: y0 + well.height }];
  });
  return { images: mosaics.map(imageSource), objects, wells: boxes };
}

/** Return where an object set's values come from; null if there is no such result. */
export function columnUrl(
  experiment: string,
  source: Pick<ObjectSource, "id" | "plate" | "type">,
  colour: Colouring,
  results: readonly ToolResult[],
): string | null {
  if (!colour) return null;
  if ("feature" in colour) {
    const name = encodeURIComponent(colour.feature);
    return `${experimentUrl(experiment)}/object-sets/${source.id}/features/${name}/?format=f4`;
  }
  const result = results.find((r) => r.id === colour.toolResult);
  if (result?.state !== "succeeded" || result.object_type.name !== source.type) return null;
  return `${result.values_url}?plate=${source.plate}&format=f4`;
}
