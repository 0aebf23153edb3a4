/** Draws the outlines of objects close up, as lines of constant width on the screen. */

import type { ObjectView } from "../store/viewState";
import { type Frame, PRIORITY } from "./frame";
import { createProgram, type GL, Instances, type Program } from "./gl";
import { planeOf, setObjectColor } from "./labelLayer";
import type { Segments } from "./mvt";
import { tileRect } from "./plan";
import { levelFor, type Tile } from "./pyramid";
import { type ObjectSource, tileAddress } from "./scene";
import { OUTLINE_FRAGMENT, OUTLINE_VERTEX } from "./shaders";
import type { ValueTextures } from "./values";

const FINEST_LEVELS = 2; // the server draws outlines for levels 0 and 1
const KEPT = 96;

interface Loaded {
  points: Instances;
  indices: WebGLBuffer;
  count: number;
  extent: number;
}

export class OutlineLayer {
  private readonly program: Program;
  private readonly tiles = new Map<string, Loaded>(); // in the order of use, oldest first

  constructor(
    private readonly gl: GL,
    private readonly values: ValueTextures,
  ) {
    this.program = createProgram(gl, OUTLINE_VERTEX, OUTLINE_FRAGMENT);
  }

  get size(): number {
    return this.tiles.size;
  }

  put(key: string, segments: Segments, keep: ReadonlySet<string>): void {
    const { gl } = this;
    const points = new Instances(gl, [{ size: 4, type: "short" }]);
    points.fill(segments.points, gl.STATIC_DRAW);
    const indices = gl.createBuffer() as WebGLBuffer;
    gl.bindVertexArray(points.vao);
    gl.bindBuffer(gl.ARRAY_BUFFER, indices);
    gl.bufferData(gl.ARRAY_BUFFER, segments.indices, gl.STATIC_DRAW);
    gl.enableVertexAttribArray(1);
    gl.vertexAttribDivisor(1, 1);
    gl.vertexAttribIPointer(1, 1, gl.UNSIGNED_INT, 4, 0);
    gl.bindVertexArray(null);
    this.tiles.set(key, { points, indices, count: segments.indices.length, extent: segments.extent });
    for (const [old, loaded] of this.tiles) {
      if (this.tiles.size <= KEPT) break;
      if (keep.has(old)) continue;
      loaded.points.delete();
      gl.deleteBuffer(loaded.indices);
      this.tiles.delete(old);
    }
  }

  /** Return whether outlines are drawn for this set at the present scale. */
  applies(frame: Frame, source: ObjectSource, view: ObjectView): boolean {
    return (
      source.outlineUrl !== null &&
      view.outline > 0 &&
      levelFor(source.levels, frame.camera.scale) < FINEST_LEVELS
    );
  }

  has(frame: Frame, source: ObjectSource, tile: Tile): boolean {
    return tile.level < FINEST_LEVELS && this.tiles.has(this.address(frame, source, tile));
  }

  draw(frame: Frame, source: ObjectSource, view: ObjectView): void {
    if (!this.applies(frame, source, view)) return;
    const { gl, program } = this;
    program.use();
    setObjectColor(gl, program, this.values, frame, source, view);
    gl.uniform2f(program.uniform("canvas"), frame.camera.width, frame.camera.height);
    gl.uniform1f(program.uniform("line"), view.outline * frame.pixelRatio);
    for (const tile of frame.tiles(source, Number.POSITIVE_INFINITY)) {
      const key = this.address(frame, source, tile);
      const loaded = this.tiles.get(key);
      if (!loaded) {
        if (!frame.isEmpty(key)) frame.want(key, "outline", PRIORITY.outline + frame.distance(source, tile));
        continue;
      }
      frame.keep.add(key);
      this.tiles.delete(key);
      this.tiles.set(key, loaded);
      if (!loaded.count) continue;
      const [x, y] = tileRect(source, frame.camera, tile);
      const span = source.tile * 2 ** tile.level * frame.camera.scale;
      gl.uniform2f(program.uniform("origin"), x, y);
      gl.uniform1f(program.uniform("unit"), span / loaded.extent);
      gl.uniform1f(program.uniform("extent"), loaded.extent);
      loaded.points.draw(loaded.count);
    }
  }

  private address(frame: Frame, source: ObjectSource, tile: Tile): string {
    const { t, z } = planeOf(frame, source);
    const address = tileAddress(source.outlineUrl ?? "", { level: tile.level, y: tile.ty, x: tile.tx });
    return `${address}?t=${t}&z=${z}`;
  }
}
