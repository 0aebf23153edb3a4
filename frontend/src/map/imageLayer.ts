/**
 * Draws the channels of all mosaics. Light of fluorescence adds up from black; brightfield takes its
 * light away from white, so that what no site shows stays white.
 */

import { parseColor } from "../objects/colormaps";
import type { ChannelView } from "../store/viewState";
import { type Frame, PRIORITY } from "./frame";
import { createProgram, type GL, Instances, type Program, TileTextures } from "./gl";
import { InstanceLists, planPlane } from "./plan";
import type { Place } from "./pool";
import { levelFor, type Tile } from "./pyramid";
import { type ChannelSource, type ImageSource, tileAddress } from "./scene";
import { IMAGE_FRAGMENT, TILE_SIDE, TILE_VERTEX } from "./shaders";

const SLOTS = 32; // channels per draw call, see the shader
const ARRAYS = 6;
const LAYERS = 128; // × 512² × 2 bytes = 64 MB an array

interface PlaneAt {
  t: number;
  z: number;
}

export class ImageLayer {
  readonly tiles: TileTextures;
  private readonly program: Program;
  private readonly instances: Instances;
  /** The plane that was last complete on the screen, per mosaic. */
  private readonly shown = new Map<string, PlaneAt>();

  constructor(private readonly gl: GL) {
    this.tiles = new TileTextures(gl, 16, TILE_SIDE, ARRAYS, LAYERS);
    this.program = createProgram(gl, TILE_VERTEX, IMAGE_FRAGMENT);
    this.instances = new Instances(gl, [
      { size: 4, type: "float" },
      { size: 4, type: "float" },
      { size: 2, type: "uint" },
    ]);
  }

  draw(frame: Frame): void {
    const visible = frame.state.channels.filter((channel) => channel.visible && channel.opacity > 0);
    const { gl } = this;
    gl.blendFunc(gl.ONE, gl.ONE);
    const white = isBrightfield(frame.scene.images, visible) ? 1 : 0;
    gl.clearColor(white, white, white, 1);
    gl.clear(gl.COLOR_BUFFER_BIT);
    if (white) {
      gl.blendEquationSeparate(gl.FUNC_REVERSE_SUBTRACT, gl.FUNC_ADD);
      for (const source of frame.scene.images) this.drawSource(frame, source, visible, true);
      gl.blendEquation(gl.FUNC_ADD);
    }
    for (const source of frame.scene.images) this.drawSource(frame, source, visible, false);
  }

  /** Return the address of a tile of a channel. */
  address(source: ImageSource, tile: Tile, index: number, at: PlaneAt): string {
    return channelTile(source, tile, index, at);
  }

  /** Return the stored value at a world position from the sharpest loaded tile, and that tile's level. */
  sample(
    source: ImageSource,
    index: number,
    at: PlaneAt,
    x: number,
    y: number,
    scale: number,
  ): Sample | null {
    for (let level = levelFor(source.levels, scale); level < source.levels; level++) {
      const px = Math.floor((x - source.originX) / 2 ** level);
      const py = Math.floor((y - source.originY) / 2 ** level);
      const tile = { level, tx: Math.floor(px / source.tile), ty: Math.floor(py / source.tile) };
      const place: Place | undefined = this.tiles.pool.peek(this.address(source, tile, index, at));
      if (place) return { value: this.tiles.read(place, px % source.tile, py % source.tile), level };
    }
    return null;
  }

  private drawSource(frame: Frame, source: ImageSource, visible: ChannelView[], brightfield: boolean): void {
    const kind = (c: ChannelSource) => (c.brightfield ?? false) === brightfield;
    const channels = visible.filter((channel) =>
      source.channels.some((c) => c.index === channel.index && kind(c)),
    );
    if (!channels.length) return;
    const room = (this.tiles.pool.capacity * 0.75) / channels.length / frame.scene.images.length;
    const tiles = frame.tiles(source, Math.max(1, room));
    if (!tiles.length) return;
    const now = {
      t: Math.min(frame.state.view.t, source.tpoints - 1),
      z: Math.min(frame.state.view.z, source.zplanes - 1),
    };
    const missingBefore = frame.missing;
    for (let from = 0; from < channels.length; from += SLOTS) {
      const batch = channels.slice(from, from + SLOTS);
      this.submit(frame, source, batch, this.plan(frame, source, batch, tiles, now));
    }
    if (frame.missing === missingBefore) {
      this.shown.set(source.id, now);
      if (tiles.length * channels.length * 5 < this.tiles.pool.capacity)
        this.ahead(frame, source, channels, tiles, now);
    }
  }

