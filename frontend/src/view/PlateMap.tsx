/** The plate as a grid of wells, coloured by the mean of what colours the objects; a well is one jump away. */

import { Select, Text } from "@mantine/core";
import { useMemo, useRef, useState } from "react";
import { fitBounds } from "../map/pyramid";
import { meansRange, type WellValue, wellMeans } from "../objects/aggregate";
import { colorOf, cssGradient, DEFAULT_MAP } from "../objects/colormaps";
import { plateMosaics } from "./buildScene";
import { useColumn, useMap, usePlate, useView } from "./context";
import { fitPlate } from "./MapCanvas";
import { formatNumber } from "./numbers";
import { measureOf } from "./ObjectRow";
import type { Well } from "./requests";
import classes from "./view.module.css";

const ROW_NAMES = (row: number): string =>
  row < 26 ? String.fromCharCode(65 + row) : `A${String.fromCharCode(39 + row)}`;

/** Return the well that an arrow key leads to: the next one in that direction, over gaps too. */
export function neighbour(wells: readonly Well[], from: Well, key: string): Well | undefined {
  const dRow = key === "ArrowUp" ? -1 : key === "ArrowDown" ? 1 : 0;
  const dColumn = key === "ArrowLeft" ? -1 : key === "ArrowRight" ? 1 : 0;
  const along = (well: Well) => (well.row - from.row) * dRow + (well.column - from.column) * dColumn;
  const aside = (well: Well) =>
    Math.abs((well.row - from.row) * dColumn) + Math.abs((well.column - from.column) * dRow);
  return wells.filter((well) => along(well) > 0 && aside(well) === 0).sort((a, b) => along(a) - along(b))[0];
}

export function PlateMap() {
  const map = useMap();
  const { view, mosaics, sets, results, wells, renderer } = map;
  const plate = usePlate();
  const object = useView((state) => state.objects.find((o) => o.visible && o.colour) ?? null);
  const { column } = useColumn(plate, object?.type ?? null, object?.colour ?? null);
  const set = sets.find((s) => s.plate.id === plate && s.object_type.name === object?.type);
  const means = useMemo(() => (column && set ? wellMeans(column.values, set.wells) : []), [column, set]);
  const range = meansRange(means);
  const measure = object && set ? measureOf(object, set.features, results) : null;
  const plates = plateMosaics(mosaics);
  const choose = (id: string | null) => {
    if (!id) return;
    view.actions.move({ plate: id });
    if (renderer) fitPlate(map, renderer.canvas);
  };
  return (
    <section className={classes.section} aria-labelledby="plate-heading">
      <div className={classes.heading}>
        <h2 id="plate-heading" style={{ all: "unset" }}>
          {plates.length === 1 ? plates[0]?.plate.name : "Plates"}
        </h2>
      </div>
      {plates.length > 1 && (
        <Select
          size="xs"
          mb={6}
          aria-label="Plate"
          data={plates.map((m) => ({ value: m.plate.id, label: m.plate.name }))}
          value={plate}
          onChange={choose}
          allowDeselect={false}
        />
      )}
      <WellGrid
        wells={wells.filter((well) => well.plate === plate)}
        means={means}
        range={range}
        colors={object?.map ?? DEFAULT_MAP}
      />
      {measure && range && object && (
        <>
          <div
            className={classes.gradient}
            style={{ background: cssGradient(object.map) }}
            aria-hidden="true"
          />
          <div className={classes.dim} style={{ display: "flex", justifyContent: "space-between" }}>
            <span>{formatNumber(range[0])}</span>
            <span>{formatNumber(range[1])}</span>
          </div>
          <Text className={classes.dim} style={{ overflowWrap: "anywhere" }}>
            mean per well of {measure.label} {measure.unit && `(${measure.unit})`}
          </Text>
        </>
      )}
    </section>
  );
}

/** A plate of two wells need not fill the panel with two discs. */
const FEWEST_COLUMNS = 6;

interface WellGridProps {
  wells: Well[];
  means: WellValue[];
  range: [number, number] | null;
  colors: string;
}

