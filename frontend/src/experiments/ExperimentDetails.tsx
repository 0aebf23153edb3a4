/** Name and description of an experiment; its owners can delete it. */

import { Button, Group, Stack, Text, Textarea, TextInput } from "@mantine/core";
import { useMutation, useQueryClient } from "@tanstack/react-query";
import { type FormEvent, useState } from "react";
import { useNavigate } from "react-router";
import { remove, sendJson } from "../api/client";
import { experimentPath, keys } from "../api/queries";
import type { Experiment } from "../api/types";
import { InlineConfirm } from "../ui/InlineConfirm";
import { ProblemNote } from "../ui/ProblemNote";
import { SectionTitle } from "../ui/parts";

export function ExperimentDetails({ experiment }: { experiment: Experiment }) {
  const queries = useQueryClient();
  const navigate = useNavigate();
  const [name, setName] = useState(experiment.name);
  const [description, setDescription] = useState(experiment.description);
  const path = experimentPath(experiment.id);
  const changed = name.trim() !== experiment.name || description !== experiment.description;
  const save = useMutation({
    mutationFn: () => sendJson<Experiment>("PATCH", path, { name: name.trim(), description }),
    onSuccess: (saved) => {
      queries.setQueryData(keys.experiment(experiment.id), saved);
      void queries.invalidateQueries({ queryKey: ["experiments", "list"] });
    },
  });
  const deletion = useMutation({
    mutationFn: () => remove(path),
    onSuccess: () => {
      void queries.invalidateQueries({ queryKey: ["experiments", "list"] });
      navigate("/");
    },
  });
  const submit = (event: FormEvent) => {
    event.preventDefault();
    save.mutate();
  };
  const edits = experiment.role !== "view";
  return (
    <section aria-label="Experiment">
      <SectionTitle>Experiment</SectionTitle>
      {!edits && (
        <Text size="sm" style={{ whiteSpace: "pre-wrap" }}>
          {experiment.description || "No description."}
        </Text>
      )}
      {edits && (
        <form onSubmit={submit}>
          <Stack gap="xs">
            <TextInput
              label="Name"
              required
              maxLength={120}
              value={name}
              onChange={(event) => setName(event.currentTarget.value)}
            />
            <Textarea
              label="Description"
              autosize
              minRows={2}
              maxRows={8}
              value={description}
              onChange={(event) => setDescription(event.currentTarget.value)}
            />
            <ProblemNote title="The change was not saved" error={save.error ?? deletion.error} />
            <Group justify="space-between">
              <Button type="submit" variant="default" disabled={!changed} loading={save.isPending}>
                Save
              </Button>
              {experiment.role === "own" && (
                <InlineConfirm
                  label="Delete experiment"
                  text="Delete experiment"
                  question="All of its data?"
                  loading={deletion.isPending}
                  onConfirm={() => deletion.mutate()}
                />
              )}
            </Group>
          </Stack>
        </form>
      )}
    </section>
  );
}
