/** The Pipeline page: what the image-analysis step does now, as it stands in the description. */

import { Anchor, Code, Stack, Table, Text, Title } from "@mantine/core";
import { Link } from "react-router";
import { useDescription, useRegistry } from "../api/queries";
import { ProblemNote } from "../ui/ProblemNote";
import { Empty, Loading, SectionTitle } from "../ui/parts";
import { stepOf } from "./draft";

const STEP = "jterator";

function shown(value: unknown): string {
  if (value === null || value === undefined || value === "") return "chosen by the step";
  return typeof value === "object" ? JSON.stringify(value, null, 2) : String(value);
}

interface Property {
  title?: string;
  description?: string;
}

export function PipelinePage({ experimentId }: { experimentId: string }) {
  const description = useDescription(experimentId);
  const steps = useRegistry("steps");
  const error = description.error ?? steps.error;
  if (error) {
    return (
      <div className="page">
        <ProblemNote title="The pipeline could not be read" error={error} />
      </div>
    );
  }
  if (!description.data || !steps.data) return <Loading what="pipeline" />;
  const step = stepOf(description.data, STEP);
  const entry = steps.data.find(({ name }) => name === STEP);
  if (!step || !entry) {
    return <Empty title="No image analysis">This type of workflow has no step called {STEP}.</Empty>;
  }
  const properties = (entry.schema.properties ?? {}) as Record<string, Property>;
  return (
    <div className="page">
      <Stack gap="md">
        <Title order={2} size="h3">
          {entry.title}
        </Title>
        <Text size="sm">{entry.help}</Text>
        <Text size="sm" c="dimmed">
          This page shows the pipeline; it can't be rearranged here. Its arguments are set on the{" "}
          <Anchor
            component={Link}
            to={`/experiments/${experimentId}/workflow?step=${STEP}`}
            underline="always"
          >
            Workflow page
          </Anchor>
          {step.active ? "." : ", where the step is switched off."}
        </Text>
        <section aria-label="Arguments">
          <SectionTitle>Arguments</SectionTitle>
          <Table aria-label="Arguments of the pipeline">
            <Table.Thead>
              <Table.Tr>
                <Table.Th>Argument</Table.Th>
                <Table.Th>Value</Table.Th>
                <Table.Th>Meaning</Table.Th>
              </Table.Tr>
            </Table.Thead>
            <Table.Tbody>
              {Object.entries(properties).map(([name, property]) => (
                <Table.Tr key={name}>
                  <Table.Td>{property.title ?? name}</Table.Td>
                  <Table.Td>
                    <Code style={{ whiteSpace: "pre-wrap" }}>{shown(step.arguments[name])}</Code>
                  </Table.Td>
                  <Table.Td>{property.description}</Table.Td>
                </Table.Tr>
              ))}
            </Table.Tbody>
          </Table>
        </section>
      </Stack>
    </div>
  );
}
