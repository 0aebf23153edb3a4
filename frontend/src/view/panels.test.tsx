import { MantineProvider } from "@mantine/core";
import { cleanup, render, screen } from "@testing-library/react";
import userEvent from "@testing-library/user-event";
import { afterEach, expect, test } from "vitest";
import { createStore } from "zustand/vanilla";
import type { MapRenderer } from "../map/renderer";
import { ColumnStore } from "../objects/columns";
import { INITIAL_VIEW } from "../store/viewState";
import { createViewStore } from "../store/viewStore";
import { buildScene } from "./buildScene";
import { ChannelPanel } from "./ChannelPanel";
import { type Hover, MapContext, type MapContextValue } from "./context";
import { firstView } from "./firstView";
import { ObjectPanel } from "./ObjectPanel";
import { PlateMap } from "./PlateMap";
import type { Mosaic, ObjectSet, Well } from "./requests";

const levels = [{ path: "0", height: 2000, width: 3000 }];
const plate = { id: "p1", name: "Screen 7" };
const mosaics: Mosaic[] = [
  {
    id: "m1",
    key: "k",
    layout_key: "L1",
    is_derived: false,
    plate,
    origin: [0, 0],
    pixel_size_um: 0.5,
    n_tpoints: 1,
    n_zplanes: 1,
    shape: [1, 1, 1, 2000, 3000],
    levels,
    tile: 512,
    tile_url: "",
    channels: [
      {
        index: 0,
        c: 0,
        name: "DAPI",
        color: "#3b82ff",
        dtype: "uint16",
        scale: 1,
        offset: 0,
        min: 90,
        max: 4000,
        window: [100, 2000],
        histogram: { low: 90, high: 4000, counts: [1, 4, 2, 1] },
      },
    ],
  },
];
const sets: ObjectSet[] = [
  {
    id: "s1",
    key: "k",
    layout_key: "L1",
    object_type: { id: "o1", name: "Nuclei" },
    plate,
    n_objects: 3,
    shape: [1, 1, 1, 2000, 3000],
    levels,
    tile: 512,
    wells: [
      { name: "A01", first: 1, count: 2 },
      { name: "A03", first: 3, count: 1 },
    ],
    features: [{ name: "Intensity_mean_DAPI", unit: "", min: 1, max: 9, low: 2, high: 8 }],
    tile_url: "",
    outline_url: "",
    features_url: "",
  },
];
const wells = [0, 2].map(
  (column): Well => ({
    id: `w${column}`,
    plate: "p1",
    name: `A0${column + 1}`,
    row: 0,
    column,
    y: 0,
    x: column * 1000,
    height: 1000,
    width: 1000,
  }),
);

/** The page's context over real parts; only the values' bytes and the canvas' size are given by hand. */
function setUp(content: React.ReactNode) {
  const first = { view: { ...INITIAL_VIEW.view, plate: "p1" }, ...firstView(mosaics, sets) };
  const value: MapContextValue = {
    experiment: "e",
    view: createViewStore(first),
    hover: createStore<Hover>(() => ({ at: null, picked: null })),
    scene: buildScene(mosaics, sets, wells),
    mosaics,
    sets,
    wells,
    results: [],
    columns: new ColumnStore(async () => new Float32Array([2, 4, 8]).buffer),
    renderer: { canvas: { clientWidth: 800, clientHeight: 600 } } as unknown as MapRenderer,
    setRenderer: () => {},
  };
  render(
    <MantineProvider>
      <MapContext value={value}>{content}</MapContext>
    </MantineProvider>,
  );
  return { state: value.view.store.getState, user: userEvent.setup() };
}

afterEach(cleanup);

test("a channel is hidden, windowed by keyboard, and set back", async () => {
  const { state, user } = setUp(<ChannelPanel />);

  screen.getByRole("slider", { name: "Brightest value of DAPI" }).focus();
  await user.keyboard("{ArrowLeft}");
  expect(state().channels[0]?.high).toBe(1999);
  await user.click(screen.getByRole("button", { name: "Auto" }));
  expect(state().channels[0]?.high).toBe(2000);
  await user.click(screen.getByRole("button", { name: "Hide DAPI" }));

  expect(state().channels[0]?.visible).toBe(false);
  expect(screen.queryByRole("slider")).toBeNull();
});

test("a window is typed as numbers, and one that is upside down is not taken", async () => {
  const { state, user } = setUp(<ChannelPanel />);
  await user.click(screen.getByRole("button", { name: "Settings of DAPI" }));
  const brightest = screen.getByLabelText("Brightest value of DAPI, as a number");

  await user.clear(brightest);
  await user.type(brightest, "850");
  expect(state().channels[0]?.high).toBe(850);
  await user.clear(brightest);
  await user.type(brightest, "7");

  expect(state().channels[0]?.high).toBe(850);
});

test("objects are switched and say what colours them, with their range", async () => {
  const { state, user } = setUp(<ObjectPanel />);

  expect(await screen.findByRole("img", { name: /Colours from 2 to 8/ })).toBeDefined();
  await user.click(screen.getByRole("switch", { name: "Nuclei" }));

  expect(state().objects[0]?.visible).toBe(false);
});

test("wells show their mean and are reached and opened by keyboard", async () => {
  const { state, user } = setUp(<PlateMap />);

  const first = await screen.findByRole("button", { name: "Well A01, mean 3, 2 objects" });
  first.focus();
  await user.keyboard("{ArrowRight}{Enter}");

  expect(document.activeElement).toBe(screen.getByRole("button", { name: /Well A03, mean 8/ }));
  expect(state().view).toMatchObject({ x: 2500, y: 500 });
  expect(screen.getByRole("heading", { name: "Screen 7" })).toBeDefined();
});
