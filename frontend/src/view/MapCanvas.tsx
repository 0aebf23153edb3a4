/** The canvas with what lies on it. React makes it and never draws on it. */

import { ActionIcon, Alert, Button, Text } from "@mantine/core";
import { IconGrain, IconMinus, IconPlus, IconZoomReset } from "@tabler/icons-react";
import { useEffect, useRef, useState } from "react";
import { attachControls, zoomAt, zoomToPixels } from "../map/controls";
import { exposeMap } from "../map/debug";
import { fitBounds, type Pyramid, worldBounds } from "../map/pyramid";
import { MapRenderer } from "../map/renderer";
import { columnUrl } from "./buildScene";
import { type MapContextValue, useMap, useView } from "./context";
import { ReadOut } from "./ReadOut";
import { renewTileSession } from "./requests";
import { ScaleBar } from "./ScaleBar";
import classes from "./view.module.css";

const SESSION_RENEWED_EVERY = 8 * 60_000; // the cookies last ten minutes

/** Move the view so that a plate, or everything if it is not there, fills the canvas. */
export function fitPlate(
  { scene, view }: Pick<MapContextValue, "scene" | "view">,
  canvas: HTMLCanvasElement,
): void {
  const { plate } = view.store.getState().view;
  const shown: Pyramid[] = scene.images.filter((image) => image.plate === plate);
  const bounds = worldBounds(shown.length ? shown : scene.images);
  view.actions.move(fitBounds(bounds, canvas.clientWidth, canvas.clientHeight));
}

/** Make the renderer and keep it in step with the page; returns why it could not be made, if so. */
function useRenderer(canvas: React.RefObject<HTMLCanvasElement | null>, unplaced: boolean): string | null {
  const map = useMap();
  const { experiment, view, scene, columns, results, setRenderer, renderer, hover } = map;
  const latest = useRef(map);
  latest.current = map;
  const [failure, setFailure] = useState<string | null>(null);
  const placed = useRef(!unplaced);

  useEffect(() => {
    const element = canvas.current;
    if (!element) return;
    const endings: (() => void)[] = [];
    try {
      const made = new MapRenderer(element, {
        store: view.store,
        columnOf: (source, colour) => {
          const url = columnUrl(experiment, source, colour, latest.current.results);
          if (!url) return null;
          const state = columns.get(url);
          return state === "loading" ? undefined : "values" in state ? state : null;
        },
        renewSession: () => renewTileSession(experiment),
      });
      endings.push(() => made.close());
      endings.push(exposeMap(made, view));
      endings.push(columns.subscribe(() => made.invalidate()));
      endings.push(
        attachControls(made, view, {
          hover: (at) => {
            const picked = at ? made.pick(at.x, at.y) : null;
            made.setHovered(picked && { source: picked.source.id, index: picked.index });
            hover.setState({ at, picked });
          },
          click: (at) => {
            const picked = made.pick(at.x, at.y);
            view.actions.select(
              picked && { type: picked.source.type, plate: picked.source.plate, index: picked.index },
            );
          },
          fitPlate: () => fitPlate(latest.current, element),
        }),
      );
      // The scene comes with the cookies: without them the first tiles would all be refused.
      void renewTileSession(experiment).then(() => setRenderer(made));
      const timer = setInterval(() => void renewTileSession(experiment), SESSION_RENEWED_EVERY);
      endings.push(() => clearInterval(timer));
    } catch (error) {
      setFailure(error instanceof Error ? error.message : String(error));
    }
    return () => {
      setRenderer(null);
      for (const end of endings.reverse()) end();
    };
  }, [canvas, experiment, view, columns, hover, setRenderer]);

  useEffect(() => {
    if (canvas.current && !placed.current && scene.images.length) {
      placed.current = true;
      fitPlate(latest.current, canvas.current);
    }
    renderer?.setScene(scene);
  }, [canvas, renderer, scene]);
  // biome-ignore lint/correctness/useExhaustiveDependencies: a result that is done brings new colours
  useEffect(() => renderer?.invalidate(), [renderer, results]);
  return failure;
}

export function MapCanvas({ unplaced }: { unplaced: boolean }) {
  const canvas = useRef<HTMLCanvasElement>(null);
  const failure = useRenderer(canvas, unplaced);
  return (
    <div className={classes.stage}>
      {/* biome-ignore lint/a11y/noInteractiveElementToNoninteractiveRole: a reader must pass the keys on to the map */}
      <canvas
        ref={canvas}
        className={classes.canvas}
        tabIndex={0}
        role="application"
        aria-label="Map of the plate. Arrow keys move, plus and minus zoom, 0 fits the plate, 1 shows single pixels."
      />
      {failure ? (
        <Alert className={classes.trouble} color="red" title="No map">
          {failure}
        </Alert>
      ) : (
        <>
          <Toolbar canvas={canvas} />
          <Trouble />
          <ReadOut />
          <ScaleBar />
        </>
      )}
    </div>
  );
}

function Toolbar({ canvas }: { canvas: React.RefObject<HTMLCanvasElement | null> }) {
  const map = useMap();
  const { view } = map;
  const smoothing = useView((state) => state.smoothing);
  const zoom = (factor: number) => canvas.current && zoomAt(view, canvas.current, factor);
  return (
    <ActionIcon.Group orientation="vertical" className={classes.toolbar} aria-label="Zoom">
      <ActionIcon variant="default" aria-label="Zoom in" title="Zoom in (+)" onClick={() => zoom(1.5)}>
        <IconPlus size={16} />
      </ActionIcon>
      <ActionIcon variant="default" aria-label="Zoom out" title="Zoom out (−)" onClick={() => zoom(1 / 1.5)}>
        <IconMinus size={16} />
      </ActionIcon>
      <ActionIcon
        variant="default"
        aria-label="Fit the plate"
        title="Fit the plate (0)"
        onClick={() => canvas.current && fitPlate(map, canvas.current)}
      >
        <IconZoomReset size={16} />
      </ActionIcon>
      <ActionIcon
        variant="default"
        aria-label="1:1, one image pixel per screen pixel"
        title="One image pixel per screen pixel (1)"
        onClick={() => zoomToPixels(view)}
      >
        <Text component="span" size="xs" fw={700}>
          1:1
        </Text>
      </ActionIcon>
      <ActionIcon
        variant="default"
        aria-label="Smooth between pixels"
        aria-pressed={smoothing}
        title={smoothing ? "Show pixels as squares" : "Smooth between pixels"}
        onClick={() => view.actions.setSmoothing(!smoothing)}
      >
        <IconGrain size={16} opacity={smoothing ? 0.5 : 1} />
      </ActionIcon>
    </ActionIcon.Group>
  );
}

/** Says when parts of the map could not be loaded. */
function Trouble() {
  const { renderer } = useMap();
  const [trouble, setTrouble] = useState<string | null>(null);
  useEffect(() => {
    const timer = setInterval(() => setTrouble(renderer?.stats.trouble ?? null), 1000);
    return () => clearInterval(timer);
  }, [renderer]);
  if (!trouble) return null;
  return (
    <Alert className={classes.trouble} color="yellow" role="status" title="Part of the map is missing">
      <Text size="xs">{trouble}. It is tried again by itself.</Text>
      <Button size="compact-xs" variant="default" mt={6} onClick={() => renderer?.retry()}>
        Try now
      </Button>
    </Alert>
  );
}
