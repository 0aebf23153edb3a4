/** What every layer needs to draw one frame, and what it asks for in return. */

import type { Column } from "../objects/columns";
import type { Colouring, ViewState } from "../store/viewState";
import { type Camera, levelFor, type Pyramid, type Tile, visibleTiles } from "./pyramid";
import type { Wanted } from "./queue";
import type { ObjectSource, Scene } from "./scene";

/** Values of a frame's objects: undefined while they are on their way, null if there are none to come. */
export type ColumnOf = (source: ObjectSource, colour: Colouring) => Column | null | undefined;

export interface Mark {
  source: string;
  index: number;
}

/** Smaller is sooner; distances from the centre are added, so steps are larger than any world. */
export const PRIORITY = { overview: -1e9, visible: 0, outline: 1e9, ahead: 2e9 } as const;

export class Frame {
  /** Tiles on the screen and asked for: never thrown out. */
  readonly keep = new Set<string>();
  private readonly entries = new Map<string, Wanted & { priority: number }>();
  missing = 0;

  constructor(
    readonly camera: Camera,
    readonly state: ViewState,
    readonly scene: Scene,
    readonly pixelRatio: number,
    private readonly columnOf: ColumnOf,
    readonly hovered: Mark | null,
    readonly isEmpty: (key: string) => boolean,
  ) {}

  /** Ask for a tile by its address; what is on the screen counts as missing until it is there. */
  want(url: string, kind: Wanted["kind"], priority: number): void {
    if (priority < PRIORITY.ahead) {
      this.keep.add(url);
      if (priority >= PRIORITY.visible) this.missing++;
    }
    const known = this.entries.get(url);
    if (!known || known.priority > priority) this.entries.set(url, { key: url, url, kind, priority });
  }

  /** Return an object set's values; while they are on their way the frame is not complete. */
  column(source: ObjectSource, colour: Colouring): Column | undefined {
    const column = colour ? this.columnOf(source, colour) : null;
    if (column === undefined) this.missing++;
    return column ?? undefined;
  }

  /** Return everything asked for, soonest first. */
  wanted(): Wanted[] {
    return [...this.entries.values()].sort((a, b) => a.priority - b.priority);
  }

  /** Return a tile's distance from the canvas' centre in world pixels. */
  distance(pyramid: Pyramid, tile: Tile): number {
    const span = pyramid.tile * 2 ** tile.level;
    return Math.hypot(
      pyramid.originX + (tile.tx + 0.5) * span - this.camera.x,
      pyramid.originY + (tile.ty + 0.5) * span - this.camera.y,
    );
  }

  /** Return the tiles to show: of the level that fits the scale, or coarser if those would not fit into `room`. */
  tiles(pyramid: Pyramid, room: number): Tile[] {
    let level = levelFor(pyramid.levels, this.camera.scale);
    let tiles = visibleTiles(pyramid, this.camera, level);
    while (tiles.length > room && level < pyramid.levels - 1)
      tiles = visibleTiles(pyramid, this.camera, ++level);
    return tiles;
  }
}
