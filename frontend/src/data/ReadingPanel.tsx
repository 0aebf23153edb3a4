/** How the file names are read: a reader and a pattern, tried on the real files as one types. */

import { Badge, Button, Group, Select, Table, Text, TextInput } from "@mantine/core";
import { useDebouncedValue } from "@mantine/hooks";
import { useMutation, useQuery, useQueryClient } from "@tanstack/react-query";
import { useState } from "react";
import { getJson, sendJson } from "../api/client";
import { keys, useRegistry } from "../api/queries";
import type { Acquisition, Examination, Inspection } from "../api/types";
import { plural } from "../ui/format";
import { FileNames, ProblemNote } from "../ui/ProblemNote";
import { Loading, SectionTitle } from "../ui/parts";

const PAUSE_MS = 500;
const POLL_MS = 150;
const GROUPS = "well or row and column, site, channel, z, t, cycle";

export interface ReadingPanelProps {
  acquisition: Acquisition;
  /** Of the acquisition in the API. */
  path: string;
  experimentId: string;
}

export function ReadingPanel({ acquisition, path, experimentId }: ReadingPanelProps) {
  const queries = useQueryClient();
  const readers = useRegistry("readers");
  const [microscope, setMicroscope] = useState(acquisition.microscope);
  const [pattern, setPattern] = useState(acquisition.pattern);
  const [tried] = useDebouncedValue(pattern, PAUSE_MS);
  const inspection = useTrial(experimentId, path, acquisition, microscope, tried);
  const found = inspection.data;
  const changed = microscope !== acquisition.microscope || pattern !== acquisition.pattern;
  const keep = useMutation({
    mutationFn: () => sendJson("PATCH", path, { microscope, pattern }),
    onSuccess: () => queries.invalidateQueries({ queryKey: keys.part(experimentId, "acquisitions") }),
  });
  const known = (readers.data ?? []).map((reader) => ({ value: reader.name, label: reader.title }));
  return (
    <section aria-label="How the files are read">
      <SectionTitle>How the files are read</SectionTitle>
      <Group align="start" grow mb="sm">
        <Select
          label="Microscope"
          description="Found out from the files unless you name it"
          data={[{ value: "", label: "Find out" }, ...known]}
          value={microscope}
          onChange={(value) => setMicroscope(value ?? "")}
          searchable
        />
        <TextInput
          label="Pattern of the file names"
          description={`A regular expression with named groups: ${GROUPS}`}
          placeholder="(?P<well>[A-P]\d\d)_s(?P<site>\d+)_w(?P<channel>\d)"
          styles={{ input: { fontFamily: "var(--mantine-font-family-monospace)" } }}
          spellCheck={false}
          maxLength={500}
          value={pattern}
          onChange={(event) => setPattern(event.currentTarget.value)}
        />
      </Group>
      {inspection.isPending && <Loading what="what the files are taken for" />}
      <ProblemNote title="The files were not looked at" error={inspection.error} />
      {found?.error && (
        <Text size="sm" c="red.4" role="alert" style={{ overflowWrap: "anywhere" }}>
          {found.error.message}
        </Text>
      )}
      {found?.state === "succeeded" && <Findings found={found.result} />}
      {changed && (
        <Group mt="sm">
          <Button
            loading={keep.isPending}
            disabled={found?.state !== "succeeded" || tried !== pattern}
            onClick={() => keep.mutate()}
          >
            Read the files so
          </Button>
          <Button
            variant="default"
            onClick={() => {
              setMicroscope(acquisition.microscope);
              setPattern(acquisition.pattern);
            }}
          >
            As before
          </Button>
        </Group>
      )}
      <ProblemNote title="This was not kept" error={keep.error} />
    </section>
  );
}

/** Ask for an inspection and wait until a worker has done it; an overtaken one is waited for no longer. */
function useTrial(
  experimentId: string,
  path: string,
  acquisition: Acquisition,
  microscope: string,
  pattern: string,
) {
  return useQuery({
    queryKey: keys.part(
      experimentId,
      "inspection",
      acquisition.id,
      microscope,
      pattern,
      String(acquisition.files),
    ),
    staleTime: 60_000,
    retry: false,
    queryFn: async ({ signal }) => {
      let asked = await sendJson<Inspection>("POST", `${path}inspections/`, { microscope, pattern });
      while (asked.state === "waiting" || asked.state === "running") {
        await new Promise((resolve) => setTimeout(resolve, POLL_MS));
        signal.throwIfAborted();
        asked = await getJson<Inspection>(`${path}inspections/${asked.id}/`, signal);
      }
      return asked;
    },
  });
}

function Findings({ found }: { found: Examination }) {
  return (
    <>
      <Text size="sm" role="status">
        <Badge radius="sm" variant="default" mr={8}>
          {found.reader}
        </Badge>
        {[
          plural(found.n_planes, "plane"),
          plural(found.n_wells, "well"),
          plural(found.n_sites, "site"),
          plural(found.channels.length, "channel"),
          found.n_z > 1 && `${found.n_z} z`,
          found.n_t > 1 && plural(found.n_t, "time point"),
          found.n_cycles > 1 && plural(found.n_cycles, "cycle"),
        ]
          .filter(Boolean)
          .join(", ")}
        {found.n_absent > 0 && `; ${plural(found.n_absent, "plane")} named by the metadata not there`}
      </Text>
      {found.problems.map((problem) => (
        <div key={`${problem.code} ${problem.message}`}>
          <Text size="sm" c="dimmed" mt={4}>
            {problem.severity}: {problem.message}
          </Text>
          <FileNames files={problem.files ?? []} />
        </div>
      ))}
      {found.n_unused > 0 && (
        <>
          <Text size="sm" mt={6}>
            {plural(found.n_unused, "image file")} of no plane:
          </Text>
          <FileNames files={found.unused} />
        </>
      )}
      <Examples found={found} />
    </>
  );
}

function Examples({ found }: { found: Examination }) {
  const names = new Map(found.channels.map((channel) => [channel.key, channel.name]));
  if (!found.examples.length) return null;
  return (
    <Table mt="sm" aria-label="What some files are taken for">
      <Table.Thead>
        <Table.Tr>
          {["File", "Well", "Site", "Channel", "z", "t"].map((title) => (
            <Table.Th key={title}>{title}</Table.Th>
          ))}
        </Table.Tr>
      </Table.Thead>
      <Table.Tbody>
        {found.examples.slice(0, 8).map((plane) => (
          <Table.Tr key={`${plane.file} ${plane.channel} ${plane.z} ${plane.t}`}>
            <Table.Td style={{ overflowWrap: "anywhere" }}>{plane.file}</Table.Td>
            <Table.Td>{plane.well || "the file says"}</Table.Td>
            <Table.Td>{plane.site || "the file says"}</Table.Td>
            <Table.Td>{names.get(plane.channel) ?? (plane.channel || "the file says")}</Table.Td>
            <Table.Td>{plane.role === "projection" ? "projection" : plane.z}</Table.Td>
            <Table.Td>{plane.t}</Table.Td>
          </Table.Tr>
        ))}
      </Table.Tbody>
    </Table>
  );
}
