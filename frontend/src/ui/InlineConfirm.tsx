/** A button for what can't be undone: it asks in its own place, without a modal. */

import { Button, Group, Text } from "@mantine/core";
import { type KeyboardEvent, type ReactNode, useState } from "react";

export interface InlineConfirmProps {
  label: string;
  /** The question, naming what is lost. */
  question: string;
  icon?: ReactNode;
  /** What the button shows; the first word of the label if left out. */
  text?: string;
  /** Without a frame, for rows of a table. */
  quiet?: boolean;
  disabled?: boolean;
  loading?: boolean;
  onConfirm: () => void;
}

export function InlineConfirm(props: InlineConfirmProps) {
  const { label, question, icon, disabled, loading, onConfirm } = props;
  const text = props.text ?? label.split(" ")[0];
  const [asking, setAsking] = useState(false);
  const [asked, setAsked] = useState(false);
  if (!asking) {
    return (
      <Button
        variant={props.quiet ? "subtle" : "default"}
        color={props.quiet ? "gray.4" : undefined}
        size="compact-xs"
        leftSection={icon}
        disabled={disabled}
        loading={loading}
        aria-label={label}
        autoFocus={asked}
        onClick={() => setAsking(true)}
      >
        {text}
      </Button>
    );
  }
  const end = () => {
    setAsking(false);
    setAsked(true); // The button that asked comes back with the focus.
  };
  const confirm = () => {
    end();
    onConfirm();
  };
  const onKeyDown = (event: KeyboardEvent) => {
    if (event.key !== "Escape") return;
    event.preventDefault();
    end();
  };
  return (
    <Group gap={6} wrap="nowrap" role="group" aria-label={question} onKeyDown={onKeyDown}>
      <Text size="xs">{question}</Text>
      <Button size="compact-xs" color="red.9" onClick={confirm} autoFocus>
        {text}
      </Button>
      <Button size="compact-xs" variant="default" onClick={end}>
        Keep
      </Button>
    </Group>
  );
}
