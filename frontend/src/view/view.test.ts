import { expect, test } from "vitest";
import { encodeView, viewFromQuery } from "../store/address";
import type { ViewState } from "../store/viewState";
import { buildScene, columnUrl, outdatedTypes, shownMosaics, typicalDiameter } from "./buildScene";
import { sliderRange } from "./ChannelRow";
import {
  autoWindow,
  channelsOf,
  featuresOf,
  firstChannel,
  firstFeature,
  firstPlane,
  firstView,
  rangeOf,
  reconcile,
  typesOf,
} from "./firstView";
import { histogramBars } from "./Histogram";
import { colourChoices, measureOf } from "./ObjectRow";
import { neighbour } from "./PlateMap";
import type { Mosaic, MosaicChannel, ObjectSet, ToolResult, Well } from "./requests";

const channel = (part: Partial<MosaicChannel> = {}): MosaicChannel => ({
  index: 0,
  c: part.index ?? 0,
  name: "DAPI",
  color: "#0000ff",
  dtype: "uint16",
  scale: 1,
  offset: 0,
  min: 90,
  max: 40_000,
  window: [100, 3000],
  histogram: { low: 0, high: 4, counts: [1, 0, 0, 8] },
  ...part,
});

const mosaic = (part: Partial<Mosaic> = {}): Mosaic => ({
  id: "m1",
  key: "k",
  layout_key: "L1",
  is_derived: false,
  plate: { id: "p1", name: "Plate 1" },
  origin: [0, 0],
  pixel_size_um: 0.5,
  n_tpoints: 1,
  n_zplanes: 1,
  shape: [1, 2, 1, 3000, 5000],
  levels: [
    { path: "0", height: 3000, width: 5000 },
    { path: "1", height: 1500, width: 2500 },
  ],
  tile: 512,
  channels: [channel(), channel({ index: 1, name: "GFP", color: "#00FF00" })],
  tile_url: "/tiles/e/m1/k/{level}/{t}/{c}/{z}/{y}/{x}",
  ...part,
});

const objectSet = (type: string, part: Partial<ObjectSet> = {}): ObjectSet => ({
  id: `s-${type}`,
  key: "k",
  layout_key: "L1",
  object_type: { id: `o-${type}`, name: type },
  plate: { id: "p1", name: "Plate 1" },
  n_objects: 10,
  shape: [1, 1, 1, 3000, 5000],
  levels: mosaic().levels,
  tile: 512,
  wells: [{ name: "A01", first: 1, count: 10 }],
  features: [
    { name: "Morphology_area", unit: "px", min: 50, max: 900, low: 100, high: 530 },
    { name: "Intensity_mean_GFP", unit: "", min: 0, max: 9, low: 1, high: 8 },
    { name: "Intensity_mean_DAPI", unit: "", min: 10, max: 90, low: 11, high: 80 },
  ],
  tile_url: "/tiles/e/s/k/{level}/{t}/{c}/{z}/{y}/{x}",
  outline_url: "/tiles/e/s/k/{level}/{y}/{x}.mvt",
  features_url: "",
  ...part,
});

const result = (part: Partial<ToolResult> = {}): ToolResult => ({
  id: "r1",
  tool: "heatmap",
  name: "Heat map: area",
  state: "succeeded",
  error: null,
  object_type: { id: "o", name: "Nuclei" },
  arguments: {},
  info: { label: "area", unit: "px", low: 2, high: 6 },
  values_url: "/api/v1/experiments/e/tool-results/r1/values/",
  ...part,
});

test("the first view shows windowed channels and nuclei by the first channel's mean intensity", () => {
  const view = firstView([mosaic()], [objectSet("Cells"), objectSet("Nuclei")]);

  expect(view.channels[1]).toEqual({
    index: 1,
    visible: true,
    color: "#00ff00",
    low: 100,
    high: 3000,
    gamma: 1,
    opacity: 1,
  });
  expect(view.objects.map((o) => [o.type, o.visible])).toEqual([
    ["Nuclei", true],
    ["Cells", false],
  ]);
  expect(view.objects[0]).toMatchObject({ colour: { feature: "Intensity_mean_DAPI" }, low: 11, high: 80 });
});

