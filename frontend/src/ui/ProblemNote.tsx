/** A refusal or failure in plain words, with the thing at fault. */

import { Alert, Button, Code, List, Text } from "@mantine/core";
import { IconAlertTriangle } from "@tabler/icons-react";
import { ApiError } from "../api/client";
import { plural } from "./format";

const SHOWN = 10;

function filesOf(error: Error): string[] {
  const files = error instanceof ApiError ? error.extra.files : undefined;
  return Array.isArray(files) ? files.map(String) : [];
}

/** The files that a message is about, the first ten by name. */
export function FileNames({ files }: { files: string[] }) {
  if (!files.length) return null;
  return (
    <List size="xs" mt={4} listStyleType="none">
      {files.slice(0, SHOWN).map((file) => (
        <List.Item key={file}>
          <Code style={{ overflowWrap: "anywhere" }}>{file}</Code>
        </List.Item>
      ))}
      {files.length > SHOWN && <List.Item>and {plural(files.length - SHOWN, "more file")}</List.Item>}
    </List>
  );
}

export interface ProblemNoteProps {
  title: string;
  error: Error | null;
  onRetry?: () => void;
}

export function ProblemNote({ title, error, onRetry }: ProblemNoteProps) {
  if (!error) return null;
  return (
    <Alert
      color="red"
      variant="outline"
      title={title}
      icon={<IconAlertTriangle size={18} />}
      role="alert"
      p="sm"
    >
      <Text size="sm" c="dark.0">
        {error.message}
      </Text>
      <FileNames files={filesOf(error)} />
      {onRetry && (
        <Button mt="xs" variant="default" onClick={onRetry}>
          Try again
        </Button>
      )}
    </Alert>
  );
}
