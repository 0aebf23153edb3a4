/** The addresses of the application and the page of each. */

import { VisuallyHidden } from "@mantine/core";
import { lazy, Suspense, useEffect } from "react";
import { Link, Navigate, Outlet, Route, Routes, useLocation, useParams } from "react-router";
import { useExperiment } from "../api/queries";
import { LiveProvider } from "../live/LiveProvider";
import { ProblemNote } from "../ui/ProblemNote";
import { Empty, Loading } from "../ui/parts";
import { ErrorBoundary } from "./ErrorBoundary";
import { TopBar } from "./TopBar";

const page = <K extends string>(
  load: () => Promise<Record<K, React.ComponentType<{ experimentId: string }>>>,
  name: K,
) => lazy(async () => ({ default: (await load())[name] }));

const ExperimentList = lazy(async () => ({
  default: (await import("../experiments/ExperimentList")).ExperimentList,
}));
const NewExperiment = lazy(async () => ({
  default: (await import("../experiments/NewExperiment")).NewExperiment,
}));
const PAGES = {
  data: page(() => import("../data/DataPage"), "DataPage"),
  workflow: page(() => import("../workflow/WorkflowPage"), "WorkflowPage"),
  pipeline: page(() => import("../workflow/PipelinePage"), "PipelinePage"),
  view: page(() => import("../view/ViewPage"), "ViewPage"),
  analysis: page(() => import("../tools/AnalysisPage"), "AnalysisPage"),
};

export function App() {
  return (
    <Routes>
      <Route element={<Frame />}>
        <Route index element={<ExperimentList />} />
        <Route path="experiments" element={<Navigate to="/" replace />} />
        <Route path="experiments/new" element={<NewExperiment />} />
        <Route path="*" element={<NoPage />} />
      </Route>
      <Route path="experiments/:experimentId" element={<ExperimentFrame />}>
        <Route index element={<FirstPlace />} />
        {Object.keys(PAGES).map((name) => (
          <Route key={name} path={name} element={<Place name={name as keyof typeof PAGES} />} />
        ))}
        <Route path="*" element={<NoPage />} />
      </Route>
    </Routes>
  );
}

function Frame({ experimentId }: { experimentId?: string }) {
  const { pathname } = useLocation();
  useEffect(() => {
    // An experiment's pages name themselves once its name is known.
    if (experimentId) return;
    const made = pathname === "/experiments/new";
    document.title = `${made ? "New experiment" : "Experiments"} · TissueMAPS`;
  }, [pathname, experimentId]);
  return (
    <div className="shell">
      <a className="skip" href="#content">
        Skip to the content
      </a>
      <TopBar experimentId={experimentId} />
      <main id="content" tabIndex={-1}>
        <ErrorBoundary key={pathname}>
          <Suspense fallback={<Loading what="page" />}>
            <Outlet />
          </Suspense>
        </ErrorBoundary>
      </main>
    </div>
  );
}

function ExperimentFrame() {
  const { experimentId = "" } = useParams();
  return (
    <LiveProvider key={experimentId} experiment={experimentId}>
      <Frame experimentId={experimentId} />
    </LiveProvider>
  );
}

/** One of an experiment's five places; an experiment that isn't there says so once, for all of them. */
function Place({ name }: { name: keyof typeof PAGES }) {
  const { experimentId = "" } = useParams();
  const experiment = useExperiment(experimentId);
  useEffect(() => {
    document.title = experiment.data ? `${experiment.data.name}: ${name} · TissueMAPS` : "TissueMAPS";
    return () => {
      document.title = "TissueMAPS";
    };
  }, [experiment.data, name]);
  if (experiment.error) {
    return (
      <div className="page">
        <ProblemNote title="The experiment could not be opened" error={experiment.error} />
        <p>
          <Link to="/">To the experiments</Link>
        </p>
      </div>
    );
  }
  if (!experiment.data) return <Loading what="experiment" />;
  const Page = PAGES[name];
  return (
    <>
      <VisuallyHidden component="h1">
        {experiment.data.name}: {name}
      </VisuallyHidden>
      <Page key={experimentId} experimentId={experimentId} />
    </>
  );
}

/** Where an experiment's name leads: to the map if there is one, else to where it begins. */
function FirstPlace() {
  const { experimentId = "" } = useParams();
  const experiment = useExperiment(experimentId);
  if (experiment.isPending) return <Loading what="experiment" />;
  return <Navigate to={experiment.data?.status.sites ? "view" : "data"} replace />;
}

function NoPage() {
  return (
    <Empty order={1} title="There is no such page" action={<Link to="/">To the experiments</Link>}>
      The address may be mistyped or from an older version.
    </Empty>
  );
}