test("a channel without a usable colour or window gets one", () => {
  const dark = channel({ index: 2, color: "#000000", window: [7, 7] });

  expect(firstView([mosaic({ channels: [dark] })], []).channels[0]?.color).not.toBe("#000000");
  expect(autoWindow(dark)).toEqual({ low: 7, high: 8 });
});

test("a stack opens in its middle, where it is most likely in focus", () => {
  expect(firstPlane([mosaic({ n_zplanes: 1 })])).toBe(0);
  expect(firstPlane([mosaic({ n_zplanes: 3 }), mosaic({ n_zplanes: 10 })])).toBe(4);
  expect(firstPlane([mosaic({ n_zplanes: 45 })])).toBe(22);
  expect(firstPlane([])).toBe(0);
});

test("objects without features are shown plain", () => {
  const view = firstView([mosaic()], [objectSet("Nuclei", { features: [] })]);

  expect(view.objects[0]?.colour).toBeNull();
  expect(firstFeature([], "DAPI")).toBeUndefined();
});

test("channels and features of several plates are one list with the widest range", () => {
  const second = objectSet("Nuclei", {
    plate: { id: "p2", name: "Plate 2" },
    features: [{ name: "Morphology_area", unit: "px", min: 10, max: 950, low: null, high: 700 }],
  });

  expect(channelsOf([mosaic(), mosaic({ id: "m2" })]).map((c) => c.index)).toEqual([0, 1]);
  expect(typesOf([objectSet("Nuclei"), second])).toEqual(["Nuclei"]);
  expect(featuresOf([objectSet("Nuclei"), second], "Nuclei")[0]).toMatchObject({
    min: 10,
    max: 950,
    low: 100,
    high: 700,
  });
});

test("a range is never empty", () => {
  expect(rangeOf({ name: "f", low: 3, high: 3, min: 1, max: 5 })).toEqual({ low: 1, high: 5 });
  expect(rangeOf({ name: "f", low: 3, high: 3, min: 3, max: 3 })).toEqual({ low: 2.5, high: 3.5 });
  expect(rangeOf({ name: "f", low: null, high: null, min: null, max: null })).toEqual({ low: 0, high: 1 });
});

test("a link to an experiment that changed keeps what still exists and adds what is new", () => {
  const first = firstView([mosaic()], [objectSet("Nuclei"), objectSet("Spots")]);
  const linked: ViewState = {
    view: { x: 1, y: 2, scale: 3, t: 0, z: 0, plate: "p1" },
    channels: [
      { index: 1, visible: false, color: "#123456", low: 5, high: 6, gamma: 2, opacity: 0.5 },
      { index: 9, visible: true, color: "#ffffff", low: 0, high: 1, gamma: 1, opacity: 1 },
    ],
    objects: [
      { type: "Gone", visible: true, colour: null, low: 0, high: 1, map: "viridis", fill: 0, outline: 1 },
    ],
    selection: { type: "Gone", plate: "p1", index: 3 },
    smoothing: false,
  };

  const view = reconcile(linked, first);

  expect(view.channels.map((c) => c.color)).toEqual(["#0000ff", "#123456"]);
  expect(view.objects.map((o) => o.type)).toEqual(["Nuclei", "Spots"]);
  expect(view.selection).toBeNull();
  const whole = { view: linked.view, ...view };
  expect(viewFromQuery(`?v=${encodeView(whole)}`)).toEqual(whole);
});

test("plates lie at their origin, wells within them, objects on their mosaic", () => {
  const well: Well = {
    id: "w",
    plate: "p1",
    name: "A01",
    row: 0,
    column: 0,
    y: 20,
    x: 10,
    height: 100,
    width: 200,
  };

  const scene = buildScene(
    [mosaic({ origin: [1000, 7000] })],
    [objectSet("Nuclei")],
    [well, { ...well, plate: "unseen" }],
  );

  expect(scene.images[0]).toMatchObject({
    originX: 7000,
    originY: 1000,
    width: 5000,
    height: 3000,
    levels: 2,
  });
  expect(scene.objects[0]).toMatchObject({ originX: 7000, originY: 1000, type: "Nuclei", plate: "p1" });
  expect(scene.wells).toEqual([{ plate: "p1", name: "A01", x0: 7010, y0: 1020, x1: 7210, y1: 1120 }]);
});

