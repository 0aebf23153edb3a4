/** All experiments that one may see, newest first. */

import { Badge, Button, Group, Table, Text, TextInput, Title } from "@mantine/core";
import { IconPlus, IconSearch } from "@tabler/icons-react";
import { useDeferredValue, useEffect, useState } from "react";
import { Link } from "react-router";
import { useExperiments } from "../api/queries";
import type { Experiment, Role } from "../api/types";
import { formatCount, formatDate } from "../ui/format";
import { ProblemNote } from "../ui/ProblemNote";
import { Empty, Loading, More } from "../ui/parts";

const ROLES: Record<Role, string> = { own: "owner", edit: "editor", view: "viewer" };

/** Return whether every word of the search stands in the name, description or group. */
export function matches(experiment: Experiment, search: string): boolean {
  const text = `${experiment.name} ${experiment.description} ${experiment.group.name}`.toLowerCase();
  return search
    .toLowerCase()
    .split(/\s+/)
    .every((word) => text.includes(word));
}

export function statusOf({ status }: Experiment): string {
  if (status.objects) return "analysed";
  if (status.sites) return "converted";
  return status.plates ? "waiting for its workflow" : "empty";
}

export function ExperimentList() {
  const query = useExperiments();
  const [search, setSearch] = useState("");
  const wanted = useDeferredValue(search.trim());
  const { hasNextPage, isFetchingNextPage, fetchNextPage } = query;
  useEffect(() => {
    // A search is over all of them, not over those that happen to be on the page.
    if (wanted && hasNextPage && !isFetchingNextPage) void fetchNextPage();
  }, [wanted, hasNextPage, isFetchingNextPage, fetchNextPage]);
  if (query.isPending) return <Loading what="experiments" />;
  const all = query.data?.pages.flatMap((page) => page.results) ?? [];
  const shown = wanted ? all.filter((experiment) => matches(experiment, wanted)) : all;
  return (
    <div className="page">
      <Group justify="space-between" mb="md">
        <Title order={1}>Experiments</Title>
        <Group>
          <TextInput
            w={260}
            aria-label="Search experiments"
            placeholder="Name, description or group"
            leftSection={<IconSearch size={14} />}
            value={search}
            onChange={(event) => setSearch(event.currentTarget.value)}
          />
          <Button component={Link} to="/experiments/new" leftSection={<IconPlus size={15} />}>
            New experiment
          </Button>
        </Group>
      </Group>
      <ProblemNote
        title="The experiments could not be read"
        error={query.error}
        onRetry={() => query.refetch()}
      />
      {shown.length > 0 && <ExperimentTable experiments={shown} />}
      {!all.length && !query.error && <HowToStart />}
      {all.length > 0 && !shown.length && !query.hasNextPage && (
        <Text c="dimmed" role="status">
          No experiment matches “{wanted}”.
        </Text>
      )}
      <Group mt="md">
        <More query={query} what="experiments" />
      </Group>
    </div>
  );
}

function HowToStart() {
  return (
    <Empty
      title="No experiments yet"
      action={
        <Button component={Link} to="/experiments/new">
          Create the first experiment
        </Button>
      }
    >
      An experiment holds the plates of one screen. Create one, give it the files that the microscope wrote,
      and start its workflow: it makes the map, finds nuclei and cells, and measures them. Or ask a colleague
      to share theirs with you.
    </Empty>
  );
}

function ExperimentTable({ experiments }: { experiments: Experiment[] }) {
  return (
    <Table highlightOnHover aria-label="Experiments">
      <Table.Thead>
        <Table.Tr>
          <Table.Th>Name</Table.Th>
          <Table.Th>Group</Table.Th>
          <Table.Th>Your role</Table.Th>
          <Table.Th ta="right">Plates</Table.Th>
          <Table.Th ta="right">Wells</Table.Th>
          <Table.Th ta="right">Objects</Table.Th>
          <Table.Th>Status</Table.Th>
          <Table.Th>Created</Table.Th>
        </Table.Tr>
      </Table.Thead>
      <Table.Tbody>
        {experiments.map((experiment) => (
          <Table.Tr key={experiment.id}>
            <Table.Td maw={360}>
              <Text component={Link} to={`/experiments/${experiment.id}`} size="sm" fw={600} c="dark.0">
                {experiment.name}
              </Text>
              {experiment.description && (
                <Text size="xs" c="dimmed" lineClamp={1}>
                  {experiment.description}
                </Text>
              )}
            </Table.Td>
            <Table.Td>{experiment.group.name}</Table.Td>
            <Table.Td>{ROLES[experiment.role]}</Table.Td>
            <Table.Td ta="right">{formatCount(experiment.status.plates)}</Table.Td>
            <Table.Td ta="right">{formatCount(experiment.status.wells)}</Table.Td>
            <Table.Td ta="right">{formatCount(experiment.status.objects)}</Table.Td>
            <Table.Td>
              <Badge variant="default" radius="sm" tt="none">
                {statusOf(experiment)}
              </Badge>
            </Table.Td>
            <Table.Td>{formatDate(experiment.created_at)}</Table.Td>
          </Table.Tr>
        ))}
      </Table.Tbody>
    </Table>
  );
}
