/** A job's log, following its end until one scrolls away from it. */

import { Badge, Button, Group, Text } from "@mantine/core";
import { useMutation } from "@tanstack/react-query";
import { useEffect, useRef, useState } from "react";
import { getJson } from "../api/client";
import { experimentPath } from "../api/queries";
import type { LogPiece } from "../api/types";
import { useJobLog } from "../live/LiveProvider";
import { ProblemNote } from "../ui/ProblemNote";
import { SectionTitle } from "../ui/parts";
import classes from "./workflow.module.css";

const NEAR = 24;

/** Return the whole log so far, however long: the page itself keeps only its end. */
export async function wholeLog(experimentId: string, job: string): Promise<string> {
  const path = `${experimentPath(experimentId)}jobs/${job}/log/`;
  let text = "";
  let after = 0;
  for (;;) {
    const piece = await getJson<LogPiece>(`${path}?after=${after}`);
    text += piece.text;
    if (piece.complete || piece.next <= after) return text;
    after = piece.next;
  }
}

function saveAs(name: string, text: string): void {
  const address = URL.createObjectURL(new Blob([text], { type: "text/plain" }));
  const link = document.createElement("a");
  link.href = address;
  link.download = name;
  link.click();
  URL.revokeObjectURL(address);
}

interface JobLogProps {
  experimentId: string;
  job: string;
  onClose: () => void;
}

export function JobLog({ experimentId, job, onClose }: JobLogProps) {
  const download = useMutation({
    mutationFn: () => wholeLog(experimentId, job),
    onSuccess: (text) => saveAs(`${job}.log`, text),
  });
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
            <Button
              size="compact-xs"
              variant="default"
              loading={download.isPending}
              onClick={() => download.mutate()}
            >
              Download
            </Button>
            <Button size="compact-xs" variant="default" onClick={onClose}>
              Close log
            </Button>
          </Group>
        }
      >
        Log
      </SectionTitle>
      <ProblemNote title="The log was not downloaded" error={download.error} />
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
