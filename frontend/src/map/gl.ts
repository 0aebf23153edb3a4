/** Thin layer over WebGL2: programs with their uniforms, and texture arrays of tiles. */

import { LayerPool, type Place } from "./pool";

export type GL = WebGL2RenderingContext;

export interface Program {
  use: () => void;
  uniform: (name: string) => WebGLUniformLocation | null;
}

function shader(gl: GL, type: number, source: string): WebGLShader {
  const made = gl.createShader(type);
  if (!made) throw new Error("WebGL cannot create a shader");
  gl.shaderSource(made, source);
  gl.compileShader(made);
  if (!gl.getShaderParameter(made, gl.COMPILE_STATUS) && !gl.isContextLost()) {
    throw new Error(`shader: ${gl.getShaderInfoLog(made)}`);
  }
  return made;
}

/** Compile and link; throws with the driver's words if the shaders are wrong. */
export function createProgram(gl: GL, vertex: string, fragment: string): Program {
  const program = gl.createProgram();
  if (!program) throw new Error("WebGL cannot create a program");
  gl.attachShader(program, shader(gl, gl.VERTEX_SHADER, vertex));
  gl.attachShader(program, shader(gl, gl.FRAGMENT_SHADER, fragment));
  gl.linkProgram(program);
  if (!gl.getProgramParameter(program, gl.LINK_STATUS) && !gl.isContextLost()) {
    throw new Error(`program: ${gl.getProgramInfoLog(program)}`);
  }
  const known = new Map<string, WebGLUniformLocation | null>();
  return {
    use: () => gl.useProgram(program),
    uniform: (name) => {
      let location = known.get(name);
      if (location === undefined) {
        location = gl.getUniformLocation(program, name);
        known.set(name, location);
      }
      return location;
    },
  };
}

export interface Attribute {
  size: number;
  type: "float" | "short" | "uint";
}

/** A vertex array with one buffer per call of `attributes`, all advancing per instance. */
export class Instances {
  readonly vao: WebGLVertexArrayObject;
  readonly buffer: WebGLBuffer;

  constructor(
    private readonly gl: GL,
    attributes: readonly Attribute[],
  ) {
    const bytes = { float: 4, short: 2, uint: 4 };
    const stride = attributes.reduce((sum, a) => sum + a.size * bytes[a.type], 0);
    this.vao = gl.createVertexArray() as WebGLVertexArrayObject;
    this.buffer = gl.createBuffer() as WebGLBuffer;
    gl.bindVertexArray(this.vao);
    gl.bindBuffer(gl.ARRAY_BUFFER, this.buffer);
    let offset = 0;
    attributes.forEach(({ size, type }, location) => {
      gl.enableVertexAttribArray(location);
      gl.vertexAttribDivisor(location, 1);
      if (type === "uint") gl.vertexAttribIPointer(location, size, gl.UNSIGNED_INT, stride, offset);
      else
        gl.vertexAttribPointer(location, size, type === "float" ? gl.FLOAT : gl.SHORT, false, stride, offset);
      offset += size * bytes[type];
    });
    gl.bindVertexArray(null);
  }

  fill(data: ArrayBufferView, usage: number): void {
    this.gl.bindBuffer(this.gl.ARRAY_BUFFER, this.buffer);
    this.gl.bufferData(this.gl.ARRAY_BUFFER, data, usage);
  }

  /** Draw `count` instances of a rectangle. */
  draw(count: number): void {
    this.gl.bindVertexArray(this.vao);
    this.gl.drawArraysInstanced(this.gl.TRIANGLE_STRIP, 0, 4, count);
  }

  delete(): void {
    this.gl.deleteVertexArray(this.vao);
    this.gl.deleteBuffer(this.buffer);
  }
}

/** Whole-number tiles in texture arrays, least recently used thrown out first. */
export class TileTextures {
  readonly pool: LayerPool;
  private readonly textures: WebGLTexture[] = [];
  private readFrame: WebGLFramebuffer | null = null;

  constructor(
    private readonly gl: GL,
    private readonly bits: 16 | 32,
    private readonly tile: number,
    arrays: number,
    layers: number,
    evicted?: (key: string) => void,
  ) {
    this.pool = new LayerPool(arrays, layers, evicted);
  }

  /** Upload a tile; returns false when every layer is in use by what is on the screen. */
  put(key: string, data: Uint16Array | Uint32Array, keep: ReadonlySet<string>): boolean {
    if (data.length !== this.tile * this.tile) throw new RangeError(`a tile of ${data.length} pixels`);
    const place = this.pool.take(key, keep);
    if (!place) return false;
    const { gl } = this;
    gl.bindTexture(gl.TEXTURE_2D_ARRAY, this.texture(place.array));
    gl.pixelStorei(gl.UNPACK_ALIGNMENT, 4);
    const type = this.bits === 16 ? gl.UNSIGNED_SHORT : gl.UNSIGNED_INT;
    gl.texSubImage3D(
      gl.TEXTURE_2D_ARRAY,
      0,
      0,
      0,
      place.layer,
      this.tile,
      this.tile,
      1,
      gl.RED_INTEGER,
      type,
      data,
    );
    return true;
  }

  bind(array: number): void {
    this.gl.bindTexture(this.gl.TEXTURE_2D_ARRAY, this.texture(array));
  }

  /** Read one pixel of a loaded tile back from the GPU: exact, but it waits for the GPU. */
  read(place: Place, x: number, y: number): number {
    const { gl } = this;
    this.readFrame ??= gl.createFramebuffer();
    gl.bindFramebuffer(gl.READ_FRAMEBUFFER, this.readFrame);
    gl.framebufferTextureLayer(
      gl.READ_FRAMEBUFFER,
      gl.COLOR_ATTACHMENT0,
      this.texture(place.array),
      0,
      place.layer,
    );
    const pixel = new Uint32Array(4);
    gl.readPixels(x, y, 1, 1, gl.RGBA_INTEGER, gl.UNSIGNED_INT, pixel);
    gl.bindFramebuffer(gl.READ_FRAMEBUFFER, null);
    return pixel[0] as number;
  }

  private texture(array: number): WebGLTexture {
    const known = this.textures[array];
    if (known) return known;
    const { gl } = this;
    const texture = gl.createTexture() as WebGLTexture;
    gl.bindTexture(gl.TEXTURE_2D_ARRAY, texture);
    const format = this.bits === 16 ? gl.R16UI : gl.R32UI;
    gl.texStorage3D(gl.TEXTURE_2D_ARRAY, 1, format, this.tile, this.tile, this.pool.layers);
    gl.texParameteri(gl.TEXTURE_2D_ARRAY, gl.TEXTURE_MIN_FILTER, gl.NEAREST);
    gl.texParameteri(gl.TEXTURE_2D_ARRAY, gl.TEXTURE_MAG_FILTER, gl.NEAREST);
    this.textures[array] = texture;
    return texture;
  }
}
