/** The form that begins an experiment. */

import { Button, Group, NativeSelect, Stack, Text, Textarea, TextInput, Title } from "@mantine/core";
import { useMutation, useQueryClient } from "@tanstack/react-query";
import { type FormEvent, useState } from "react";
import { Link, useNavigate } from "react-router";
import { ApiError, sendJson } from "../api/client";
import { keys, useMe, useRegistry } from "../api/queries";
import type { Experiment } from "../api/types";
import { ProblemNote } from "../ui/ProblemNote";

const FORMATS = [
  { value: "1", label: "slide" },
  ...[6, 12, 24, 48, 96, 384, 1536].map((wells) => ({ value: String(wells), label: `${wells} wells` })),
];
const MODES = [
  { value: "basic", label: "time points" },
  { value: "multiplexing", label: "staining cycles" },
];

/** Return what the server says of one field, to show it there. */
export function faultOf(error: Error | null, field: string): string | undefined {
  const fields =
    error instanceof ApiError ? (error.extra.fields as Record<string, unknown> | undefined) : undefined;
  const fault = fields?.[field];
  return Array.isArray(fault) ? fault.join(" ") : undefined;
}

export function NewExperiment() {
  const navigate = useNavigate();
  const queries = useQueryClient();
  const { data: me } = useMe();
  const types = useRegistry("workflow-types");
  const readers = useRegistry("readers");
  const [form, setForm] = useState({
    name: "",
    description: "",
    group: "",
    workflow_type: "canonical",
    plate_format: "96",
    acquisition_mode: "basic",
    microscope: "",
  });
  const set = (field: keyof typeof form) => (event: { currentTarget: { value: string } }) => {
    const { value } = event.currentTarget;
    setForm((old) => ({ ...old, [field]: value }));
  };
  const create = useMutation({
    mutationFn: () =>
      sendJson<Experiment>("POST", "experiments/", {
        ...form,
        name: form.name.trim(),
        plate_format: Number(form.plate_format),
        group: form.group || me?.groups[0]?.id,
      }),
    onSuccess: (made) => {
      queries.setQueryData(keys.experiment(made.id), made);
      void queries.invalidateQueries({ queryKey: ["experiments", "list"] });
      navigate(`/experiments/${made.id}/data`);
    },
  });
  const submit = (event: FormEvent) => {
    event.preventDefault();
    create.mutate();
  };
  const fault = (field: string) => faultOf(create.error, field);
  const chosen = types.data?.find((type) => type.name === form.workflow_type);
  return (
    <div className="page">
      <form onSubmit={submit} style={{ maxWidth: 560 }}>
        <Stack gap="md">
          <Title order={1}>New experiment</Title>
          {me?.groups.length === 0 && (
            <Text size="sm" role="alert">
              An experiment belongs to a research group, and you are in none. Ask an administrator to add you.
            </Text>
          )}
          <TextInput
            label="Name"
            description="Unique in your research group"
            required
            autoFocus
            maxLength={120}
            value={form.name}
            onChange={set("name")}
            error={fault("name")}
          />
          <Textarea
            label="Description"
            description="What was treated, stained and imaged; the search looks here too"
            autosize
            minRows={2}
            value={form.description}
            onChange={set("description")}
            error={fault("description")}
          />
          <NativeSelect
            label="Research group"
            description="Whose experiment it is, and whose quota it uses"
            value={form.group}
            onChange={set("group")}
            error={fault("group")}
            data={(me?.groups ?? []).map((group) => ({ value: group.id, label: group.name }))}
          />
          <Group grow align="start">
            <NativeSelect
              label="Plate format"
              description="Wells of a plate"
              value={form.plate_format}
              onChange={set("plate_format")}
              error={fault("plate_format")}
              data={FORMATS}
            />
            <NativeSelect
              label="Several acquisitions are"
              description="How acquisitions of one plate belong together"
              value={form.acquisition_mode}
              onChange={set("acquisition_mode")}
              error={fault("acquisition_mode")}
              data={MODES}
            />
          </Group>
          <Group grow align="start">
            <NativeSelect
              label="Workflow type"
              description={chosen?.help || "Which steps there are"}
              value={form.workflow_type}
              onChange={set("workflow_type")}
              error={fault("workflow_type")}
              data={(types.data ?? [{ name: "canonical", title: "Canonical" }]).map((type) => ({
                value: type.name,
                label: type.title,
              }))}
            />
            <NativeSelect
              label="Microscope"
              description="Who wrote the files; usually found out from them"
              value={form.microscope}
              onChange={set("microscope")}
              error={fault("microscope")}
              data={[
                { value: "", label: "find out" },
                ...(readers.data ?? []).map((reader) => ({ value: reader.name, label: reader.title })),
              ]}
            />
          </Group>
          <ProblemNote title="The experiment was not created" error={create.error} />
          <Group>
            <Button type="submit" loading={create.isPending} disabled={!me?.groups.length}>
              Create experiment
            </Button>
            <Button component={Link} to="/" variant="default">
              Cancel
            </Button>
          </Group>
        </Stack>
      </form>
    </div>
  );
}
