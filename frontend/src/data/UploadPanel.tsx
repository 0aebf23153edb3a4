/** Files and folders into an acquisition: dropped or chosen, with progress and what went wrong. */

import { Button, Code, Group, List, Progress, Stack, Text } from "@mantine/core";
import { IconUpload } from "@tabler/icons-react";
import { useQueryClient } from "@tanstack/react-query";
import { type DragEvent, useEffect, useId, useRef, useState } from "react";
import { keys } from "../api/queries";
import { formatBytes, formatCount, plural } from "../ui/format";
import classes from "./data.module.css";
import { chosenFiles, droppedFiles } from "./dropped";
import type { Candidate } from "./pieces";
import { startUpload, stopUpload, type Upload, useUpload } from "./uploads";

export interface UploadPanelProps {
  experimentId: string;
  acquisitionId: string;
}

export function UploadPanel({ experimentId, acquisitionId }: UploadPanelProps) {
  const queries = useQueryClient();
  const upload = useUpload(acquisitionId);
  const [over, setOver] = useState(false);
  const files = useRef<HTMLInputElement>(null);
  const folder = useRef<HTMLInputElement>(null);
  const label = useId();
  useEffect(() => folder.current?.setAttribute("webkitdirectory", ""), []);
  const add = async (found: Candidate[]) => {
    if (!found.length) return;
    await startUpload(experimentId, acquisitionId, found);
    void queries.invalidateQueries({ queryKey: keys.part(experimentId, "acquisitions") });
    void queries.invalidateQueries({ queryKey: keys.part(experimentId, "files", acquisitionId) });
  };
  const onDrop = (event: DragEvent) => {
    event.preventDefault();
    setOver(false);
    void droppedFiles(event.dataTransfer).then(add);
  };
  const choose = (input: HTMLInputElement) => {
    const found = input.files ? chosenFiles(input.files) : [];
    input.value = "";
    void add(found);
  };
  return (
    <Stack gap="xs">
      {/* biome-ignore lint/a11y/noStaticElementInteractions: the two buttons inside do the same by keyboard */}
      <div
        className={classes.drop}
        data-over={over || undefined}
        onDragOver={(event) => {
          event.preventDefault();
          setOver(true);
        }}
        onDragLeave={() => setOver(false)}
        onDrop={onDrop}
      >
        <IconUpload size={18} aria-hidden />
        <Text size="sm" id={label}>
          Drop the microscope's files or its whole folder here, or choose
        </Text>
        <Group gap="xs">
          <Button variant="default" onClick={() => files.current?.click()}>
            Files
          </Button>
          <Button variant="default" onClick={() => folder.current?.click()}>
            Folder
          </Button>
        </Group>
        <input
          ref={files}
          type="file"
          multiple
          hidden
          aria-label="Files to upload"
          onChange={(event) => choose(event.currentTarget)}
        />
        <input
          ref={folder}
          type="file"
          multiple
          hidden
          aria-label="Folder to upload"
          onChange={(event) => choose(event.currentTarget)}
        />
      </div>
      {upload && <UploadProgress upload={upload} onStop={() => stopUpload(acquisitionId)} />}
    </Stack>
  );
}

function summaryOf(upload: Upload): string {
  const parts = [`${formatCount(upload.doneFiles)} of ${plural(upload.files, "file")}`];
  if (upload.skipped) parts.push(`${formatCount(upload.skipped)} were there already`);
  if (upload.errors.length) parts.push(`${formatCount(upload.errors.length)} failed`);
  return parts.join(" · ");
}

function UploadProgress({ upload, onStop }: { upload: Upload; onStop: () => void }) {
  const sent = Object.values(upload.active).reduce((sum, each) => sum + each.sent, upload.doneBytes);
  const percent = upload.bytes ? (100 * sent) / upload.bytes : (100 * upload.doneFiles) / (upload.files || 1);
  return (
    <Stack gap={4}>
      <Progress value={percent} aria-label="Upload" color={upload.errors.length ? "red.8" : "teal.8"} />
      <Group justify="space-between">
        <Text size="xs" role="status">
          {upload.running ? "Uploading: " : "Uploaded: "}
          {summaryOf(upload)} · {formatBytes(sent)} of {formatBytes(upload.bytes)}
        </Text>
        {upload.running && (
          <Button variant="default" size="compact-xs" onClick={onStop}>
            Stop
          </Button>
        )}
      </Group>
      {upload.errors.length > 0 && (
        <div role="alert">
          <Text size="xs">These files did not arrive. Drop them again to go on where they stopped.</Text>
          <List size="xs" listStyleType="none" className={classes.errors}>
            {upload.errors.slice(0, 50).map(({ path, message }) => (
              <List.Item key={path}>
                <Code>{path}</Code> {message}
              </List.Item>
            ))}
            {upload.errors.length > 50 && <List.Item>and {upload.errors.length - 50} more</List.Item>}
          </List>
        </div>
      )}
    </Stack>
  );
}
