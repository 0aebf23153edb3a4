/** One object type: shown or not, coloured by what, over which range, how strong. */

import {
  ActionIcon,
  Alert,
  Button,
  Collapse,
  NumberInput,
  RangeSlider,
  Select,
  Slider,
  Switch,
  Text,
} from "@mantine/core";
import { IconAdjustmentsHorizontal } from "@tabler/icons-react";
import { memo, useId, useState } from "react";
import { COLOR_MAPS, cssGradient } from "../objects/colormaps";
import { colouringKey, colouringOf, type ObjectView } from "../store/viewState";
import { useColumn, useMap, usePlate } from "./context";
import { featuresOf, rangeOf } from "./firstView";
import { formatNumber, shortNumber, stepOf } from "./numbers";
import type { FeatureSummary, ToolResult } from "./requests";
import classes from "./view.module.css";

interface Measure {
  label: string;
  unit: string;
  /** Proposed colour range and the extremes that sliders reach. */
  low: number;
  high: number;
  min: number;
  max: number;
}

/** Return what a type is coloured by, with its unit and range; null if by nothing. */
export function measureOf(
  object: Pick<ObjectView, "colour">,
  features: readonly FeatureSummary[],
  results: readonly ToolResult[],
): Measure | null {
  const { colour } = object;
  if (!colour) return null;
  if ("feature" in colour) {
    const feature = features.find((f) => f.name === colour.feature);
    if (!feature) return null;
    const { low, high } = rangeOf(feature);
    return {
      label: feature.name,
      unit: feature.unit ?? "",
      low,
      high,
      min: feature.min ?? low,
      max: feature.max ?? high,
    };
  }
  const result = results.find((r) => r.id === colour.toolResult);
  if (!result) return null;
  const { label = result.name, unit = "", low = 0, high = 1 } = result.info;
  const width = Math.max(high - low, 1e-6);
  return { label, unit, low, high, min: low - width / 2, max: high + width / 2 };
}

/** Return the choices of "colour by": features and finished results of one type. */
export function colourChoices(
  type: string,
  features: readonly FeatureSummary[],
  results: readonly ToolResult[],
) {
  const finished = results.filter((r) => r.state === "succeeded" && r.object_type.name === type);
  return [
    { group: "Plain", items: [{ value: "", label: "White outlines" }] },
    { group: "Features", items: features.map((f) => ({ value: `feature:${f.name}`, label: f.name })) },
    { group: "Tool results", items: finished.map((r) => ({ value: `result:${r.id}`, label: r.name })) },
  ].filter((group) => group.items.length > 0);
}

export const ObjectRow = memo(function ObjectRow({ object }: { object: ObjectView }) {
  const { view, sets, results } = useMap();
  const [open, setOpen] = useState(false);
  const settings = useId();
  const { type } = object;
  const features = featuresOf(sets, type);
  const count = sets.filter((s) => s.object_type.name === type).reduce((sum, s) => sum + s.n_objects, 0);
  const change = (part: Partial<ObjectView>) => view.actions.changeObjects(type, part);
  const recolour = (key: string | null) => {
    const colour = colouringOf(key ?? "");
    const measure = measureOf({ colour }, features, results);
    change(measure ? { colour, low: measure.low, high: measure.high, visible: true } : { colour });
  };
  return (
    <fieldset className={classes.row} aria-label={`Objects ${type}`}>
      <div className={classes.rowHead}>
        <Switch
          size="xs"
          label={type}
          checked={object.visible}
          onChange={(event) => change({ visible: event.currentTarget.checked })}
          style={{ flex: 1 }}
        />
        <span className={classes.dim}>{formatNumber(count)}</span>
        <ActionIcon
          size="sm"
          variant="subtle"
          color="gray"
          aria-label={`Settings of ${type}`}
          aria-expanded={open}
          aria-controls={settings}
          onClick={() => setOpen(!open)}
        >
          <IconAdjustmentsHorizontal size={15} />
        </ActionIcon>
      </div>
      {object.visible && (
        <>
          <Select
            size="xs"
            mt={4}
            label={`Colour ${type} by`}
            data={colourChoices(type, features, results)}
            value={colouringKey(object.colour)}
            onChange={recolour}
            searchable
            allowDeselect={false}
            comboboxProps={{ width: 320, position: "bottom-start" }}
            nothingFoundMessage="No such feature"
          />
          <Legend object={object} measure={measureOf(object, features, results)} change={change} />
        </>
      )}
      <Collapse expanded={open} id={settings}>
        {open && <Appearance object={object} change={change} />}
      </Collapse>
    </fieldset>
  );
});

