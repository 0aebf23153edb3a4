/** Paints whole wells by the mean of their objects, where single objects would be smaller than a pixel. */

import { type WellValue, wellMeans } from "../objects/aggregate";
import { colorOf } from "../objects/colormaps";
import type { Column } from "../objects/columns";
import type { ObjectView } from "../store/viewState";
import type { Frame } from "./frame";
import { createProgram, type GL, Instances, type Program } from "./gl";
import { corner } from "./pyramid";
import type { ObjectSource } from "./scene";
import { WELL_FRAGMENT, WELL_VERTEX } from "./shaders";

/** Below this many device pixels per object wells are painted. */
export const SMALLEST_OBJECT = 1;

export class WellLayer {
  private readonly program: Program;
  private readonly instances: Instances;
  private readonly means = new WeakMap<Column, WellValue[]>();

  constructor(private readonly gl: GL) {
    this.program = createProgram(gl, WELL_VERTEX, WELL_FRAGMENT);
    this.instances = new Instances(gl, [
      { size: 4, type: "float" },
      { size: 4, type: "float" },
    ]);
  }

  /** Return whether objects of this set are too small to be drawn one by one. */
  applies(frame: Frame, source: ObjectSource): boolean {
    return source.diameter * frame.camera.scale < SMALLEST_OBJECT;
  }

  draw(frame: Frame, source: ObjectSource, view: ObjectView): void {
    const column = frame.column(source, view.colour);
    if (!column || view.fill === 0) return;
    let means = this.means.get(column);
    if (!means) {
      means = wellMeans(column.values, source.wells);
      this.means.set(column, means);
    }
    const boxes = new Map(frame.scene.wells.filter((w) => w.plate === source.plate).map((w) => [w.name, w]));
    const { scale } = frame.camera;
    const from = corner(frame.camera);
    const data: number[] = [];
    for (const { name, mean, count } of means) {
      const box = boxes.get(name);
      const color = count && box ? colorOf(mean, view.low, view.high, view.map) : null;
      if (!box || !color) continue;
      data.push(
        (box.x0 - from.x) * scale,
        (box.y0 - from.y) * scale,
        (box.x1 - box.x0) * scale,
        (box.y1 - box.y0) * scale,
      );
      data.push(color[0] / 255, color[1] / 255, color[2] / 255, Math.max(0.15, view.fill));
    }
    if (!data.length) return;
    const { gl, program } = this;
    program.use();
    gl.uniform2f(program.uniform("canvas"), frame.camera.width, frame.camera.height);
    this.instances.fill(new Float32Array(data), gl.STREAM_DRAW);
    this.instances.draw(data.length / 8);
  }
}
