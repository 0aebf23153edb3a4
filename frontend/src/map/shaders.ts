/** The GLSL programs. Lengths are device pixels from the canvas' left top corner unless they say otherwise. */

/** Side of a tile in texels: fixed by the platform's storage, and cheaper as a constant than asked of the texture. */
export const TILE_SIDE = 512;
const LAST = TILE_SIDE - 1;

const HEAD = `#version 300 es
precision highp float;
precision highp int;
precision highp usampler2DArray;
`;

const PLACE = `
uniform vec2 canvas;
vec4 place(vec2 at) { return vec4(at / canvas * vec2(2, -2) + vec2(-1, 1), 0, 1); }
`;

/** One instance is one tile (or a part of one) drawn as a rectangle. */
export const TILE_VERTEX = `${HEAD}${PLACE}
layout(location = 0) in vec4 rect;
layout(location = 1) in vec4 crop;   // in texels: offset, size
layout(location = 2) in uvec2 item;  // layer, slot
out vec2 texel;
flat out int layer;
flat out uint slot;
void main() {
  vec2 corner = vec2(gl_VertexID & 1, gl_VertexID >> 1);
  texel = crop.xy + corner * crop.zw;
  layer = int(item.x);
  slot = item.y;
  gl_Position = place(rect.xy + corner * rect.zw);
}`;

/** A channel's light: added to what is there; of brightfield, the light it takes away. */
export const IMAGE_FRAGMENT = `${HEAD}
uniform usampler2DArray tiles;
uniform vec4 windows[32];  // low, 1 / (high - low), gamma, 1 for brightfield
uniform vec4 colors[32];
uniform bool smoothing;
in vec2 texel;
flat in int layer;
flat in uint slot;
out vec4 light;
float value(ivec2 at) {
  return float(texelFetch(tiles, ivec3(clamp(at, ivec2(0), ivec2(${LAST})), layer), 0).r);
}
float smoothValue(vec2 at) {
  vec2 low = floor(at - 0.5);
  vec2 part = at - 0.5 - low;
  ivec2 i = ivec2(low);
  vec2 left = vec2(value(i), value(i + ivec2(0, 1)));
  vec2 right = vec2(value(i + ivec2(1, 0)), value(i + ivec2(1, 1)));
  vec2 rows = mix(left, right, part.x);
  return mix(rows.x, rows.y, part.y);
}
void main() {
  float v = smoothing ? smoothValue(texel) : value(ivec2(floor(texel)));
  vec4 range = windows[slot];
  float bright = clamp((v - range.x) * range.y, 0.0, 1.0);
  if (range.z != 1.0) bright = pow(bright, range.z);
  light = vec4(colors[slot].rgb * mix(bright, 1.0 - bright, range.w), 0);
}`;

/** How an object gets its colour; needs the uniforms below. Missing values are 3e38, see values.ts. */
const OBJECT_COLOR = `
uniform sampler2D values;
uniform sampler2D ramp;
uniform bool coloured;
uniform vec2 range;      // low, 1 / (high - low)
uniform uint hovered;
uniform uint selected;
vec3 objectColor(uint index) {
  if (index == hovered || index == selected) return vec3(1);
  if (!coloured) return vec3(0.92);
  int width = textureSize(values, 0).x;
  int i = int(index) - 1;
  float v = texelFetch(values, ivec2(i % width, i / width), 0).r;
  if (v > 1e38) return vec3(0.45);
  float at = clamp((v - range.x) * range.y, 0.0, 1.0);
  return texelFetch(ramp, ivec2(int(at * 255.0 + 0.5), 0), 0).rgb;
}
`;

