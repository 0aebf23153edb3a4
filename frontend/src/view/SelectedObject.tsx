/** All that is known of the object that was clicked. */

import { ActionIcon, Loader, Table, Text, TextInput, UnstyledButton } from "@mantine/core";
import { IconX } from "@tabler/icons-react";
import { useState } from "react";
import { useMap, useView } from "./context";
import { featuresOf, rangeOf } from "./firstView";
import { formatNumber } from "./numbers";
import { useObjectDetails } from "./queries";
import type { ObjectSet } from "./requests";
import classes from "./view.module.css";

export function SelectedObject() {
  const { sets, view } = useMap();
  const selection = useView((state) => state.selection);
  const set = sets.find((s) => s.object_type.name === selection?.type && s.plate.id === selection?.plate);
  if (!selection || !set) return null;
  return (
    <section className={classes.section} aria-labelledby="object-heading">
      <div className={classes.heading}>
        <h2 id="object-heading" style={{ all: "unset" }}>
          {selection.type} {selection.index}
        </h2>
        <ActionIcon
          size="sm"
          variant="subtle"
          color="gray"
          aria-label="Close the selected object"
          onClick={() => view.actions.select(null)}
        >
          <IconX size={14} />
        </ActionIcon>
      </div>
      <Details key={`${set.id} ${selection.index}`} set={set} index={selection.index} />
    </section>
  );
}

function Details({ set, index }: { set: ObjectSet; index: number }) {
  const { experiment, view, sets } = useMap();
  const [search, setSearch] = useState("");
  const { data, error, isPending } = useObjectDetails(experiment, set.id, index);
  if (error)
    return (
      <Text size="sm" c="red">
        {error.message}
      </Text>
    );
  if (isPending) return <Loader size="sm" aria-label="Loading the object" />;
  const type = set.object_type.name;
  const units = new Map(set.features.map((f) => [f.name, f.unit]));
  const features = Object.entries(data.features).filter(([name]) =>
    name.toLowerCase().includes(search.toLowerCase()),
  );
  const colour = (name: string) => {
    const summary = featuresOf(sets, type).find((f) => f.name === name);
    view.actions.changeObjects(type, { colour: { feature: name }, visible: true, ...rangeOf(summary) });
  };
  return (
    <>
      <Text className={classes.dim}>
        well {data.well}, site {data.site}, x {Math.round(data.x)} y {Math.round(data.y)} px
        {data.is_border ? ", cut by the edge of its site" : ""}
      </Text>
      <TextInput
        size="xs"
        my={6}
        placeholder="Find a feature"
        aria-label="Find a feature of the object"
        value={search}
        onChange={(event) => setSearch(event.currentTarget.value)}
      />
      <section
        className={classes.features}
        // biome-ignore lint/a11y/noNoninteractiveTabindex: a scrolled list must be reachable by keyboard
        tabIndex={0}
        aria-label={`Features of ${type} ${index}`}
      >
        <Table fz="xs" verticalSpacing={2} horizontalSpacing={4}>
          <Table.Tbody>
            {features.map(([name, value]) => (
              <Table.Tr key={name}>
                <Table.Td style={{ overflowWrap: "anywhere" }}>
                  <UnstyledButton
                    fz="xs"
                    title={`Colour all by ${name}`}
                    aria-label={`Colour ${type} by ${name}`}
                    onClick={() => colour(name)}
                  >
                    {name}
                  </UnstyledButton>
                </Table.Td>
                <Table.Td ta="right" style={{ whiteSpace: "nowrap", fontVariantNumeric: "tabular-nums" }}>
                  {formatNumber(value)} {units.get(name)}
                </Table.Td>
              </Table.Tr>
            ))}
          </Table.Tbody>
        </Table>
      </section>
    </>
  );
}