test("objects of another layout are left out and named", () => {
  const sets = [objectSet("Nuclei"), objectSet("Cells", { layout_key: "L0" })];

  expect(buildScene([mosaic()], sets, []).objects.map((o) => o.type)).toEqual(["Nuclei"]);
  expect(outdatedTypes([mosaic()], sets)).toEqual(["Cells"]);
});

test("the diameter comes from the area, in pixels or square micrometres", () => {
  const [area] = objectSet("Nuclei").features;

  expect(typicalDiameter([area ?? { name: "" }], null)).toBeCloseTo(20.03, 1);
  expect(typicalDiameter([{ name: "Morphology_area", unit: "µm²", low: 50, high: 107 }], 0.5)).toBeCloseTo(
    20,
    0,
  );
  expect(typicalDiameter([], null)).toBe(16);
});

test("values come from the object set's feature or the finished result of the same type", () => {
  const source = { id: "s1", plate: "p1", type: "Nuclei" };

  expect(columnUrl("e", source, { feature: "a/b c" }, [])).toBe(
    "/api/v1/experiments/e/object-sets/s1/features/a%2Fb%20c/?format=f4",
  );
  expect(columnUrl("e", source, { toolResult: "r1" }, [result()])).toBe(
    "/api/v1/experiments/e/tool-results/r1/values/?plate=p1&format=f4",
  );
  expect(columnUrl("e", source, { toolResult: "r1" }, [result({ state: "running" })])).toBeNull();
  expect(columnUrl("e", { ...source, type: "Cells" }, { toolResult: "r1" }, [result()])).toBeNull();
  expect(columnUrl("e", source, null, [])).toBeNull();
});

test("colour by offers features and finished results of the type, and knows their range and unit", () => {
  const { features } = objectSet("Nuclei");

  const groups = colourChoices("Nuclei", features, [result(), result({ id: "r2", state: "failed" })]);

  expect(groups.map((g) => g.items.length)).toEqual([1, 3, 1]);
  expect(measureOf({ colour: { toolResult: "r1" } }, features, [result()])).toMatchObject({
    label: "area",
    unit: "px",
    low: 2,
    high: 6,
  });
  expect(measureOf({ colour: { feature: "gone" } }, features, [])).toBeNull();
});

test("histogram bars share the bins out, and an impossible range gives none", () => {
  const { histogram } = channel();

  const bars = histogramBars(histogram, 0, 4);

  expect(bars[0]).toBeCloseTo(Math.cbrt(1 / 8));
  expect(bars[20]).toBe(0);
  expect(bars[63]).toBe(1);
  expect(histogramBars({ low: 5, high: 5, counts: [3] }, 0, 1).every((bar) => bar === 0)).toBe(true);
});

test("the slider covers the window that is set, even beyond the pixels", () => {
  const wide = { ...firstChannel(channel()), low: -50, high: 65_000 };

  const [low, high] = sliderRange(channel(), wide);

  expect(low).toBe(-50);
  expect(high).toBe(65_000);
});

test("arrow keys jump over missing wells and stop at the edge", () => {
  const at = (row: number, column: number) => ({ id: `${row} ${column}`, row, column }) as Well;
  const wells = [at(0, 0), at(0, 3), at(2, 0)];
  const [first] = wells as [Well];

  expect(neighbour(wells, first, "ArrowRight")?.id).toBe("0 3");
  expect(neighbour(wells, first, "ArrowDown")?.id).toBe("2 0");
  expect(neighbour(wells, first, "ArrowUp")).toBeUndefined();
  expect(neighbour(wells, first, "x")).toBeUndefined();
});

test("channels of pipelines lie over the mosaic of their layout and are no plate of their own", () => {
  const ratio = channel({ index: 1000, c: 0, name: "ratio" });
  const derived = mosaic({ id: "m2", is_derived: true, channels: [ratio] });
  const old = mosaic({ id: "m3", is_derived: true, layout_key: "L0", channels: [ratio] });
  const shown = shownMosaics([derived, old, mosaic()]);

  expect(shown.map((m) => m.id)).toEqual(["m1", "m2"]);
  expect(channelsOf(shown).map((c) => c.name)).toEqual(["DAPI", "GFP", "ratio"]);
  expect(outdatedTypes([derived, mosaic()], [objectSet("Nuclei")])).toEqual([]);
  expect(buildScene(shown, [objectSet("Nuclei")], []).objects).toHaveLength(1);
});
