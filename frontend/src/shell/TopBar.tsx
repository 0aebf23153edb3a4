/** The bar at the top: where one is, the five places of an experiment, running jobs, sharing, the user. */

import { ActionIcon, Badge } from "@mantine/core";
import { IconMicroscope, IconPlugConnectedX, IconShare } from "@tabler/icons-react";
import { useState } from "react";
import { Link, NavLink } from "react-router";
import { useExperiment, useWorkflow, useWorkflows } from "../api/queries";
import { SharingPanel } from "../experiments/SharingPanel";
import { useLiveStatus } from "../live/LiveProvider";
import { plural } from "../ui/format";
import { UserMenu } from "./UserMenu";

const PLACES = ["Data", "Workflow", "Pipeline", "View", "Analysis"];

export function TopBar({ experimentId }: { experimentId?: string }) {
  return (
    <header className="bar">
      <Where experimentId={experimentId} />
      {experimentId ? <Places experimentId={experimentId} /> : <span />}
      <div className="barEnd">
        {experimentId && <ExperimentTools experimentId={experimentId} />}
        <UserMenu />
      </div>
    </header>
  );
}

function Where({ experimentId }: { experimentId?: string }) {
  return (
    <nav aria-label="Breadcrumb" style={{ display: "flex", gap: 16, minWidth: 0 }}>
      <Link to="/" className="brand">
        <IconMicroscope size={20} color="var(--mantine-color-teal-5)" aria-hidden />
        TissueMAPS
      </Link>
      <ol className="crumbs">
        <li>
          <Link to="/">Experiments</Link>
        </li>
        {experimentId && <Crumb experimentId={experimentId} />}
      </ol>
    </nav>
  );
}

function Crumb({ experimentId }: { experimentId: string }) {
  const { data } = useExperiment(experimentId);
  return <li title={data?.name}>{data?.name ?? "…"}</li>;
}

function Places({ experimentId }: { experimentId: string }) {
  return (
    <nav className="places" aria-label="Places of the experiment">
      {PLACES.map((place) => (
        <NavLink key={place} to={`/experiments/${experimentId}/${place.toLowerCase()}`}>
          {place}
        </NavLink>
      ))}
    </nav>
  );
}

function ExperimentTools({ experimentId }: { experimentId: string }) {
  const [sharing, setSharing] = useState(false);
  const { data } = useExperiment(experimentId);
  return (
    <>
      <LiveMark />
      <RunningJobs experimentId={experimentId} />
      {data && (
        <ActionIcon
          variant="subtle"
          color="gray"
          aria-label="Sharing"
          title="Sharing"
          aria-expanded={sharing}
          onClick={() => setSharing(!sharing)}
        >
          <IconShare size={17} />
        </ActionIcon>
      )}
      {sharing && data && <SharingPanel experiment={data} onClose={() => setSharing(false)} />}
    </>
  );
}

/** Says so when the page is not live; says nothing when all is well. */
function LiveMark() {
  const { status, reason } = useLiveStatus();
  if (status === "open" || status === "connecting") return null;
  const text =
    status === "waiting"
      ? "Connection lost, trying again"
      : reason === "access_revoked"
        ? "Your access was taken back"
        : "No live connection";
  return (
    <Badge
      color="yellow.5"
      c="black"
      variant="filled"
      leftSection={<IconPlugConnectedX size={12} />}
      role="status"
    >
      {text}
    </Badge>
  );
}

function RunningJobs({ experimentId }: { experimentId: string }) {
  const workflows = useWorkflows(experimentId);
  const newest = workflows.data?.pages[0]?.results[0];
  const running = newest?.state === "running" || newest?.state === "waiting";
  const { data } = useWorkflow(experimentId, running && newest ? newest.id : null);
  if (!running || !data) return null;
  const steps = data.stages.flatMap((stage) => stage.steps);
  const count = (state: "running" | "queued" | "waiting") =>
    steps.reduce((sum, step) => sum + (step.counts[state] ?? 0), 0);
  const jobs = count("running");
  return (
    <Badge
      component={Link}
      to={`/experiments/${experimentId}/workflow`}
      color="teal"
      style={{ cursor: "pointer", color: "#fff" }}
    >
      {jobs
        ? `${plural(jobs, "job")} running`
        : `${plural(count("queued") + count("waiting"), "job")} waiting`}
    </Badge>
  );
}
