/**
 * The map: draws a scene as the view state says, whenever one of the two changed.
 *
 * Entry point of this folder: make a `MapRenderer` over a canvas, give it a scene, and change the store.
 */

import type { StoreApi } from "zustand/vanilla";
import type { ViewState } from "../store/viewState";
import { type ColumnOf, Frame, type Mark } from "./frame";
import type { GL } from "./gl";
import { ImageLayer, inUnits } from "./imageLayer";
import { LabelLayer } from "./labelLayer";
import type { Segments } from "./mvt";
import { OutlineLayer } from "./outlineLayer";
import { type Camera, corner, pyramidAt, type Tile } from "./pyramid";
import { RequestQueue, type Wanted } from "./queue";
import { EMPTY_SCENE, type ObjectSource, type Scene } from "./scene";
import { ValueTextures } from "./values";
import { WellLayer } from "./wellLayer";
import { startWorkers, type Workers } from "./workers";

export interface RendererOptions {
  store: StoreApi<ViewState>;
  columnOf: ColumnOf;
  /** Renew the right to read tiles; resolves to whether it worked. */
  renewSession: () => Promise<boolean>;
}

export interface Picked {
  source: ObjectSource;
  index: number;
}

/** A channel's value under a point: in the microscope's units, averaged over 2^level pixels a side. */
export interface ChannelValue {
  index: number;
  value: number | null;
  level: number;
}

interface Layers {
  images: ImageLayer;
  labels: LabelLayer;
  outlines: OutlineLayer;
  wells: WellLayer;
}

export class MapRenderer {
  frames = 0;
  missing = 0;
  private scene: Scene = EMPTY_SCENE;
  private layers: Layers | null = null;
  private readonly gl: GL;
  private readonly queue: RequestQueue;
  private readonly workers: Workers;
  private frame: Frame | null = null;
  private hovered: Mark | null = null;
  private scheduled = 0;
  private closed = false;
  private pixelRatio = 1;
  private readonly endings: (() => void)[] = [];

  constructor(
    readonly canvas: HTMLCanvasElement,
    private readonly options: RendererOptions,
  ) {
    const gl = canvas.getContext("webgl2", { alpha: false, antialias: false, depth: false, stencil: false });
    if (!gl) throw new Error("This browser cannot draw the map: WebGL 2 is missing or switched off.");
    this.gl = gl;
    this.workers = startWorkers();
    this.queue = new RequestQueue(this.workers.fetch, {
      renew: options.renewSession,
      loaded: (wanted, data) => this.loaded(wanted, data),
      changed: () => this.invalidate(),
    });
    this.build();
    this.watch();
  }

  /** Show another scene; tiles that both have stay where they are. */
  setScene(scene: Scene): void {
    this.scene = scene;
    this.invalidate();
  }

  /** Mark the object under the pointer. */
  setHovered(mark: Mark | null): void {
    if (mark?.source === this.hovered?.source && mark?.index === this.hovered?.index) return;
    this.hovered = mark;
    this.invalidate();
  }

  /** Ask for a new frame; several requests before the next one are one. */
  invalidate(): void {
    if (this.scheduled || this.closed) return;
    this.scheduled = requestAnimationFrame(() => {
      this.scheduled = 0;
      this.draw();
    });
  }

  /** Return whether everything on the screen is there and drawn. */
  ready(): boolean {
    return this.frames > 0 && !this.scheduled && this.missing === 0 && this.scene.images.length > 0;
  }

  get stats() {
    return {
      ...this.queue.counts,
      frames: this.frames,
      missing: this.missing,
      inFlight: this.queue.inFlight,
      imageTiles: this.layers?.images.tiles.pool.size ?? 0,
      labelTiles: this.layers?.labels.tiles.pool.size ?? 0,
      outlineTiles: this.layers?.outlines.size ?? 0,
      trouble: this.queue.trouble,
    };
  }

  retry(): void {
    this.queue.retry();
  }

  /** Return the world position under a point of the canvas in CSS pixels. */
  worldAt(x: number, y: number): { x: number; y: number } {
    const camera = this.camera();
    const from = corner(camera);
    return {
      x: from.x + (x * this.pixelRatio) / camera.scale,
      y: from.y + (y * this.pixelRatio) / camera.scale,
    };
  }

  /** Return the object under a point of the canvas; the first type of the list wins. */
  pick(x: number, y: number): Picked | null {
    if (!this.layers || !this.frame) return null;
    const world = this.worldAt(x, y);
    for (const view of this.options.store.getState().objects) {
      if (!view.visible) continue;
      const source = pyramidAt(
        this.scene.objects.filter((o) => o.type === view.type),
        world.x,
        world.y,
      );
      if (!source || this.layers.wells.applies(this.frame, source)) continue;
      const index = this.layers.labels.pick(this.frame, source, world.x, world.y);
      if (index) return { source, index };
    }
    return null;
  }

  /** Return the visible channels' values under a point of the canvas, in the microscope's units. */
  valuesAt(x: number, y: number): ChannelValue[] {
    const world = this.worldAt(x, y);
    const under = this.scene.images.filter((image) => pyramidAt([image], world.x, world.y));
    if (!under.length || !this.layers || this.gl.isContextLost()) return [];
    const { view, channels } = this.options.store.getState();
    const { images } = this.layers;
    const { scale } = this.camera();
    return channels
      .filter((channel) => channel.visible)
      .map(({ index }) => {
        const source = under.find((image) => image.channels.some((c) => c.index === index));
        if (!source) return { index, value: null, level: 0 };
        const at = { t: Math.min(view.t, source.tpoints - 1), z: Math.min(view.z, source.zplanes - 1) };
        const sample = images.sample(source, index, at, world.x, world.y, scale);
        return { index, value: sample && inUnits(source, index, sample.value), level: sample?.level ?? 0 };
      });
  }

