/** The Analysis page: results of tools, with their state; opened in the map, renamed no longer needed, deleted. */

import { Button, Group, Stack, Table, Text, Title, VisuallyHidden } from "@mantine/core";
import { useMutation, useQueryClient } from "@tanstack/react-query";
import { Link } from "react-router";
import { remove } from "../api/client";
import { experimentPath, keys, useExperiment, useRegistry, useToolResults } from "../api/queries";
import type { ToolResult } from "../api/types";
import { formatDate } from "../ui/format";
import { InlineConfirm } from "../ui/InlineConfirm";
import { FileNames, ProblemNote } from "../ui/ProblemNote";
import { Empty, Loading } from "../ui/parts";
import { STATE_WORDS, StateMark } from "../workflow/states";

export function AnalysisPage({ experimentId }: { experimentId: string }) {
  const queries = useQueryClient();
  const { data: experiment } = useExperiment(experimentId);
  const results = useToolResults(experimentId);
  const tools = useRegistry("tools");
  const key = keys.part(experimentId, "tool-results");
  const deletion = useMutation({
    mutationFn: (id: string) => remove(`${experimentPath(experimentId)}tool-results/${id}/`),
    onSuccess: () => queries.invalidateQueries({ queryKey: key }),
  });
  if (results.isPending) return <Loading what="results" />;
  const title = (name: string) => tools.data?.find((tool) => tool.name === name)?.title ?? name;
  const toMap = (
    <Button component={Link} to={`/experiments/${experimentId}/view`}>
      Open the map
    </Button>
  );
  return (
    <div className="page">
      <Stack gap="md">
        <Title order={2} size="h3">
          Results of tools
        </Title>
        <ProblemNote
          title="The results could not be read"
          error={results.error}
          onRetry={() => results.refetch()}
        />
        <ProblemNote title="The result was not deleted" error={deletion.error} />
        {results.data?.length === 0 && (
          <Empty title="No results yet" action={toMap}>
            A tool gives every object a value, a heat map for one. Ask for one beside the map; it appears here
            and in the map's list “colour by”.
          </Empty>
        )}
        {results.data && results.data.length > 0 && (
          <Table aria-label="Results of tools">
            <Table.Thead>
              <Table.Tr>
                <Table.Th>Name</Table.Th>
                <Table.Th>Tool</Table.Th>
                <Table.Th>Objects</Table.Th>
                <Table.Th>State</Table.Th>
                <Table.Th>Asked for</Table.Th>
                <Table.Th>
                  <VisuallyHidden>Actions</VisuallyHidden>
                </Table.Th>
              </Table.Tr>
            </Table.Thead>
            <Table.Tbody>
              {results.data.map((result) => (
                <Table.Tr key={result.id}>
                  <Table.Td>
                    {result.name || result.info.label || title(result.tool)}
                    {result.error && (
                      <>
                        <Text size="xs" c="red.4">
                          {result.error.message}
                        </Text>
                        <FileNames files={result.error.files ?? []} />
                      </>
                    )}
                  </Table.Td>
                  <Table.Td>{title(result.tool)}</Table.Td>
                  <Table.Td>{result.object_type.name}</Table.Td>
                  <Table.Td>
                    <Group gap={6} wrap="nowrap">
                      <StateMark state={result.state} />
                      <span aria-hidden>{STATE_WORDS[result.state]}</span>
                    </Group>
                  </Table.Td>
                  <Table.Td>
                    {formatDate(result.created_at)}
                    {result.created_by && ` by ${result.created_by}`}
                  </Table.Td>
                  <Table.Td>
                    <Actions
                      experimentId={experimentId}
                      result={result}
                      deletes={experiment?.role !== "view"}
                      onDelete={() => deletion.mutate(result.id)}
                    />
                  </Table.Td>
                </Table.Tr>
              ))}
            </Table.Tbody>
          </Table>
        )}
      </Stack>
    </div>
  );
}

interface ActionsProps {
  experimentId: string;
  result: ToolResult;
  deletes: boolean;
  onDelete: () => void;
}

function Actions({ experimentId, result, deletes, onDelete }: ActionsProps) {
  return (
    <Group gap={6} justify="end" wrap="nowrap">
      {result.state === "succeeded" && (
        <Button
          component={Link}
          to={`/experiments/${experimentId}/view?result=${result.id}`}
          variant="default"
          size="compact-xs"
          aria-label={`Open ${result.name || result.tool} in the map`}
        >
          Open in map
        </Button>
      )}
      {deletes && (
        <InlineConfirm
          quiet
          label={`Delete ${result.name || result.tool}`}
          question="Delete this result?"
          onConfirm={onDelete}
        />
      )}
    </Group>
  );
}
