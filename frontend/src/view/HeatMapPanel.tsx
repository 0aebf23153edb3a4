/** Heat map: asks the tool, follows its progress, and puts the result on the map when it is done. */

import { Alert, Button, Group, Loader, SegmentedControl, Select, Text, UnstyledButton } from "@mantine/core";
import { useMutation, useQueryClient } from "@tanstack/react-query";
import { useEffect, useState } from "react";
import { sendJson } from "../api/client";
import { keys } from "../api/queries";
import { useMap, useView } from "./context";
import { featuresOf, typesOf } from "./firstView";
import { experimentUrl, type ToolResult } from "./requests";
import { showResult } from "./results";
import classes from "./view.module.css";

const TOOL = "heatmap";

interface Request {
  object_type: string;
  feature: string;
  per: string;
}

export function HeatMapPanel() {
  const { sets } = useMap();
  const types = typesOf(sets);
  const [type, setType] = useState<string | null>(types[0] ?? null);
  const [feature, setFeature] = useState<string | null>(null);
  const [per, setPer] = useState("object");
  const [asked, setAsked] = useState<string | null>(null);
  const send = useSend(setAsked);
  useShowWhenDone(asked, () => setAsked(null));
  const features = type ? featuresOf(sets, type).map((f) => f.name) : [];
  if (!types.length) {
    return <Text className={classes.dim}>There are no objects to colour yet.</Text>;
  }
  return (
    <div>
      <Select size="xs" label="Objects" data={types} value={type} onChange={setType} allowDeselect={false} />
      <Select
        size="xs"
        mt={4}
        label="Measurement"
        data={features}
        value={feature}
        onChange={setFeature}
        searchable
        placeholder="Choose one"
        comboboxProps={{ width: 320, position: "bottom-end" }}
      />
      <Text size="xs" mt={6} id="heatmap-per">
        One value per
      </Text>
      <SegmentedControl
        size="xs"
        fullWidth
        aria-labelledby="heatmap-per"
        data={[
          { value: "object", label: "object" },
          { value: "well", label: "well (median)" },
        ]}
        value={per}
        onChange={setPer}
      />
      <Button
        size="xs"
        mt={8}
        fullWidth
        variant="default"
        disabled={!type || !feature || !features.includes(feature)}
        loading={send.isPending || asked !== null}
        onClick={() => type && feature && send.mutate({ object_type: type, feature, per })}
      >
        Make heat map
      </Button>
      {send.error && (
        <Alert color="red" p={6} mt={6}>
          <Text size="xs">{send.error.message}</Text>
        </Alert>
      )}
      <Results />
    </div>
  );
}

function useSend(asked: (id: string) => void) {
  const { experiment } = useMap();
  const queries = useQueryClient();
  return useMutation({
    mutationFn: ({ object_type, feature, per }: Request) =>
      sendJson<ToolResult>("POST", `${experimentUrl(experiment)}/tool-requests/`, {
        tool: TOOL,
        object_type,
        arguments: { feature, per },
      }),
    onSuccess: (result) => {
      asked(result.id);
      return queries.invalidateQueries({ queryKey: keys.part(experiment, "tool-results") });
    },
  });
}

function useShow() {
  const { view } = useMap();
  return (result: ToolResult) => showResult(view, result);
}

/** Show the result that was asked for once it is there, and tell when it is there or will never be. */
function useShowWhenDone(asked: string | null, ended: () => void): void {
  const { results } = useMap();
  const show = useShow();
  const result = results.find((r) => r.id === asked);
  const state = result?.state;
  // biome-ignore lint/correctness/useExhaustiveDependencies: only the state's change counts
  useEffect(() => {
    if (!result || state === "waiting" || state === "running") return;
    if (state === "succeeded") show(result);
    ended();
  }, [state]);
}

function Results() {
  const { results } = useMap();
  const show = useShow();
  const colours = useView((state) => state.objects);
  const own = results.filter((r) => r.tool === TOOL).slice(0, 8);
  if (!own.length) return null;
  const isShown = (id: string) =>
    colours.some((o) => o.colour && "toolResult" in o.colour && o.colour.toolResult === id);
  return (
    <ul style={{ listStyle: "none", margin: "10px 0 0", padding: 0 }} aria-label="Heat maps">
      {own.map((result) => (
        <li key={result.id} style={{ padding: "3px 0" }}>
          {result.state === "succeeded" ? (
            <UnstyledButton
              fz="xs"
              fw={isShown(result.id) ? 700 : 400}
              aria-pressed={isShown(result.id)}
              onClick={() => show(result)}
              title={`Colour ${result.object_type.name} by this`}
            >
              {result.name}
            </UnstyledButton>
          ) : (
            <Group gap={6} wrap="nowrap" role="status">
              {(result.state === "waiting" || result.state === "running") && <Loader size={12} />}
              <Text size="xs">
                {result.name} <span className={classes.dim}>{result.state}</span>
                {result.state === "failed" && `: ${result.error?.message ?? "it could not be computed"}`}
              </Text>
            </Group>
          )}
        </li>
      ))}
    </ul>
  );
}