  private plan(
    frame: Frame,
    source: ImageSource,
    batch: ChannelView[],
    tiles: Tile[],
    now: PlaneAt,
  ): InstanceLists {
    const lists = new InstanceLists();
    const shown = this.shown.get(source.id);
    const changed = shown && (shown.t !== now.t || shown.z !== now.z);
    const loaded = { get: (key: string) => this.used(frame, key), isEmpty: frame.isEmpty };
    batch.forEach((channel, slot) => {
      const plane = {
        key: (tile: Tile) => this.address(source, tile, channel.index, now),
        before: changed ? (tile: Tile) => this.address(source, tile, channel.index, shown) : undefined,
      };
      const missing = planPlane(source, frame.camera, tiles, plane, loaded, () => slot, lists);
      for (const tile of missing) {
        frame.want(plane.key(tile), "image", PRIORITY.visible + frame.distance(source, tile));
      }
      const top = { level: source.levels - 1, tx: 0, ty: 0 };
      // One coarse tile first: something to see at once, and something to fall back on later.
      const overview = plane.key(top);
      if (missing.length > 1 && !loaded.get(overview) && !frame.isEmpty(overview)) {
        frame.want(overview, "image", PRIORITY.overview);
      }
    });
    return lists;
  }

  private used(frame: Frame, key: string): Place | undefined {
    const place = this.tiles.pool.get(key);
    if (place) frame.keep.add(key);
    return place;
  }

  private submit(frame: Frame, source: ImageSource, batch: ChannelView[], lists: InstanceLists): void {
    if (!lists.count) return;
    const { gl, program } = this;
    const windows = new Float32Array(SLOTS * 4);
    const colors = new Float32Array(SLOTS * 4);
    batch.forEach((channel, slot) => {
      const stored = source.channels.find((c) => c.index === channel.index);
      const [scale, offset] = stored ? [stored.scale || 1, stored.offset] : [1, 0];
      const low = (channel.low - offset) / scale;
      const high = (channel.high - offset) / scale;
      windows.set(
        [low, 1 / Math.max(1e-6, high - low), 1 / channel.gamma, stored?.brightfield ? 1 : 0],
        slot * 4,
      );
      colors.set(
        parseColor(channel.color).map((part) => (part / 255) * channel.opacity),
        slot * 4,
      );
    });
    program.use();
    gl.uniform2f(program.uniform("canvas"), frame.camera.width, frame.camera.height);
    gl.uniform4fv(program.uniform("windows"), windows);
    gl.uniform4fv(program.uniform("colors"), colors);
    gl.uniform1i(program.uniform("tiles"), 0);
    // At exactly one screen pixel per texel blending between texels could only lose precision.
    const texels = frame.camera.scale * 2 ** levelFor(source.levels, frame.camera.scale);
    gl.uniform1i(program.uniform("smoothing"), frame.state.smoothing && texels !== 1 ? 1 : 0);
    gl.activeTexture(gl.TEXTURE0);
    for (const [array, list] of lists.byArray) {
      this.tiles.bind(array);
      this.instances.fill(list.data, gl.STREAM_DRAW);
      this.instances.draw(list.count);
    }
  }

  /** Ask for the neighbouring planes once the present one is complete. */
  private ahead(
    frame: Frame,
    source: ImageSource,
    channels: ChannelView[],
    tiles: Tile[],
    now: PlaneAt,
  ): void {
    const neighbours = [
      { t: now.t, z: now.z + 1 },
      { t: now.t, z: now.z - 1 },
      { t: now.t + 1, z: now.z },
      { t: now.t - 1, z: now.z },
    ].filter(({ t, z }) => t >= 0 && z >= 0 && t < source.tpoints && z < source.zplanes);
    for (const at of neighbours) {
      for (const channel of channels) {
        for (const tile of tiles) {
          const key = this.address(source, tile, channel.index, at);
          if (this.tiles.pool.has(key) || frame.isEmpty(key)) continue;
          frame.want(key, "image", PRIORITY.ahead + frame.distance(source, tile));
        }
      }
    }
  }
}

/** Return the address of a tile: images that pipelines made have their channels on an axis of their own. */
export function channelTile(source: ImageSource, tile: Tile, index: number, at: PlaneAt): string {
  const c = source.channels.find((channel) => channel.index === index)?.c ?? index;
  return tileAddress(source.tileUrl, { level: tile.level, t: at.t, c, z: at.z, y: tile.ty, x: tile.tx });
}

/** Return whether any channel that is shown is brightfield. */
export function isBrightfield(images: ImageSource[], visible: ChannelView[]): boolean {
  const shown = new Set(visible.map((channel) => channel.index));
  return images.some((image) => image.channels.some((c) => c.brightfield && shown.has(c.index)));
}

export interface Sample {
  value: number;
  level: number;
}

/** Return a stored value in the microscope's units. */
export function inUnits(source: ImageSource, index: number, stored: number): number {
  const channel = source.channels.find((c) => c.index === index);
  return channel ? stored * channel.scale + channel.offset : stored;
}
