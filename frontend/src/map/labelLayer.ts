/** Draws objects from tiles of object indices, and knows which object lies under a pixel. */

import type { ObjectView } from "../store/viewState";
import { type Frame, PRIORITY } from "./frame";
import { createProgram, type GL, Instances, type Program, TileTextures } from "./gl";
import { InstanceLists, planPlane } from "./plan";
import { levelFor, type Tile } from "./pyramid";
import { type ObjectSource, tileAddress } from "./scene";
import { LABEL_FRAGMENT, TILE_SIDE, TILE_VERTEX } from "./shaders";
import type { ValueTextures } from "./values";

const ARRAYS = 5;
const LAYERS = 32; // × 512² × 4 bytes = 32 MB an array

/** An object is drawn at least this wide, in CSS pixels: a nucleus of two pixels is lost in its cell's light. */
const SMALLEST_SHOWN = 4;
/** But never more than this beyond its border, or neighbours would run into each other. */
const FARTHEST = 1.25;

/** Return by how many device pixels objects of a diameter (in device pixels) are enlarged on each side. */
export function growth(diameter: number, pixelRatio: number): number {
  return Math.min(FARTHEST * pixelRatio, Math.max(0, (SMALLEST_SHOWN * pixelRatio - diameter) / 2));
}

/** Return the plane of an object set to show: the view's, or the last that the set has. */
export function planeOf(frame: Frame, source: ObjectSource): { t: number; z: number } {
  const { t, z } = frame.state.view;
  return { t: Math.min(t, source.tpoints - 1), z: Math.min(z, source.zplanes - 1) };
}

/** Set what colours objects in a program that contains `objectColor`; textures go to units 1 and 2. */
export function setObjectColor(
  gl: GL,
  program: Program,
  values: ValueTextures,
  frame: Frame,
  source: ObjectSource,
  view: ObjectView,
): void {
  const column = frame.column(source, view.colour);
  const { selection } = frame.state;
  const isSelected = selection?.type === source.type && selection.plate === source.plate;
  gl.activeTexture(gl.TEXTURE1);
  values.bindValues(column);
  gl.activeTexture(gl.TEXTURE2);
  values.bindRamp(view.map);
  gl.activeTexture(gl.TEXTURE0);
  gl.uniform1i(program.uniform("values"), 1);
  gl.uniform1i(program.uniform("ramp"), 2);
  gl.uniform1i(program.uniform("coloured"), column ? 1 : 0);
  const width = view.high - view.low;
  gl.uniform2f(program.uniform("range"), view.low, width > 0 ? 1 / width : 1e30);
  gl.uniform1ui(program.uniform("hovered"), frame.hovered?.source === source.id ? frame.hovered.index : 0);
  gl.uniform1ui(program.uniform("selected"), isSelected ? selection.index : 0);
}

export class LabelLayer {
  readonly tiles: TileTextures;
  private readonly program: Program;
  private readonly instances: Instances;
  /** Copies for picking; they live exactly as long as their textures. */
  private readonly copies = new Map<string, Uint32Array>();
  private readonly shown = new Map<string, { t: number; z: number }>();

  constructor(
    private readonly gl: GL,
    private readonly values: ValueTextures,
  ) {
    this.tiles = new TileTextures(gl, 32, TILE_SIDE, ARRAYS, LAYERS, (key) => this.copies.delete(key));
    this.program = createProgram(gl, TILE_VERTEX, LABEL_FRAGMENT);
    this.instances = new Instances(gl, [
      { size: 4, type: "float" },
      { size: 4, type: "float" },
      { size: 2, type: "uint" },
    ]);
  }

  put(key: string, data: Uint32Array, keep: ReadonlySet<string>): void {
    if (this.tiles.put(key, data, keep)) this.copies.set(key, data);
  }

  /** Draw one object set; `hasOutlines` says of a tile whether its outlines are drawn as vectors. */
  draw(
    frame: Frame,
    source: ObjectSource,
    view: ObjectView,
    sources: number,
    hasOutlines: (tile: Tile) => boolean,
  ): void {
    const tiles = frame.tiles(source, Math.max(1, (this.tiles.pool.capacity * 0.75) / sources));
    if (!tiles.length) return;
    const now = planeOf(frame, source);
    const shown = this.shown.get(source.id);
    const lists = new InstanceLists();
    const plane = {
      key: (tile: Tile) => this.address(source, tile, now),
      before:
        shown && (shown.t !== now.t || shown.z !== now.z)
          ? (tile: Tile) => this.address(source, tile, shown)
          : undefined,
    };
    const loaded = {
      get: (key: string) => {
        const place = this.tiles.pool.get(key);
        if (place) frame.keep.add(key);
        return place;
      },
      isEmpty: frame.isEmpty,
    };
    const missing = planPlane(
      source,
      frame.camera,
      tiles,
      plane,
      loaded,
      (tile) => Number(hasOutlines(tile)),
      lists,
    );
    for (const tile of missing)
      frame.want(plane.key(tile), "label", PRIORITY.visible + frame.distance(source, tile));
    if (!missing.length) this.shown.set(source.id, now);
    this.submit(frame, source, view, lists);
  }

  /** Return the object under a world position, 0 = none, from the sharpest loaded tile. */
  pick(frame: Frame, source: ObjectSource, x: number, y: number): number {
    const now = planeOf(frame, source);
    for (let level = levelFor(source.levels, frame.camera.scale); level < source.levels; level++) {
      const px = Math.floor((x - source.originX) / 2 ** level);
      const py = Math.floor((y - source.originY) / 2 ** level);
      const tile = { level, tx: Math.floor(px / source.tile), ty: Math.floor(py / source.tile) };
      const copy = this.copies.get(this.address(source, tile, now));
      if (copy) return copy[(py % source.tile) * source.tile + (px % source.tile)] ?? 0;
    }
    return 0;
  }

  private address(source: ObjectSource, tile: Tile, at: { t: number; z: number }): string {
    return tileAddress(source.tileUrl, { level: tile.level, t: at.t, c: 0, z: at.z, y: tile.ty, x: tile.tx });
  }

  private submit(frame: Frame, source: ObjectSource, view: ObjectView, lists: InstanceLists): void {
    if (!lists.count) return;
    const { gl, program } = this;
    const level = levelFor(source.levels, frame.camera.scale);
    const texelsPerPixel = 1 / (frame.camera.scale * 2 ** level);
    program.use();
    setObjectColor(gl, program, this.values, frame, source, view);
    gl.uniform2f(program.uniform("canvas"), frame.camera.width, frame.camera.height);
    gl.uniform1i(program.uniform("tiles"), 0);
    gl.uniform1f(program.uniform("fill"), view.fill);
    gl.uniform1f(program.uniform("line"), view.outline * frame.pixelRatio);
    gl.uniform1f(program.uniform("grow"), growth(source.diameter * frame.camera.scale, frame.pixelRatio));
    gl.uniform2f(program.uniform("texelsPerPixel"), texelsPerPixel, texelsPerPixel);
    for (const [array, list] of lists.byArray) {
      this.tiles.bind(array);
      this.instances.fill(list.data, gl.STREAM_DRAW);
      this.instances.draw(list.count);
    }
  }
}
