/** The object types of the map. */

import { Text } from "@mantine/core";
import { outdatedTypes } from "./buildScene";
import { useMap, useView } from "./context";
import { ObjectRow } from "./ObjectRow";
import classes from "./view.module.css";

export function ObjectPanel() {
  const { mosaics, sets } = useMap();
  const outdated = outdatedTypes(mosaics, sets);
  const objects = useView((state) => state.objects);
  return (
    <section className={classes.section} aria-labelledby="objects-heading">
      <div className={classes.heading}>
        <h2 id="objects-heading" style={{ all: "unset" }}>
          Objects
        </h2>
      </div>
      {!sets.length && (
        <Text className={classes.dim}>
          No objects yet: the workflow's step “jterator” finds and measures them.
        </Text>
      )}
      {outdated.length > 0 && (
        <Text className={classes.dim} role="status">
          {outdated.join(", ")}: found before the plate was laid out anew, so not shown. Run “jterator” again.
        </Text>
      )}
      {objects.map((object) => (
        <ObjectRow key={object.type} object={object} />
      ))}
    </section>
  );
}
