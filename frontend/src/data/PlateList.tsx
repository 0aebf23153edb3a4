/** Plates with their acquisitions; choose one, add more. */

import { Button, Group, Stack, Text, TextInput, UnstyledButton } from "@mantine/core";
import { IconPlus } from "@tabler/icons-react";
import { useMutation, useQueryClient } from "@tanstack/react-query";
import { type FormEvent, useState } from "react";
import { remove, sendJson } from "../api/client";
import { experimentPath, keys } from "../api/queries";
import type { Acquisition, Experiment, Plate } from "../api/types";
import { plural } from "../ui/format";
import { InlineConfirm } from "../ui/InlineConfirm";
import { ProblemNote } from "../ui/ProblemNote";
import { SectionTitle } from "../ui/parts";
import classes from "./data.module.css";

export interface PlateListProps {
  experiment: Experiment;
  plates: Plate[];
  acquisitions: Acquisition[];
  chosen: string | null;
  onChoose: (acquisition: string) => void;
}

export function PlateList({ experiment, plates, acquisitions, chosen, onChoose }: PlateListProps) {
  const queries = useQueryClient();
  const base = experimentPath(experiment.id);
  const renew = () => queries.invalidateQueries({ queryKey: keys.experiment(experiment.id) });
  const edits = experiment.role !== "view";
  const deletion = useMutation({
    mutationFn: (id: string) => remove(`${base}plates/${id}/`),
    onSuccess: renew,
  });
  const addPlate = async (name: string) => {
    await sendJson("POST", `${base}plates/`, { name });
    await renew();
  };
  const addAcquisition = async (plate: string, name: string) => {
    const made = await sendJson<Acquisition>("POST", `${base}acquisitions/`, { plate, name });
    await renew();
    onChoose(made.id);
  };
  return (
    <nav aria-label="Plates and acquisitions">
      <SectionTitle>Plates</SectionTitle>
      <ProblemNote title="The plate was not deleted" error={deletion.error} />
      <Stack gap="md">
        {plates.map((plate) => (
          <div key={plate.id}>
            <Group justify="space-between" wrap="nowrap">
              <Text size="sm" fw={600} truncate>
                {plate.name}
              </Text>
              {edits && (
                <InlineConfirm
                  quiet
                  label={`Delete plate ${plate.name}`}
                  question="Delete its files and data?"
                  onConfirm={() => deletion.mutate(plate.id)}
                />
              )}
            </Group>
            {acquisitions
              .filter((acquisition) => acquisition.plate.id === plate.id)
              .map((acquisition) => (
                <UnstyledButton
                  key={acquisition.id}
                  className={classes.item}
                  aria-current={acquisition.id === chosen}
                  onClick={() => onChoose(acquisition.id)}
                >
                  {acquisition.name}{" "}
                  <Text span size="xs" c="dimmed">
                    {acquisition.source === "registered" ? "folder, " : ""}
                    {plural(acquisition.files, "file")}
                  </Text>
                </UnstyledButton>
              ))}
            {edits && (
              <AddByName
                noun={`acquisition of ${plate.name}`}
                button="Add acquisition"
                onAdd={(name) => addAcquisition(plate.id, name)}
              />
            )}
          </div>
        ))}
        {edits && <AddByName noun="plate" button="Add plate" onAdd={addPlate} />}
      </Stack>
    </nav>
  );
}

interface AddByNameProps {
  noun: string;
  button: string;
  onAdd: (name: string) => Promise<unknown>;
}

function AddByName({ noun, button, onAdd }: AddByNameProps) {
  const [open, setOpen] = useState(false);
  const [name, setName] = useState("");
  const add = useMutation({
    mutationFn: () => onAdd(name.trim()),
    onSuccess: () => {
      setOpen(false);
      setName("");
    },
  });
  if (!open) {
    return (
      <Button
        variant="subtle"
        color="gray.4"
        size="compact-xs"
        style={{ alignSelf: "start" }}
        leftSection={<IconPlus size={13} />}
        aria-label={`Add ${noun}`}
        onClick={() => setOpen(true)}
      >
        {button}
      </Button>
    );
  }
  const submit = (event: FormEvent) => {
    event.preventDefault();
    add.mutate();
  };
  return (
    <form onSubmit={submit}>
      <TextInput
        label={`Name of the ${noun}`}
        required
        autoFocus
        maxLength={120}
        value={name}
        onChange={(event) => setName(event.currentTarget.value)}
        error={add.error?.message}
      />
      <Group mt={6} gap={6}>
        <Button type="submit" size="compact-xs" loading={add.isPending}>
          Add
        </Button>
        <Button size="compact-xs" variant="default" onClick={() => setOpen(false)}>
          Cancel
        </Button>
      </Group>
    </form>
  );
}
