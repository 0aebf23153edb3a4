/** The View page: channels and objects on the left, the map in the middle, plate and details on the right. */

import { Alert, Anchor, Button, Center, Loader, Stack, Text, Title } from "@mantine/core";
import { useEffect, useMemo, useState } from "react";
import { Link } from "react-router";
import { createStore } from "zustand/vanilla";
import type { MapRenderer } from "../map/renderer";
import { ColumnStore } from "../objects/columns";
import { viewFromQuery } from "../store/address";
import { INITIAL_VIEW, type ViewState } from "../store/viewState";
import { createViewStore, followInAddress } from "../store/viewStore";
import { buildScene } from "./buildScene";
import { ChannelPanel } from "./ChannelPanel";
import { type Hover, MapContext } from "./context";
import { firstPlane, firstView, reconcile } from "./firstView";
import { MapCanvas } from "./MapCanvas";
import { ObjectPanel } from "./ObjectPanel";
import { PlaneSliders } from "./PlaneSliders";
import { PlateMap } from "./PlateMap";
import { useMosaics, useObjectSets, useToolResults, useWells } from "./queries";
import { getBytes, type Mosaic, type ObjectSet, type ToolResult, type Well } from "./requests";
import { useLinkedResult } from "./results";
import { SelectedObject } from "./SelectedObject";
import { ToolPanels } from "./ToolPanels";
import classes from "./view.module.css";

export interface ViewPageProps {
  experimentId: string;
}

/** The page of an experiment's map; says what to do while there is none. */
export function ViewPage({ experimentId }: ViewPageProps) {
  const mosaics = useMosaics(experimentId);
  const sets = useObjectSets(experimentId);
  const wells = useWells(experimentId);
  const results = useToolResults(experimentId);
  const failed = [mosaics, sets, wells].find((query) => query.isError);
  if (failed?.error) {
    const retry = () => void Promise.all([mosaics.refetch(), sets.refetch(), wells.refetch()]);
    return (
      <Center className={classes.message}>
        <Alert color="red" title="The map could not be opened">
          <Text size="sm">{failed.error.message}</Text>
          <Button mt="sm" size="xs" variant="default" onClick={retry}>
            Try again
          </Button>
        </Alert>
      </Center>
    );
  }
  if (!mosaics.data || !sets.data || !wells.data) {
    return (
      <Center className={classes.message}>
        <Loader aria-label="Opening the map" />
      </Center>
    );
  }
  if (!mosaics.data.length) return <NoMosaic experiment={experimentId} />;
  return (
    <Viewer
      key={experimentId}
      experiment={experimentId}
      mosaics={mosaics.data}
      sets={sets.data}
      wells={wells.data}
      results={results.data ?? NO_RESULTS}
    />
  );
}

const NO_RESULTS: ToolResult[] = [];

function NoMosaic({ experiment }: { experiment: string }) {
  return (
    <Center className={classes.message}>
      <Stack align="center" gap="xs" maw={420}>
        <Title order={2} size="h4">
          There is no map yet
        </Title>
        <Text ta="center" c="dimmed" size="sm">
          The map is made by the workflow's step “illuminati”. This page shows it as soon as that step is
          done.
        </Text>
        <Anchor component={Link} to={`/experiments/${experiment}/workflow`}>
          Go to the workflow
        </Anchor>
      </Stack>
    </Center>
  );
}

interface ViewerProps {
  experiment: string;
  mosaics: Mosaic[];
  sets: ObjectSet[];
  wells: Well[];
  results: ToolResult[];
}

/** Return the state to start with, and whether the map must still be fitted to the plate. */
function initialView(mosaics: Mosaic[], sets: ObjectSet[]): { state: ViewState; unplaced: boolean } {
  const first = firstView(mosaics, sets);
  const linked = viewFromQuery(window.location.search);
  if (linked) return { state: { view: linked.view, ...reconcile(linked, first) }, unplaced: false };
  const plate = mosaics[0]?.plate.id ?? null;
  const view = { ...INITIAL_VIEW.view, z: firstPlane(mosaics), plate };
  return { state: { view, ...first }, unplaced: true };
}

function Viewer({ experiment, mosaics, sets, wells, results }: ViewerProps) {
  const [initial] = useState(() => initialView(mosaics, sets));
  const [view] = useState(() => createViewStore(initial.state));
  const [hover] = useState(() => createStore<Hover>(() => ({ at: null, picked: null })));
  const [columns] = useState(() => new ColumnStore(getBytes));
  const [renderer, setRenderer] = useState<MapRenderer | null>(null);
  const scene = useMemo(() => buildScene(mosaics, sets, wells), [mosaics, sets, wells]);

  useEffect(() => followInAddress(view.store), [view]);
  useLinkedResult(view, results);
  useEffect(() => {
    // A workflow may add channels and object types while the map is open.
    const state = view.store.getState();
    view.actions.replace({ view: state.view, ...reconcile(state, firstView(mosaics, sets)) });
  }, [view, mosaics, sets]);

  const value = useMemo(
    () => ({ experiment, view, hover, scene, mosaics, sets, wells, results, columns, renderer, setRenderer }),
    [experiment, view, hover, scene, mosaics, sets, wells, results, columns, renderer],
  );
  return (
    <MapContext value={value}>
      <div className={classes.page}>
        <aside className={classes.left} aria-label="Channels and objects">
          <ChannelPanel />
          <ObjectPanel />
        </aside>
        <section className={classes.middle} aria-label="Map">
          <MapCanvas unplaced={initial.unplaced} />
          <PlaneSliders />
        </section>
        <aside className={classes.right} aria-label="Plate, selected object and tools">
          <PlateMap />
          <SelectedObject />
          <ToolPanels />
        </aside>
      </div>
    </MapContext>
  );
}
