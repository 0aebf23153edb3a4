/** Why a step failed, and what was wrong with its input without stopping it; files by their names. */

import { Alert, Badge, Group, List, Text } from "@mantine/core";
import { Link } from "react-router";
import type { StepRun } from "../api/types";
import { plural } from "../ui/format";
import { FileNames } from "../ui/ProblemNote";
import { SectionTitle } from "../ui/parts";

export function StepProblems({ run }: { run: StepRun }) {
  if (!run.error && !run.problems.length) return null;
  const hidden = run.n_problems - run.problems.length;
  return (
    <section aria-label={`Problems of ${run.name}`}>
      {run.error && (
        <Alert color="red" variant="outline" title={`${run.name} failed`} mb="sm" role="alert">
          <Text size="sm" c="dark.0" style={{ overflowWrap: "anywhere" }}>
            {run.error.message}
          </Text>
          <FileNames files={run.error.files ?? []} />
          <Text size="sm" c="dimmed" mt={6}>
            The jobs' logs below say more. Mend the files on the <Link to="../data">Data page</Link> or the
            arguments, then press Resume: what succeeded is not done again.
          </Text>
        </Alert>
      )}
      {run.problems.length > 0 && (
        <>
          <SectionTitle>{plural(run.n_problems, "problem")} with the input</SectionTitle>
          <List listStyleType="none" spacing={6} mb="sm">
            {run.problems.map((problem) => (
              <List.Item key={`${problem.code} ${problem.message} ${problem.files?.[0]}`}>
                <Group gap={6} wrap="nowrap" align="start">
                  <Badge
                    color={problem.severity === "error" ? "red.9" : "yellow.9"}
                    variant="filled"
                    radius="sm"
                    c="white"
                    style={{ flexShrink: 0 }}
                  >
                    {problem.severity}
                  </Badge>
                  <div>
                    <Text size="sm" style={{ overflowWrap: "anywhere" }}>
                      {problem.message}
                    </Text>
                    <FileNames files={problem.files ?? []} />
                  </div>
                </Group>
              </List.Item>
            ))}
          </List>
          {hidden > 0 && (
            <Text size="xs" c="dimmed">
              and {plural(hidden, "more problem")}, in the logs of the jobs
            </Text>
          )}
        </>
      )}
    </section>
  );
}