interface PartProps {
  object: ObjectView;
  change: (part: Partial<ObjectView>) => void;
}

function Legend({ object, measure, change }: PartProps & { measure: Measure | null }) {
  const plate = usePlate();
  const { loading, error, retry } = useColumn(plate, object.type, object.colour);
  if (!measure) return null;
  const min = Math.min(measure.min, object.low);
  const max = Math.max(measure.max, object.high);
  const step = stepOf(min, max, false);
  const part = (value: number) => (value - min) / Math.max(max - min, 1e-12);
  return (
    <div>
      <div
        className={classes.gradient}
        style={{ background: cssGradient(object.map, part(object.low), part(object.high)) }}
        role="img"
        aria-label={`Colours from ${formatNumber(object.low)} to ${formatNumber(object.high)} ${measure.unit}`}
      />
      <RangeSlider
        size={3}
        thumbSize={12}
        mt={4}
        min={min}
        max={max}
        step={step}
        minRange={step}
        value={[object.low, object.high]}
        onChange={([low, high]) => change({ low, high })}
        label={null}
        color="gray"
        thumbFromLabel={`First colour of ${object.type}`}
        thumbToLabel={`Last colour of ${object.type}`}
      />
      <div className={classes.dim}>
        {formatNumber(object.low)}–{formatNumber(object.high)} {measure.unit} {loading && "loading…"}
      </div>
      {error && (
        <Alert color="red" p={6} mt={4}>
          <Text size="xs">The values could not be loaded: {error}</Text>
          <Button size="compact-xs" variant="default" mt={4} onClick={retry}>
            Try again
          </Button>
        </Alert>
      )}
    </div>
  );
}

function Appearance({ object, change }: PartProps) {
  const { type } = object;
  return (
    <div style={{ padding: "6px 2px" }}>
      <div style={{ display: "flex", gap: 6 }}>
        <NumberInput
          size="xs"
          label="First colour"
          aria-label={`First colour of ${type}, as a number`}
          value={shortNumber(object.low)}
          max={object.high}
          hideControls
          onChange={(low) => typeof low === "number" && low < object.high && change({ low })}
        />
        <NumberInput
          size="xs"
          label="Last colour"
          aria-label={`Last colour of ${type}, as a number`}
          value={shortNumber(object.high)}
          min={object.low}
          hideControls
          onChange={(high) => typeof high === "number" && high > object.low && change({ high })}
        />
      </div>
      <Select
        size="xs"
        mt={6}
        label={`Colour map of ${type}`}
        data={COLOR_MAPS}
        value={object.map}
        onChange={(map) => map && change({ map })}
        allowDeselect={false}
      />
      <Text className={classes.dim} mt={8}>
        Fill {Math.round(object.fill * 100)} %
      </Text>
      <Slider
        size={3}
        thumbSize={12}
        min={0}
        max={1}
        step={0.01}
        value={object.fill}
        onChange={(fill) => change({ fill })}
        label={null}
        color="gray"
        thumbLabel={`Fill opacity of ${type}`}
      />
      <Text className={classes.dim} mt={8}>
        Outline {object.outline} px
      </Text>
      <Slider
        size={3}
        thumbSize={12}
        min={0}
        max={5}
        step={0.5}
        value={object.outline}
        onChange={(outline) => change({ outline })}
        label={null}
        color="gray"
        thumbLabel={`Outline width of ${type}`}
      />
    </div>
  );
}
