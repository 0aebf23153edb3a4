/** What corilla and align found, beside their jobs: pictures before and after, outliers on the plate. */

import { Group, Image, Select, Stack, Table, Text } from "@mantine/core";
import { useQuery } from "@tanstack/react-query";
import { useState } from "react";
import { getJson, withQuery } from "../api/client";
import { experimentPath, keys, usePlates } from "../api/queries";
import type { Alignment, Illumination, StepRun, WellAlignment } from "../api/types";
import { plural } from "../ui/format";
import { ProblemNote } from "../ui/ProblemNote";
import { SectionTitle } from "../ui/parts";
import { WellGrid } from "./WellGrid";

export function StepFindings({ experimentId, run }: { experimentId: string; run: StepRun }) {
  if (run.state !== "succeeded" && run.state !== "reused") return null;
  if (run.name === "corilla") return <IlluminationFindings experimentId={experimentId} />;
  if (run.name === "align") return <AlignmentFindings experimentId={experimentId} />;
  return null;
}

function IlluminationFindings({ experimentId }: { experimentId: string }) {
  const { data, error } = useQuery({
    queryKey: keys.part(experimentId, "illumination"),
    queryFn: () => getJson<Illumination>(`${experimentPath(experimentId)}illumination/`),
  });
  if (error) return <ProblemNote title="The illumination could not be read" error={error} />;
  if (!data) return null;
  return (
    <section aria-label="Illumination">
      <SectionTitle>Illumination</SectionTitle>
      <Stack gap="md" mb="md">
        {data.channels.map((channel) => (
          <div key={channel.index}>
            <Text size="sm" fw={600}>
              {channel.name}
            </Text>
            <Text size="sm" c="dimmed">
              {plural(channel.n_images, "image")}
              {channel.method && `, correction: ${channel.method}`}
              {shadingText(channel)}
            </Text>
            {channel.warning && <Text size="sm">{channel.warning}</Text>}
            {channel.vendor_problem && <Text size="sm">{channel.vendor_problem}</Text>}
            <Group gap="sm" mt={4} align="start">
              {Object.entries(channel.pictures).map(([name, url]) => (
                <figure key={name} style={{ margin: 0 }}>
                  <Image src={url} alt={`${channel.name}: ${caption(name)}`} mah={220} w="auto" radius="sm" />
                  <Text component="figcaption" size="xs" c="dimmed">
                    {caption(name)}
                  </Text>
                </figure>
              ))}
            </Group>
          </div>
        ))}
      </Stack>
    </section>
  );
}

const CAPTIONS: Record<string, string> = {
  before_after: "a typical image before and after",
  light: "brightness of each place over many images, before and after",
  fields: "flat field and dark field",
};

function caption(name: string): string {
  return CAPTIONS[name] ?? name.replaceAll("_", " ");
}

/** Brightest over darkest place, of images that the estimate has not seen. */
function shadingText({ shading, residual_shading, method }: Illumination["channels"][number]): string {
  const after = residual_shading[method ?? "basic"] ?? Object.values(residual_shading)[0];
  if (shading === null || after === undefined) return "";
  return `; brightest place over darkest ${shading.toFixed(2)} before, ${after.toFixed(2)} after correction`;
}

function AlignmentFindings({ experimentId }: { experimentId: string }) {
  const plates = usePlates(experimentId);
  const [chosen, setChosen] = useState<string | null>(null);
  const plate = chosen ?? plates.data?.[0]?.id ?? null;
  const { data, error } = useQuery({
    queryKey: keys.part(experimentId, "alignment"),
    queryFn: () => getJson<Alignment>(`${experimentPath(experimentId)}alignment/`),
  });
  const wells = useQuery({
    queryKey: keys.part(experimentId, "alignment-wells", plate),
    enabled: plate !== null,
    queryFn: () =>
      getJson<{ results: WellAlignment[] }>(
        withQuery(`${experimentPath(experimentId)}alignment/wells/`, { plate, size: "2000" }),
      ),
  });
  if (error) return <ProblemNote title="The alignment could not be read" error={error} />;
  if (!data) return null;
  return (
    <section aria-label="Alignment">
      <SectionTitle>Alignment</SectionTitle>
      <Text size="sm" c="dimmed" mb="xs">
        {data.n_shifts > 0 &&
          `${plural(data.n_outliers, "outlier")} among ${plural(data.n_shifts, "site")} and cycles; reference: cycle ${data.reference_cycle}, ${data.reference_channel}. `}
        {data.median_residual_px !== null &&
          `Local shifts that remain: ${data.median_residual_px.toFixed(2)} px in the median. `}
      </Text>
      {data.stitching.map((plate) => (
        <Text key={plate.plate} size="sm" c="dimmed" mb="xs">
          {data.stitching.length > 1 &&
            `${plates.data?.find(({ id }) => id === plate.plate)?.name ?? "Plate"}: `}
          {stitchingText(plate)}
        </Text>
      ))}
      {(plates.data?.length ?? 0) > 1 && (
        <Select
          label="Plate"
          mb="xs"
          data={(plates.data ?? []).map(({ id, name }) => ({ value: id, label: name }))}
          value={plate}
          onChange={setChosen}
        />
      )}
      {wells.data && wells.data.results.length > 0 && <AlignedWells wells={wells.data.results} />}
    </section>
  );
}

/** What was learnt from the overlaps of neighbouring sites. */
export function stitchingText(found: Alignment["stitching"][number]): string {
  const alone = found.n_unconnected
    ? ` ${plural(found.n_unconnected, "site")} ${found.n_unconnected === 1 ? "has" : "have"} no overlap to go by.`
    : "";
  const remains =
    found.median_residual_px === null
      ? ""
      : `, ${found.median_residual_px.toFixed(2)} px remain in the median`;
  return (
    `Sites are placed by what their overlaps show: ${found.n_used} of ${plural(found.n_pairs, "overlap")} ` +
    `used${remains}; farthest move ${found.largest_move_px.toFixed(1)} px; the grid is turned by ` +
    `${found.turn_deg.toFixed(2)}°.${alone}`
  );
}

function AlignedWells({ wells }: { wells: WellAlignment[] }) {
  const worst = wells
    .filter((well) => well.n_outliers > 0)
    .sort((a, b) => b.n_outliers / b.n - a.n_outliers / a.n)
    .slice(0, 10);
  return (
    <>
      <WellGrid
        label="Part of a well's sites that were outliers"
        values={wells.map((well) => ({
          well: well.well,
          value: well.n ? well.n_outliers / well.n : 0,
          text: `${well.well}: ${plural(well.n_outliers, "outlier")} of ${well.n}`,
        }))}
      />
      {worst.length > 0 && (
        <Table mt="sm" aria-label="Wells with most outliers">
          <Table.Thead>
            <Table.Tr>
              {["Well", "Outliers", "Farthest, px", "Confidence", "Remains, px"].map((title) => (
                <Table.Th key={title}>{title}</Table.Th>
              ))}
            </Table.Tr>
          </Table.Thead>
          <Table.Tbody>
            {worst.map((well) => (
              <Table.Tr key={well.well}>
                <Table.Td>{well.well}</Table.Td>
                <Table.Td>
                  {well.n_outliers} of {well.n}
                </Table.Td>
                <Table.Td>{well.worst_px?.toFixed(1) ?? "–"}</Table.Td>
                <Table.Td>{well.confidence?.toFixed(2) ?? "–"}</Table.Td>
                <Table.Td>{well.residual_px?.toFixed(2) ?? "–"}</Table.Td>
              </Table.Tr>
            ))}
          </Table.Tbody>
        </Table>
      )}
    </>
  );
}
