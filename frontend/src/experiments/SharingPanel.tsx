/** Who else may see an experiment; its owners give and take access here. */

import { Button, Group, NativeSelect, Stack, Text, TextInput } from "@mantine/core";
import { useMutation, useQueryClient } from "@tanstack/react-query";
import { type FormEvent, useState } from "react";
import { remove, sendJson, withQuery } from "../api/client";
import { experimentPath, keys, useAccess } from "../api/queries";
import type { Access, Experiment, Role } from "../api/types";
import { InlineConfirm } from "../ui/InlineConfirm";
import { ProblemNote } from "../ui/ProblemNote";
import { Loading, SidePanel } from "../ui/parts";

const LEVELS: { value: Role; label: string }[] = [
  { value: "view", label: "see it" },
  { value: "edit", label: "see and change it" },
  { value: "own", label: "own it" },
];

const levelText = (level: Role) => LEVELS.find((each) => each.value === level)?.label ?? level;

export function SharingPanel({ experiment, onClose }: { experiment: Experiment; onClose: () => void }) {
  const access = useAccess(experiment.id);
  const queries = useQueryClient();
  const renew = () => queries.invalidateQueries({ queryKey: keys.part(experiment.id, "access") });
  const revoke = useMutation({
    mutationFn: (grant: Access) =>
      remove(
        withQuery(`${experimentPath(experiment.id)}access/${grant.subject}/`, {
          plate: grant.plate?.id,
          object_type: grant.object_type?.id,
        }),
      ),
    onSuccess: renew,
  });
  const owns = experiment.role === "own";
  return (
    <SidePanel title="Sharing" onClose={onClose}>
      <Stack gap="md">
        <Text size="sm" c="dimmed">
          The experiment belongs to the research group {experiment.group.name}. You may{" "}
          {levelText(experiment.role)}.
        </Text>
        {owns ? (
          <GrantForm experimentId={experiment.id} onGranted={renew} />
        ) : (
          <Text size="sm">Only its owners can share it.</Text>
        )}
        {access.isPending && <Loading what="access list" />}
        <ProblemNote title="The access list could not be read" error={access.error} />
        <ProblemNote title="The access could not be taken back" error={revoke.error} />
        {access.data?.map((grant) => (
          <Group
            key={`${grant.subject} ${grant.plate?.id} ${grant.object_type?.id}`}
            justify="space-between"
            wrap="nowrap"
          >
            <div>
              <Text size="sm">{grant.kind === "group" ? `Group ${grant.name}` : grant.name}</Text>
              <Text size="xs" c="dimmed">
                may {levelText(grant.level)}
                {grant.plate && ` · plate ${grant.plate.name} only`}
                {grant.object_type && ` · ${grant.object_type.name} only`}
              </Text>
            </div>
            {owns && (
              <InlineConfirm
                label={`Revoke access of ${grant.name}`}
                question="Take it back?"
                onConfirm={() => revoke.mutate(grant)}
              />
            )}
          </Group>
        ))}
      </Stack>
    </SidePanel>
  );
}

function GrantForm({ experimentId, onGranted }: { experimentId: string; onGranted: () => unknown }) {
  const [kind, setKind] = useState<"user" | "group">("user");
  const [name, setName] = useState("");
  const [level, setLevel] = useState<string>("view");
  const grant = useMutation({
    mutationFn: () =>
      sendJson("POST", `${experimentPath(experimentId)}access/`, { [kind]: name.trim(), level }),
    onSuccess: () => {
      setName("");
      onGranted();
    },
  });
  const submit = (event: FormEvent) => {
    event.preventDefault();
    grant.mutate();
  };
  return (
    <form onSubmit={submit}>
      <Stack gap="xs">
        <Group grow align="end">
          <NativeSelect
            label="Share with a"
            value={kind}
            onChange={(event) => setKind(event.currentTarget.value as "user" | "group")}
            data={[
              { value: "user", label: "person" },
              { value: "group", label: "research group" },
            ]}
          />
          <NativeSelect
            label="who may"
            value={level}
            onChange={(event) => setLevel(event.currentTarget.value)}
            data={LEVELS}
          />
        </Group>
        <TextInput
          label={kind === "user" ? "User name" : "Name of the group"}
          required
          value={name}
          onChange={(event) => setName(event.currentTarget.value)}
        />
        <ProblemNote title="Nothing was shared" error={grant.error} />
        <Button type="submit" loading={grant.isPending} style={{ alignSelf: "start" }}>
          Share
        </Button>
      </Stack>
    </form>
  );
}