/** Objects from label tiles. Slot 1: this tile has vector outlines, so draw the fill only, pixel by pixel. */
export const LABEL_FRAGMENT = `${HEAD}${OBJECT_COLOR}
uniform usampler2DArray tiles;
uniform float fill;
uniform float line;           // width of the outline
uniform float grow;           // how far an object too small to be seen reaches over its border
uniform vec2 texelsPerPixel;
in vec2 texel;
flat in int layer;
flat in uint slot;
out vec4 paint;
uint labelAt(ivec2 at) {
  return texelFetch(tiles, ivec3(clamp(at, ivec2(0), ivec2(${LAST})), layer), 0).r;
}
float votes(uvec4 ids, vec4 weights, uint id) { return dot(weights, vec4(equal(ids, uvec4(id)))); }
// Between pixels the label that covers most of the neighbourhood wins: borders become smooth lines.
uint objectAt(vec2 at) {
  if (slot == 1u || texelsPerPixel.x >= 1.0) return labelAt(ivec2(floor(at)));
  vec2 low = floor(at - 0.5);
  vec2 part = at - 0.5 - low;
  ivec2 i = ivec2(low);
  uvec4 ids = uvec4(labelAt(i), labelAt(i + ivec2(1, 0)), labelAt(i + ivec2(0, 1)), labelAt(i + ivec2(1, 1)));
  if (all(equal(ids, ids.xxxx))) return ids.x;
  vec4 weights = vec4((1.0 - part.x) * (1.0 - part.y), part.x * (1.0 - part.y), (1.0 - part.x) * part.y, part.x * part.y);
  uint best = ids.x;
  float most = votes(ids, weights, ids.x);
  for (int k = 1; k < 4; k++) {
    float count = votes(ids, weights, ids[k]);
    if (count > most) { most = count; best = ids[k]; }
  }
  return best;
}
// The object that reaches over a pixel which none covers.
uint objectNear(vec2 at) {
  // Two rings, the nearer first: an object smaller than a pixel may lie between a pixel and the outer one.
  for (int k = 0; k < 16; k++) {
    vec2 far = texelsPerPixel * (k < 8 ? 0.5 * grow : grow);
    float turn = float(k) * 0.78539816;
    uint found = objectAt(at + far * vec2(cos(turn), sin(turn)));
    if (found != 0u) return found;
  }
  return 0u;
}
void main() {
  uint index = objectAt(texel);
  bool outside = index == 0u && grow > 0.0;
  if (outside) index = objectNear(texel);
  if (index == 0u) discard;
  bool marked = index == hovered || index == selected;
  float width = slot == 1u ? 0.0 : (marked ? max(line, 1.0) + 1.0 : line);
  bool border = outside && width > 0.0;
  if (width > 0.0 && !outside) {
    vec2 reach = texelsPerPixel * width;
    border = objectAt(texel + vec2(reach.x, 0)) != index || objectAt(texel - vec2(reach.x, 0)) != index
      || objectAt(texel + vec2(0, reach.y)) != index || objectAt(texel - vec2(0, reach.y)) != index;
  }
  float alpha = border ? 1.0 : fill;
  if (index == hovered && !border) alpha = max(fill, 0.25);
  paint = vec4((border || index != selected) ? objectColor(index) * alpha : vec3(alpha), alpha);
}`;

/** One instance is one segment of an outline, in units of the tile. */
export const OUTLINE_VERTEX = `${HEAD}${PLACE}${OBJECT_COLOR}
layout(location = 0) in vec4 segment;
layout(location = 1) in uint index;
uniform vec2 origin;
uniform float unit;   // device pixels per unit of the tile
uniform float line;
out vec2 inTile;
out float across;
flat out float halfWidth;
flat out vec3 color;
void main() {
  vec2 corner = vec2(gl_VertexID & 1, gl_VertexID >> 1);
  vec2 a = segment.xy * unit;
  vec2 b = segment.zw * unit;
  vec2 along = b - a;
  float span = length(along);
  along = span > 0.0 ? along / span : vec2(1, 0);
  bool marked = index == hovered || index == selected;
  halfWidth = (marked ? max(line, 1.0) + 1.0 : line) * 0.5;
  float reach = halfWidth + 0.5;
  across = (corner.y * 2.0 - 1.0) * reach;
  vec2 at = mix(a - along * halfWidth, b + along * halfWidth, corner.x) + vec2(-along.y, along.x) * across;
  inTile = at / unit;
  color = objectColor(index);
  gl_Position = place(origin + at);
}`;

/** Segments reach over the tile's edge; the neighbour draws that part. */
export const OUTLINE_FRAGMENT = `${HEAD}
uniform float extent;
in vec2 inTile;
in float across;
flat in float halfWidth;
flat in vec3 color;
out vec4 paint;
void main() {
  if (any(lessThan(inTile, vec2(0))) || any(greaterThanEqual(inTile, vec2(extent)))) discard;
  float alpha = clamp(halfWidth + 0.5 - abs(across), 0.0, 1.0);
  paint = vec4(color * alpha, alpha);
}`;

/** Wells painted in one colour each. */
export const WELL_VERTEX = `${HEAD}${PLACE}
layout(location = 0) in vec4 rect;
layout(location = 1) in vec4 color;
flat out vec4 filled;
void main() {
  filled = color;
  gl_Position = place(rect.xy + vec2(gl_VertexID & 1, gl_VertexID >> 1) * rect.zw);
}`;

export const WELL_FRAGMENT = `${HEAD}
flat in vec4 filled;
out vec4 paint;
void main() { paint = vec4(filled.rgb * filled.a, filled.a); }`;
