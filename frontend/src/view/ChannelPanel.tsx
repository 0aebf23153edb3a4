/** The channels of the map: which are shown, in which colour, over which range. */

import { Button } from "@mantine/core";
import { useMemo } from "react";
import { ChannelRow } from "./ChannelRow";
import { useMap, useView } from "./context";
import { autoWindow, channelsOf } from "./firstView";
import classes from "./view.module.css";

export function ChannelPanel() {
  const { mosaics, view } = useMap();
  const described = useMemo(() => channelsOf(mosaics), [mosaics]);
  const shown = useView((state) => state.channels);
  const auto = () => {
    for (const channel of described)
      view.actions.changeChannel(channel.index, { ...autoWindow(channel), gamma: 1 });
  };
  return (
    <section className={classes.section} aria-labelledby="channels-heading">
      <div className={classes.heading}>
        <h2 id="channels-heading" style={{ all: "unset" }}>
          Channels
        </h2>
        <Button
          size="compact-xs"
          variant="subtle"
          color="gray"
          onClick={auto}
          title="Windows as the pixels suggest"
        >
          Auto
        </Button>
      </div>
      {shown.map((channel) => {
        const info = described.find((d) => d.index === channel.index);
        return info && <ChannelRow key={channel.index} channel={channel} described={info} />;
      })}
    </section>
  );
}
