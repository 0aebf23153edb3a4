/** What lies under the pointer: well, position, the channels' values, the object and its value. */

import { useEffect, useMemo, useState } from "react";
import { useStore } from "zustand";
import type { ChannelValue, Picked } from "../map/renderer";
import { useColumn, useMap, useView } from "./context";
import { channelsOf } from "./firstView";
import { formatNumber } from "./numbers";
import { measureOf } from "./ObjectRow";
import classes from "./view.module.css";

const REST = 60; // ms between readings of pixel values: each waits for the GPU

/** Return the channels' values under the pointer, read again as it moves and as tiles arrive. */
function useValues(): ChannelValue[] {
  const { hover, renderer } = useMap();
  const [values, setValues] = useState<ChannelValue[]>([]);
  useEffect(() => {
    let seen = "";
    const timer = setInterval(() => {
      const { at } = hover.getState();
      const now = at && renderer ? `${at.x} ${at.y} ${renderer.frames}` : "";
      if (now === seen) return;
      seen = now;
      setValues(at && renderer ? renderer.valuesAt(at.x, at.y) : []);
    }, REST);
    return () => clearInterval(timer);
  }, [hover, renderer]);
  return values;
}

export function ReadOut() {
  const { hover, renderer, mosaics, scene } = useMap();
  const { at, picked } = useStore(hover);
  const position = useView((state) => state.view);
  const values = useValues();
  if (!at || !renderer) return null;
  const world = renderer.worldAt(at.x, at.y);
  const image = scene.images.find(
    (i) =>
      world.x >= i.originX &&
      world.y >= i.originY &&
      world.x < i.originX + i.width &&
      world.y < i.originY + i.height,
  );
  const well = scene.wells.find(
    (w) => world.x >= w.x0 && world.y >= w.y0 && world.x < w.x1 && world.y < w.y1,
  );
  const x = Math.floor(world.x - (image?.originX ?? 0));
  const y = Math.floor(world.y - (image?.originY ?? 0));
  const size = mosaics.find((m) => m.id === image?.id)?.pixel_size_um;
  return (
    <div className={classes.readout} data-testid="readout" data-scale={position.scale}>
      <div>
        <span>{well ? `well ${well.name}` : "between wells"}</span>
        <span>
          x {x} y {y} px
        </span>
        {size ? (
          <span>
            {formatNumber(x * size)}, {formatNumber(y * size)} µm
          </span>
        ) : null}
      </div>
      {values.length > 0 && <Values values={values} />}
      {picked && <PickedObject picked={picked} />}
    </div>
  );
}

function Values({ values }: { values: ChannelValue[] }) {
  const { mosaics } = useMap();
  const described = useMemo(() => channelsOf(mosaics), [mosaics]);
  const channels = useView((state) => state.channels);
  const level = Math.max(...values.map((v) => v.level));
  return (
    <div>
      {values.map(({ index, value }) => (
        <span key={index} data-channel={index} data-value={value ?? ""}>
          <i
            className={classes.swatch}
            style={{ background: channels.find((c) => c.index === index)?.color }}
          />
          {described.find((d) => d.index === index)?.name} {formatNumber(value)}
        </span>
      ))}
      {level > 0 && (
        <span>
          mean of {2 ** level} × {2 ** level} px
        </span>
      )}
    </div>
  );
}

function PickedObject({ picked }: { picked: Picked }) {
  const { sets, results } = useMap();
  const { source, index } = picked;
  const object = useView((state) => state.objects.find((o) => o.type === source.type));
  const { column } = useColumn(source.plate, source.type, object?.colour ?? null);
  const features = sets.find((s) => s.id === source.id)?.features ?? [];
  const measure = object ? measureOf(object, features, results) : null;
  return (
    <div>
      <span>
        {source.type} {index}
      </span>
      {measure && column && (
        <span>
          {measure.label} {formatNumber(column.values[index - 1])} {measure.unit}
        </span>
      )}
    </div>
  );
}
