/** A job's log, following its end until one scrolls away from it. */

import { Badge, Button, Group, Text } from "@mantine/core";
import { useEffect, useRef, useState } from "react";
import { useJobLog } from "../live/LiveProvider";
import { SectionTitle } from "../ui/parts";
import classes from "./workflow.module.css";

const NEAR = 24;

export function JobLog({ job, onClose }: { job: string; onClose: () => void }) {
  const { text, complete, error } = useJobLog(job);
  const box = useRef<HTMLPreElement>(null);
  const [follows, setFollows] = useState(true);
  // biome-ignore lint/correctness/useExhaustiveDependencies: new text is what moves the end
  useEffect(() => {
    if (follows && box.current) box.current.scrollTop = box.current.scrollHeight;
  }, [text, follows]);
  const onScroll = () => {
    const { scrollTop, scrollHeight, clientHeight } = box.current as HTMLPreElement;
    setFollows(scrollHeight - scrollTop - clientHeight < NEAR);
  };
  return (
    <section aria-label="Log" className={classes.logSection}>
      <SectionTitle
        right={
          <Group gap={6}>
            <Badge variant="default" tt="none" radius="sm">
              {complete ? "complete" : "live"}
            </Badge>
            <Button size="compact-xs" variant="default" onClick={onClose}>
              Close log
            </Button>
          </Group>
        }
      >
        Log
      </SectionTitle>
      {error && (
        <Text size="sm" c="red.4">
          The log can't be read ({error}).
        </Text>
      )}
      <pre
        ref={box}
        className={classes.log}
        role="log"
        aria-label="Text of the log"
        onScroll={onScroll}
        // biome-ignore lint/a11y/noNoninteractiveTabindex: what scrolls must be in reach of the keyboard
        tabIndex={0}
      >
        {text || (complete ? "The job wrote nothing." : "Waiting for the job to write…")}
      </pre>
    </section>
  );
}
