/** One channel: eye, colour, name, histogram with the window's two handles, and more on request. */

import { ActionIcon, Button, Collapse, NumberInput, RangeSlider, Slider, Text } from "@mantine/core";
import { IconAdjustmentsHorizontal, IconEye, IconEyeOff } from "@tabler/icons-react";
import { memo, useId, useState } from "react";
import type { ChannelView } from "../store/viewState";
import { useMap } from "./context";
import { autoWindow } from "./firstView";
import { Histogram } from "./Histogram";
import { formatNumber, stepOf } from "./numbers";
import type { MosaicChannel } from "./requests";
import classes from "./view.module.css";

interface ChannelRowProps {
  channel: ChannelView;
  described: MosaicChannel;
}

/** Return the slider's range: what is worth seeing, and wide enough for the window that is set. */
export function sliderRange(described: MosaicChannel, channel: ChannelView): [number, number] {
  const [low, high] = described.window;
  const width = Math.max(high - low, 1e-6);
  const from = Math.max(described.min, low - width);
  const to = Math.min(described.max, high + width);
  return [Math.min(from, channel.low), Math.max(to, channel.high)];
}

export const ChannelRow = memo(function ChannelRow({ channel, described }: ChannelRowProps) {
  const { view } = useMap();
  const [open, setOpen] = useState(false);
  const settings = useId();
  const { name } = described;
  const change = (part: Partial<ChannelView>) => view.actions.changeChannel(channel.index, part);
  const whole = described.dtype !== "float32";
  const range = sliderRange(described, channel);
  const step = stepOf(range[0], range[1], whole);
  return (
    <fieldset className={classes.row} aria-label={`Channel ${name}`}>
      <div className={classes.rowHead}>
        <ActionIcon
          size="sm"
          variant="subtle"
          color="gray"
          aria-label={channel.visible ? `Hide ${name}` : `Show ${name}`}
          aria-pressed={channel.visible}
          onClick={() => change({ visible: !channel.visible })}
        >
          {channel.visible ? <IconEye size={16} /> : <IconEyeOff size={16} />}
        </ActionIcon>
        <input
          type="color"
          className={classes.color}
          aria-label={`Colour of ${name}`}
          value={channel.color}
          onChange={(event) => change({ color: event.currentTarget.value })}
        />
        <Text
          component="span"
          className={classes.rowName}
          c={channel.visible ? undefined : "dimmed"}
          title={name}
        >
          {name}
        </Text>
        <span className={classes.dim}>
          {formatNumber(channel.low)}–{formatNumber(channel.high)}
        </span>
        <ActionIcon
          size="sm"
          variant="subtle"
          color="gray"
          aria-label={`Settings of ${name}`}
          aria-expanded={open}
          aria-controls={settings}
          onClick={() => setOpen(!open)}
        >
          <IconAdjustmentsHorizontal size={15} />
        </ActionIcon>
      </div>
      {channel.visible && (
        <>
          <Histogram channel={channel} described={described} range={range} />
          <RangeSlider
            size={3}
            thumbSize={12}
            min={range[0]}
            max={range[1]}
            step={step}
            minRange={step}
            value={[channel.low, channel.high]}
            onChange={([low, high]) => change({ low, high })}
            label={null}
            color={channel.color}
            thumbFromLabel={`Darkest value of ${name}`}
            thumbToLabel={`Brightest value of ${name}`}
          />
        </>
      )}
      <Collapse expanded={open} id={settings}>
        {open && <ChannelSettings channel={channel} described={described} change={change} step={step} />}
      </Collapse>
    </fieldset>
  );
});

interface SettingsProps extends ChannelRowProps {
  change: (part: Partial<ChannelView>) => void;
  step: number;
}

function ChannelSettings({ channel, described, change, step }: SettingsProps) {
  const { name } = described;
  return (
    <div style={{ padding: "8px 2px 4px" }}>
      <div style={{ display: "flex", gap: 6, alignItems: "flex-end" }}>
        <NumberInput
          size="xs"
          label="Darkest"
          aria-label={`Darkest value of ${name}, as a number`}
          value={channel.low}
          step={step}
          max={channel.high}
          hideControls
          onChange={(low) => typeof low === "number" && low < channel.high && change({ low })}
        />
        <NumberInput
          size="xs"
          label="Brightest"
          aria-label={`Brightest value of ${name}, as a number`}
          value={channel.high}
          step={step}
          min={channel.low}
          hideControls
          onChange={(high) => typeof high === "number" && high > channel.low && change({ high })}
        />
        <Button
          size="xs"
          variant="default"
          px={8}
          style={{ flexShrink: 0 }}
          onClick={() => change(autoWindow(described))}
          aria-label={`Auto: window of ${name} as its pixels suggest`}
        >
          Auto
        </Button>
      </div>
      <Text className={classes.dim} mt={8}>
        Gamma {formatNumber(channel.gamma, 3)}
      </Text>
      <Slider
        size={3}
        thumbSize={12}
        min={-1}
        max={1}
        step={0.02}
        value={Math.log10(channel.gamma)}
        onChange={(power) => change({ gamma: power === 0 ? 1 : Number((10 ** power).toPrecision(3)) })}
        label={null}
        color="gray"
        thumbLabel={`Gamma of ${name}`}
      />
      <Text className={classes.dim} mt={8}>
        Opacity {Math.round(channel.opacity * 100)} %
      </Text>
      <Slider
        size={3}
        thumbSize={12}
        min={0}
        max={1}
        step={0.01}
        value={channel.opacity}
        onChange={(opacity) => change({ opacity })}
        label={null}
        color="gray"
        thumbLabel={`Opacity of ${name}`}
      />
    </div>
  );
}
