/** Sliders over depth and time, with play; absent where there is only one plane. */

import { ActionIcon, Slider, Text } from "@mantine/core";
import { IconPlayerPause, IconPlayerPlay } from "@tabler/icons-react";
import { useEffect, useState } from "react";
import { useMap, useView } from "./context";
import classes from "./view.module.css";

const PLAY_EVERY = 400; // ms, or as long as the next plane takes to load

export function PlaneSliders() {
  const { mosaics } = useMap();
  const tpoints = Math.max(...mosaics.map((m) => m.n_tpoints));
  const zplanes = Math.max(...mosaics.map((m) => m.n_zplanes));
  if (tpoints <= 1 && zplanes <= 1) return null;
  return (
    <div className={classes.planes}>
      {zplanes > 1 && <PlaneSlider axis="z" name="Depth" count={zplanes} />}
      {tpoints > 1 && <PlaneSlider axis="t" name="Time point" count={tpoints} />}
    </div>
  );
}

function PlaneSlider({ axis, name, count }: { axis: "z" | "t"; name: string; count: number }) {
  const { view, renderer } = useMap();
  const value = useView((state) => Math.min(state.view[axis], count - 1));
  const [playing, setPlaying] = useState(false);
  useEffect(() => {
    if (!playing) return;
    const timer = setInterval(() => {
      // Never run ahead of the pixels: a plane is left only once it has been seen.
      if (renderer?.ready()) view.actions.move({ [axis]: (view.store.getState().view[axis] + 1) % count });
    }, PLAY_EVERY);
    return () => clearInterval(timer);
  }, [playing, renderer, view, axis, count]);
  return (
    <div style={{ display: "flex", flex: 1, alignItems: "center", gap: 10, maxWidth: 420 }}>
      <ActionIcon
        size="sm"
        variant="subtle"
        color="gray"
        aria-label={playing ? `Stop playing over ${name.toLowerCase()}` : `Play over ${name.toLowerCase()}`}
        aria-pressed={playing}
        onClick={() => setPlaying(!playing)}
      >
        {playing ? <IconPlayerPause size={15} /> : <IconPlayerPlay size={15} />}
      </ActionIcon>
      <Text size="xs">{axis}</Text>
      <Slider
        style={{ flex: 1 }}
        size={3}
        thumbSize={12}
        color="gray"
        min={0}
        max={count - 1}
        step={1}
        value={value}
        onChange={(plane) => view.actions.move({ [axis]: plane })}
        label={(plane) => plane + 1}
        thumbLabel={name}
      />
      <Text size="xs" className={classes.dim}>
        {value + 1}/{count}
      </Text>
    </div>
  );
}
