/** One acquisition: where its files come from, and the files. */

import { Button, Group, Stack, Table, Text, TextInput, Title, VisuallyHidden } from "@mantine/core";
import { useMutation, useQueryClient } from "@tanstack/react-query";
import { type FormEvent, useState } from "react";
import { Link } from "react-router";
import { remove, sendJson } from "../api/client";
import { experimentPath, keys, useFiles } from "../api/queries";
import type { Acquisition, Experiment } from "../api/types";
import { formatBytes, plural } from "../ui/format";
import { InlineConfirm } from "../ui/InlineConfirm";
import { ProblemNote } from "../ui/ProblemNote";
import { Loading, More, SectionTitle } from "../ui/parts";
import classes from "./data.module.css";
import { encodedPath } from "./pieces";
import { ReadingPanel } from "./ReadingPanel";
import { UploadPanel } from "./UploadPanel";

export interface AcquisitionPanelProps {
  experiment: Experiment;
  acquisition: Acquisition;
}

export function AcquisitionPanel({ experiment, acquisition }: AcquisitionPanelProps) {
  const queries = useQueryClient();
  const path = `${experimentPath(experiment.id)}acquisitions/${acquisition.id}/`;
  const edits = experiment.role !== "view";
  const renew = () => queries.invalidateQueries({ queryKey: keys.experiment(experiment.id) });
  const deletion = useMutation({ mutationFn: () => remove(path), onSuccess: renew });
  const empty = acquisition.files === 0;
  return (
    <Stack gap="lg" className={classes.content}>
      <Group justify="space-between">
        <div>
          <Title order={2} size="h3">
            {acquisition.name}
          </Title>
          <Text size="sm" c="dimmed">
            {acquisition.plate.name} · {plural(acquisition.files, "file")} · {formatBytes(acquisition.bytes)}
            {acquisition.microscope && ` · ${acquisition.microscope}`}
            {acquisition.pattern && ` · pattern ${acquisition.pattern}`}
          </Text>
        </div>
        {edits && (
          <InlineConfirm
            label={`Delete acquisition ${acquisition.name}`}
            question={
              acquisition.source === "registered" ? "The folder itself stays." : "Its files are lost."
            }
            loading={deletion.isPending}
            onConfirm={() => deletion.mutate()}
          />
        )}
      </Group>
      <ProblemNote title="The acquisition was not deleted" error={deletion.error} />
      {acquisition.source === "registered" && (
        <Text size="sm">
          The files are read from the server's folder <code>{acquisition.folder}</code>, which is never
          changed.
        </Text>
      )}
      {edits && acquisition.source === "uploads" && (
        <section aria-label="Upload">
          <SectionTitle>Upload</SectionTitle>
          <UploadPanel experimentId={experiment.id} acquisitionId={acquisition.id} />
        </section>
      )}
      {edits && empty && <RegisterForm path={path} onRegistered={renew} />}
      {!empty && (
        <Group>
          <Button component={Link} to={`/experiments/${experiment.id}/workflow`} variant="default">
            Go on to the workflow
          </Button>
        </Group>
      )}
      {edits && !empty && (
        <ReadingPanel
          key={acquisition.id}
          acquisition={acquisition}
          path={path}
          experimentId={experiment.id}
        />
      )}
      {!empty && <Files experimentId={experiment.id} acquisition={acquisition} path={path} edits={edits} />}
    </Stack>
  );
}

function RegisterForm({ path, onRegistered }: { path: string; onRegistered: () => unknown }) {
  const [folder, setFolder] = useState("");
  const register = useMutation({
    mutationFn: () => sendJson("POST", `${path}register/`, { path: folder.trim() }),
    onSuccess: onRegistered,
  });
  const submit = (event: FormEvent) => {
    event.preventDefault();
    register.mutate();
  };
  return (
    <section aria-label="Folder of the server">
      <SectionTitle>Or a folder of the server</SectionTitle>
      <form onSubmit={submit}>
        <Group align="end">
          <TextInput
            label="Path"
            description="Absolute, below a folder that the administrator allows; read, never copied or changed"
            required
            style={{ flex: 1 }}
            value={folder}
            onChange={(event) => setFolder(event.currentTarget.value)}
          />
          <Button type="submit" variant="default" loading={register.isPending}>
            Register
          </Button>
        </Group>
      </form>
      <ProblemNote title="The folder was not registered" error={register.error} />
    </section>
  );
}

interface FilesProps {
  experimentId: string;
  acquisition: Acquisition;
  path: string;
  edits: boolean;
}

function Files({ experimentId, acquisition, path, edits }: FilesProps) {
  const queries = useQueryClient();
  const query = useFiles(experimentId, acquisition.id);
  const files = query.data?.pages.flatMap((page) => page.results) ?? [];
  const deletion = useMutation({
    mutationFn: (name: string) => remove(`${path}files/${encodedPath(name)}/`),
    onSuccess: () => {
      void queries.invalidateQueries({ queryKey: keys.part(experimentId, "files", acquisition.id) });
      void queries.invalidateQueries({ queryKey: keys.part(experimentId, "acquisitions") });
    },
  });
  return (
    <section aria-label="Files">
      <SectionTitle>Files</SectionTitle>
      <ProblemNote title="The files could not be read" error={query.error} onRetry={() => query.refetch()} />
      <ProblemNote title="The file was not deleted" error={deletion.error} />
      {query.isPending && <Loading what="files" />}
      {files.length > 0 && (
        <Table aria-label="Files">
          <Table.Thead>
            <Table.Tr>
              <Table.Th>Name</Table.Th>
              <Table.Th ta="right">Size</Table.Th>
              <Table.Th>State</Table.Th>
              {edits && acquisition.source === "uploads" && (
                <Table.Th>
                  <VisuallyHidden>Actions</VisuallyHidden>
                </Table.Th>
              )}
            </Table.Tr>
          </Table.Thead>
          <Table.Tbody>
            {files.map((file) => (
              <Table.Tr key={file.name}>
                <Table.Td style={{ overflowWrap: "anywhere" }}>{file.name}</Table.Td>
                <Table.Td ta="right">{formatBytes(file.size)}</Table.Td>
                <Table.Td>
                  {file.status === "complete" ? "there" : `${formatBytes(file.received)} received`}
                </Table.Td>
                {edits && acquisition.source === "uploads" && (
                  <Table.Td ta="right">
                    <InlineConfirm
                      quiet
                      label={`Delete ${file.name}`}
                      question="Delete this file?"
                      onConfirm={() => deletion.mutate(file.name)}
                    />
                  </Table.Td>
                )}
              </Table.Tr>
            ))}
          </Table.Tbody>
        </Table>
      )}
      <More query={query} what="files" />
    </section>
  );
}