  /** Draw now and return the colours of a rectangle of device pixels, rows from the top, as RGBA. */
  readRegion(x: number, y: number, width: number, height: number): Uint8Array {
    this.draw();
    const { gl } = this;
    const bottomUp = new Uint8Array(width * height * 4);
    gl.readPixels(x, this.canvas.height - y - height, width, height, gl.RGBA, gl.UNSIGNED_BYTE, bottomUp);
    const pixels = new Uint8Array(bottomUp.length);
    for (let row = 0; row < height; row++) {
      pixels.set(bottomUp.subarray(row * width * 4, (row + 1) * width * 4), (height - 1 - row) * width * 4);
    }
    return pixels;
  }

  close(): void {
    this.closed = true;
    cancelAnimationFrame(this.scheduled);
    for (const end of this.endings) end();
    this.queue.close();
    this.workers.close();
  }

  private camera(): Camera {
    const { view } = this.options.store.getState();
    const { width, height } = this.canvas;
    return { x: view.x, y: view.y, scale: view.scale * this.pixelRatio, width, height };
  }

  private build(): void {
    const values = new ValueTextures(this.gl);
    this.layers = {
      images: new ImageLayer(this.gl),
      labels: new LabelLayer(this.gl, values),
      outlines: new OutlineLayer(this.gl, values),
      wells: new WellLayer(this.gl),
    };
    this.gl.enable(this.gl.BLEND);
  }

  /** Follow the store, the canvas' size and the loss of the GPU. */
  private watch(): void {
    this.endings.push(this.options.store.subscribe(() => this.invalidate()));
    const sized = new ResizeObserver(() => this.resize());
    sized.observe(this.canvas);
    this.endings.push(() => sized.disconnect());
    const lost = (event: Event) => {
      event.preventDefault(); // or the browser would not give the context back
      this.layers = null;
    };
    const restored = () => {
      this.build();
      this.invalidate();
    };
    this.canvas.addEventListener("webglcontextlost", lost);
    this.canvas.addEventListener("webglcontextrestored", restored);
    this.endings.push(() => this.canvas.removeEventListener("webglcontextlost", lost));
    this.endings.push(() => this.canvas.removeEventListener("webglcontextrestored", restored));
    this.resize();
  }

  private resize(): void {
    this.pixelRatio = window.devicePixelRatio || 1;
    const width = Math.max(1, Math.round(this.canvas.clientWidth * this.pixelRatio));
    const height = Math.max(1, Math.round(this.canvas.clientHeight * this.pixelRatio));
    if (this.canvas.width === width && this.canvas.height === height) return;
    this.canvas.width = width;
    this.canvas.height = height;
    // Drawn at once: a resized canvas is blank until the next frame, which would flicker.
    this.draw();
  }

  private draw(): void {
    if (this.closed || !this.layers || this.gl.isContextLost()) return;
    // A move to a screen with another pixel ratio changes no size, so nothing else would tell.
    if (window.devicePixelRatio !== this.pixelRatio) this.resize();
    const { gl } = this;
    const camera = this.camera();
    const state = this.options.store.getState();
    const frame = new Frame(
      camera,
      state,
      this.scene,
      this.pixelRatio,
      this.options.columnOf,
      this.hovered,
      (key) => this.queue.isEmpty(key),
    );
    gl.viewport(0, 0, camera.width, camera.height);
    this.layers.images.draw(frame);
    this.drawObjects(frame, this.layers);
    this.frame = frame;
    this.frames++;
    this.missing = frame.missing;
    this.queue.want(frame.wanted());
  }

  private drawObjects(frame: Frame, layers: Layers): void {
    const { gl } = this;
    gl.blendFunc(gl.ONE, gl.ONE_MINUS_SRC_ALPHA);
    const shown = frame.state.objects.filter((view) => view.visible);
    const sources = frame.scene.objects.filter((s) => shown.some((v) => v.type === s.type)).length;
    const painted = new Set<string>();
    // The first of the list lies on top, so the last is drawn first.
    for (const view of [...shown].reverse()) {
      for (const source of frame.scene.objects.filter((s) => s.type === view.type)) {
        if (layers.wells.applies(frame, source)) {
          // Two paints over one well would hide each other: the topmost type that has a colour wins.
          const top = shown.find((v) => v.colour !== null);
          if (top?.type === view.type && !painted.has(source.plate)) layers.wells.draw(frame, source, view);
          painted.add(source.plate);
          continue;
        }
        const vectors = layers.outlines.applies(frame, source, view);
        const hasOutlines = (tile: Tile) => vectors && layers.outlines.has(frame, source, tile);
        layers.labels.draw(frame, source, view, sources, hasOutlines);
        layers.outlines.draw(frame, source, view);
      }
    }
  }

  private loaded(wanted: Wanted, data: unknown): void {
    const keep = this.frame?.keep ?? new Set<string>();
    if (!this.layers || this.gl.isContextLost()) return;
    if (wanted.kind === "image") this.layers.images.tiles.put(wanted.key, data as Uint16Array, keep);
    else if (wanted.kind === "label") this.layers.labels.put(wanted.key, data as Uint32Array, keep);
    else this.layers.outlines.put(wanted.key, data as Segments, keep);
    this.invalidate();
  }
}
