/** A button for what can't be undone: it asks in its own place, without a modal. */

import { Button, Group, Text } from "@mantine/core";
import { type ReactNode, useState } from "react";

export interface InlineConfirmProps {
  label: string;
  /** The question, naming what is lost. */
  question: string;
  icon?: ReactNode;
  disabled?: boolean;
  loading?: boolean;
  onConfirm: () => void;
}

export function InlineConfirm({ label, question, icon, disabled, loading, onConfirm }: InlineConfirmProps) {
  const [asking, setAsking] = useState(false);
  if (!asking) {
    return (
      <Button
        variant="default"
        size="compact-xs"
        leftSection={icon}
        disabled={disabled}
        loading={loading}
        aria-label={label}
        onClick={() => setAsking(true)}
      >
        {label.split(" ")[0]}
      </Button>
    );
  }
  const confirm = () => {
    setAsking(false);
    onConfirm();
  };
  return (
    <Group gap={6} wrap="nowrap" role="group" aria-label={question}>
      <Text size="xs">{question}</Text>
      <Button size="compact-xs" color="red.9" onClick={confirm} autoFocus>
        {label.split(" ")[0]}
      </Button>
      <Button size="compact-xs" variant="default" onClick={() => setAsking(false)}>
        Keep
      </Button>
    </Group>
  );
}
