/** The Data page: plates and acquisitions on the left, the chosen acquisition on the right. */

import { Stack } from "@mantine/core";
import { useSearchParams } from "react-router";
import { useAcquisitions, useExperiment, usePlates } from "../api/queries";
import { ExperimentDetails } from "../experiments/ExperimentDetails";
import { ProblemNote } from "../ui/ProblemNote";
import { Empty, Loading } from "../ui/parts";
import { AcquisitionPanel } from "./AcquisitionPanel";
import classes from "./data.module.css";
import { PlateList } from "./PlateList";

export function DataPage({ experimentId }: { experimentId: string }) {
  const { data: experiment } = useExperiment(experimentId);
  const plates = usePlates(experimentId);
  const acquisitions = useAcquisitions(experimentId);
  const [search, setSearch] = useSearchParams();
  const error = plates.error ?? acquisitions.error;
  if (error) {
    const retry = () => void Promise.all([plates.refetch(), acquisitions.refetch()]);
    return (
      <div className="page">
        <ProblemNote title="The plates could not be read" error={error} onRetry={retry} />
      </div>
    );
  }
  if (!experiment || !plates.data || !acquisitions.data) return <Loading what="plates" />;
  const wanted = search.get("acquisition");
  const chosen = acquisitions.data.find(({ id }) => id === wanted) ?? acquisitions.data[0];
  return (
    <div className={`panes ${classes.layout}`}>
      <Stack gap="xl">
        <PlateList
          experiment={experiment}
          plates={plates.data}
          acquisitions={acquisitions.data}
          chosen={chosen?.id ?? null}
          onChoose={(acquisition) => setSearch({ acquisition }, { replace: true })}
        />
        <ExperimentDetails key={experiment.updated_at} experiment={experiment} />
      </Stack>
      <div>
        {chosen ? (
          <AcquisitionPanel key={chosen.id} experiment={experiment} acquisition={chosen} />
        ) : (
          <Empty title={plates.data.length ? "No acquisition yet" : "No plate yet"}>
            {plates.data.length
              ? "An acquisition is one run of the microscope over a plate. Add one at the left, then give it its files."
              : "Add a plate at the left, then an acquisition of it, then the files that the microscope wrote."}
          </Empty>
        )}
      </div>
    </div>
  );
}
