/** Small pieces that every page uses: section headings, empty states, side panels, loading. */

import { ActionIcon, Button, Center, Group, Loader, Stack, Text, Title } from "@mantine/core";
import { IconX } from "@tabler/icons-react";
import { type ReactNode, useEffect, useId, useRef } from "react";
import classes from "./parts.module.css";

export function SectionTitle({
  children,
  right,
  id,
}: {
  children: ReactNode;
  right?: ReactNode;
  id?: string;
}) {
  return (
    <Group justify="space-between" className={classes.sectionTitle} wrap="nowrap">
      <Title order={2} id={id} className={classes.sectionName}>
        {children}
      </Title>
      {right}
    </Group>
  );
}

/** What to say where there is nothing yet, and what to do about it. */
export function Empty({
  title,
  children,
  action,
  order = 2,
}: {
  title: string;
  /** Of the heading; 1 where the page has no other. */
  order?: 1 | 2;
  children?: ReactNode;
  action?: ReactNode;
}) {
  return (
    <Center className={classes.empty}>
      <Stack align="center" gap="xs" maw={460}>
        <Title order={order} size="h4">
          {title}
        </Title>
        <Text ta="center" c="dimmed" size="sm" component="div">
          {children}
        </Text>
        {action}
      </Stack>
    </Center>
  );
}

export function Loading({ what }: { what: string }) {
  return (
    <Center p="xl">
      <Loader size="sm" role="status" aria-label={`Loading ${what}`} />
    </Center>
  );
}

/** The rest of a list, on request. */
export function More({
  query,
  what,
}: {
  query: { hasNextPage: boolean; isFetchingNextPage: boolean; fetchNextPage: () => unknown };
  what: string;
}) {
  if (!query.hasNextPage) return null;
  return (
    <Button variant="default" loading={query.isFetchingNextPage} onClick={() => query.fetchNextPage()}>
      Show more {what}
    </Button>
  );
}

/** Long enough for a menu that opened the panel to hand the focus back to its button first. */
const AFTER_MENU_MS = 50;

/** Take the focus into a panel that opens, and give it back to what had it when the panel closes. */
function useFocusWhileOpen() {
  const panel = useRef<HTMLElement>(null);
  useEffect(() => {
    let before: Element | null = null;
    const timer = setTimeout(() => {
      before = document.activeElement;
      panel.current?.focus();
    }, AFTER_MENU_MS);
    return () => {
      clearTimeout(timer);
      if (before instanceof HTMLElement && before.isConnected) before.focus();
    };
  }, []);
  return panel;
}

/** A panel at the right that leaves the page in reach; Escape closes it. */
export function SidePanel({
  title,
  onClose,
  children,
}: {
  title: string;
  onClose: () => void;
  children: ReactNode;
}) {
  const name = useId();
  const panel = useFocusWhileOpen();
  useEffect(() => {
    const onKey = (event: KeyboardEvent) => {
      if (event.key === "Escape" && !event.defaultPrevented) onClose();
    };
    window.addEventListener("keydown", onKey);
    return () => window.removeEventListener("keydown", onKey);
  }, [onClose]);
  return (
    <aside ref={panel} tabIndex={-1} className={classes.sidePanel} aria-labelledby={name}>
      <SectionTitle
        id={name}
        right={
          <ActionIcon variant="subtle" color="gray" aria-label={`Close ${title}`} onClick={onClose}>
            <IconX size={16} />
          </ActionIcon>
        }
      >
        {title}
      </SectionTitle>
      {children}
    </aside>
  );
}