function WellGrid({ wells, means, range, colors }: WellGridProps) {
  const { view, scene, renderer } = useMap();
  const nodes = useRef(new Map<string, SVGGElement>());
  const [focused, setFocused] = useState<string | null>(null);
  const centre = useView(({ view: { x, y } }) => {
    const box = scene.wells.find((b) => x >= b.x0 && y >= b.y0 && x < b.x1 && y < b.y1);
    return box?.plate === wells[0]?.plate ? box?.name : undefined;
  });
  const byName = useMemo(() => new Map(means.map((mean) => [mean.name, mean])), [means]);
  if (!wells.length) return null;
  const rows = Math.max(...wells.map((w) => w.row)) + 1;
  const columns = Math.max(...wells.map((w) => w.column)) + 1;
  const jump = (well: Well) => {
    const box = scene.wells.find((b) => b.plate === well.plate && b.name === well.name);
    if (!box || !renderer) return;
    view.actions.move(fitBounds(box, renderer.canvas.clientWidth, renderer.canvas.clientHeight));
  };
  const press = (event: React.KeyboardEvent, well: Well) => {
    if (event.key === "Enter" || event.key === " ") jump(well);
    else {
      const next = neighbour(wells, well, event.key);
      if (!next) return;
      setFocused(next.id);
      nodes.current.get(next.id)?.focus();
    }
    event.preventDefault();
  };
  const tabbable = wells.some((w) => w.id === focused) ? focused : wells[0]?.id;
  return (
    // biome-ignore lint/a11y/useSemanticElements: SVG has no fieldset
    <svg
      viewBox={`-0.9 -0.9 ${Math.max(columns, FEWEST_COLUMNS) + 1} ${rows + 1}`}
      style={{ width: "100%", maxHeight: 260 }}
      role="group"
      aria-label="Wells"
    >
      {Array.from({ length: columns }, (_, column) => column).map((column) => (
        <text
          key={column}
          x={column + 0.5}
          y={-0.25}
          fontSize={Math.min(0.5, columns / 40 + 0.2)}
          textAnchor="middle"
          fill="var(--mantine-color-dimmed)"
        >
          {column + 1}
        </text>
      ))}
      {Array.from({ length: rows }, (_, row) => row).map((row) => (
        <text
          key={row}
          x={-0.4}
          y={row + 0.68}
          fontSize={Math.min(0.5, columns / 40 + 0.2)}
          textAnchor="middle"
          fill="var(--mantine-color-dimmed)"
        >
          {ROW_NAMES(row)}
        </text>
      ))}
      {Array.from({ length: rows * columns }, (_, at) => [Math.floor(at / columns), at % columns]).map(
        ([row = 0, column = 0]) => (
          // Where the microscope took nothing there is only a dot.
          <circle
            key={`${row} ${column}`}
            cx={column + 0.5}
            cy={row + 0.5}
            r={0.08}
            fill="var(--mantine-color-dark-4, #444)"
          />
        ),
      )}
      {wells.map((well) => {
        const mean = byName.get(well.name);
        const color = mean && range ? colorOf(mean.mean, range[0], range[1], colors) : null;
        const words = mean ? `, mean ${formatNumber(mean.mean)}, ${mean.count} objects` : "";
        return (
          // biome-ignore lint/a11y/useSemanticElements: SVG has no button element
          <g
            key={well.id}
            ref={(node) => {
              if (node) nodes.current.set(well.id, node);
              else nodes.current.delete(well.id);
            }}
            className={classes.well}
            role="button"
            tabIndex={well.id === tabbable ? 0 : -1}
            aria-current={well.name === centre || undefined}
            aria-label={`Well ${well.name}${words}`}
            onClick={() => jump(well)}
            onFocus={() => setFocused(well.id)}
            onKeyDown={(event) => press(event, well)}
          >
            <title>{`${well.name}${words}`}</title>
            <circle
              cx={well.column + 0.5}
              cy={well.row + 0.5}
              r={0.42}
              fill={color ? `rgb(${color.join(" ")})` : "var(--mantine-color-dark-4, #444)"}
            />
          </g>
        );
      })}
    </svg>
  );
}
