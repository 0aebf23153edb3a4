/** Mouse, touch and keyboard on the canvas: they only change the store. */

import type { ViewStore } from "../store/viewStore";
import type { MapRenderer } from "./renderer";

export interface ControlEvents {
  /** The pointer moved over the map (CSS pixels of the canvas), or left it. */
  hover: (at: { x: number; y: number } | null) => void;
  click: (at: { x: number; y: number }) => void;
  fitPlate: () => void;
}

const CLICK_SLACK = 4; // CSS pixels that a finger may wander in a click
const STEP = 1.5;

/** Change the scale by a factor and keep the world under a point of the canvas (CSS pixels) in place. */
export function zoomAt(
  view: ViewStore,
  canvas: HTMLCanvasElement,
  factor: number,
  at?: { x: number; y: number },
): void {
  const { x, y, scale } = view.store.getState().view;
  const dx = (at?.x ?? canvas.clientWidth / 2) - canvas.clientWidth / 2;
  const dy = (at?.y ?? canvas.clientHeight / 2) - canvas.clientHeight / 2;
  view.actions.move({ scale: scale * factor });
  const now = view.store.getState().view.scale; // may have met a limit
  view.actions.move({ x: x + dx / scale - dx / now, y: y + dy / scale - dy / now });
}

/** Show one image pixel as one pixel of the screen. */
export function zoomToPixels(view: ViewStore): void {
  view.actions.move({ scale: 1 / (window.devicePixelRatio || 1) });
}

/** Do what a key means on the map; returns whether it means anything. */
export function pressKey(
  key: string,
  view: ViewStore,
  canvas: HTMLCanvasElement,
  fitPlate: () => void,
): boolean {
  const { x, y, scale } = view.store.getState().view;
  const pan = Math.min(canvas.clientWidth, canvas.clientHeight) / 8 / scale;
  if (key === "+" || key === "=") zoomAt(view, canvas, STEP);
  else if (key === "-" || key === "_") zoomAt(view, canvas, 1 / STEP);
  else if (key === "ArrowLeft") view.actions.move({ x: x - pan });
  else if (key === "ArrowRight") view.actions.move({ x: x + pan });
  else if (key === "ArrowUp") view.actions.move({ y: y - pan });
  else if (key === "ArrowDown") view.actions.move({ y: y + pan });
  else if (key === "0") fitPlate();
  else if (key === "1") zoomToPixels(view);
  else if (key === "Escape") view.actions.select(null);
  else return false;
  return true;
}

interface Pointer {
  x: number;
  y: number;
}

/** Attach the controls; returns how to detach them. */
export function attachControls(renderer: MapRenderer, view: ViewStore, events: ControlEvents): () => void {
  const { canvas } = renderer;
  const pointers = new Map<number, Pointer>();
  let start: Pointer | null = null; // set while the press may still become a click
  const at = (event: MouseEvent): Pointer => {
    const box = canvas.getBoundingClientRect();
    return { x: event.clientX - box.left, y: event.clientY - box.top };
  };

  const down = (event: PointerEvent) => {
    if (event.button !== 0) return;
    canvas.setPointerCapture(event.pointerId);
    pointers.set(event.pointerId, at(event));
    start = pointers.size === 1 ? at(event) : null;
  };
  const move = (event: PointerEvent) => {
    const now = at(event);
    const before = pointers.get(event.pointerId);
    if (!before) {
      events.hover(now);
      return;
    }
    if (start && Math.hypot(now.x - start.x, now.y - start.y) > CLICK_SLACK) start = null;
    if (start) return;
    events.hover(null);
    drag(view, canvas, pointers, event.pointerId, before, now);
    pointers.set(event.pointerId, now);
  };
  const up = (event: PointerEvent) => {
    if (!pointers.delete(event.pointerId)) return;
    if (start && event.type === "pointerup") events.click(at(event));
    start = null;
  };
  const leave = () => events.hover(null);
  const wheel = (event: WheelEvent) => {
    event.preventDefault();
    const unit = event.deltaMode === WheelEvent.DOM_DELTA_LINE ? 16 : 1;
    const speed = event.ctrlKey ? 100 : 400; // a pinch on a trackpad comes as small steps with Ctrl
    zoomAt(view, canvas, Math.exp((-event.deltaY * unit) / speed), at(event));
  };
  const double = (event: MouseEvent) => zoomAt(view, canvas, 2, at(event));
  const key = (event: KeyboardEvent) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    if (pressKey(event.key, view, canvas, events.fitPlate)) event.preventDefault();
  };

  const stop = new AbortController();
  const options = { signal: stop.signal };
  canvas.addEventListener("pointerdown", down, options);
  canvas.addEventListener("pointermove", move, options);
  canvas.addEventListener("pointerup", up, options);
  canvas.addEventListener("pointercancel", up, options);
  canvas.addEventListener("pointerleave", leave, options);
  canvas.addEventListener("wheel", wheel, { ...options, passive: false });
  canvas.addEventListener("dblclick", double, options);
  canvas.addEventListener("keydown", key, options);
  return () => stop.abort();
}

/** Move the map with one pointer; with two also zoom by their distance. */
function drag(
  view: ViewStore,
  canvas: HTMLCanvasElement,
  pointers: Map<number, Pointer>,
  id: number,
  before: Pointer,
  now: Pointer,
): void {
  const { x, y, scale } = view.store.getState().view;
  const share = 1 / pointers.size;
  view.actions.move({
    x: x - ((now.x - before.x) * share) / scale,
    y: y - ((now.y - before.y) * share) / scale,
  });
  const other = [...pointers].find(([key]) => key !== id)?.[1];
  if (!other) return;
  const apart = Math.hypot(before.x - other.x, before.y - other.y);
  const factor = Math.hypot(now.x - other.x, now.y - other.y) / Math.max(1, apart);
  zoomAt(view, canvas, factor, { x: (now.x + other.x) / 2, y: (now.y + other.y) / 2 });
}
