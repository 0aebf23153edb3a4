/** Textures that turn an object's index into a colour: one of values, one of the colour map. */

import { colorRamp } from "../objects/colormaps";
import type { Column } from "../objects/columns";
import type { GL } from "./gl";

const WIDTH = 2048;
/** Stands for a missing value: shaders may drop tests for NaN, but not this one. */
const MISSING = 3e38;
const KEPT = 8;

/** Return values padded to whole rows, with missing ones marked. */
export function packValues(values: Float32Array): { data: Float32Array; height: number } {
  const height = Math.max(1, Math.ceil(values.length / WIDTH));
  const data = new Float32Array(height * WIDTH);
  for (let i = 0; i < values.length; i++) {
    const value = values[i] as number;
    data[i] = Number.isFinite(value) ? value : MISSING;
  }
  data.fill(MISSING, values.length);
  return { data, height };
}

export class ValueTextures {
  private readonly values = new Map<string, { texture: WebGLTexture; column: Column }>();
  private readonly ramps = new Map<string, WebGLTexture>();
  private blank: WebGLTexture | null = null;

  constructor(private readonly gl: GL) {}

  /** Bind a column's texture, uploading it the first time; no column binds one without values. */
  bindValues(column: Column | undefined): void {
    const { gl } = this;
    if (!column) {
      this.blank ??= this.upload(packValues(new Float32Array(0)));
      gl.bindTexture(gl.TEXTURE_2D, this.blank);
      return;
    }
    let known = this.values.get(column.url);
    if (known && known.column !== column) {
      gl.deleteTexture(known.texture);
      known = undefined;
    }
    known ??= { texture: this.upload(packValues(column.values)), column };
    this.values.delete(column.url);
    this.values.set(column.url, known);
    gl.bindTexture(gl.TEXTURE_2D, known.texture);
    for (const [url, { texture }] of this.values) {
      if (this.values.size <= KEPT) break;
      gl.deleteTexture(texture);
      this.values.delete(url);
    }
  }

  bindRamp(name: string): void {
    const { gl } = this;
    let texture = this.ramps.get(name);
    if (!texture) {
      texture = gl.createTexture() as WebGLTexture;
      gl.bindTexture(gl.TEXTURE_2D, texture);
      gl.texImage2D(gl.TEXTURE_2D, 0, gl.RGBA8, 256, 1, 0, gl.RGBA, gl.UNSIGNED_BYTE, colorRamp(name));
      this.sharp();
      this.ramps.set(name, texture);
    }
    gl.bindTexture(gl.TEXTURE_2D, texture);
  }

  private upload({ data, height }: { data: Float32Array; height: number }): WebGLTexture {
    const { gl } = this;
    const most = gl.getParameter(gl.MAX_TEXTURE_SIZE) as number;
    const texture = gl.createTexture() as WebGLTexture;
    gl.bindTexture(gl.TEXTURE_2D, texture);
    const rows = Math.min(height, most);
    gl.texImage2D(
      gl.TEXTURE_2D,
      0,
      gl.R32F,
      WIDTH,
      rows,
      0,
      gl.RED,
      gl.FLOAT,
      data.subarray(0, rows * WIDTH),
    );
    this.sharp();
    return texture;
  }

  private sharp(): void {
    const { gl } = this;
    gl.texParameteri(gl.TEXTURE_2D, gl.TEXTURE_MIN_FILTER, gl.NEAREST);
    gl.texParameteri(gl.TEXTURE_2D, gl.TEXTURE_MAG_FILTER, gl.NEAREST);
    gl.texParameteri(gl.TEXTURE_2D, gl.TEXTURE_WRAP_S, gl.CLAMP_TO_EDGE);
    gl.texParameteri(gl.TEXTURE_2D, gl.TEXTURE_WRAP_T, gl.CLAMP_TO_EDGE);
  }
}
