/** The tools that work on the map. */

import { Accordion } from "@mantine/core";
import { useRegistry } from "../api/queries";
import { TOOL_PANELS } from "./toolPanels";
import classes from "./view.module.css";

export function ToolPanels() {
  const { data: tools = [] } = useRegistry("tools");
  const shown = tools.filter((tool) => tool.name in TOOL_PANELS);
  if (!shown.length) return null;
  return (
    <section className={classes.section} aria-labelledby="tools-heading">
      <div className={classes.heading}>
        <h2 id="tools-heading" style={{ all: "unset" }}>
          Tools
        </h2>
      </div>
      <Accordion variant="contained" chevronPosition="left" order={3}>
        {shown.map((tool) => {
          const Panel = TOOL_PANELS[tool.name];
          return (
            <Accordion.Item key={tool.name} value={tool.name}>
              <Accordion.Control title={tool.help} fz="sm">
                {tool.title}
              </Accordion.Control>
              <Accordion.Panel>{Panel && <Panel />}</Accordion.Panel>
            </Accordion.Item>
          );
        })}
      </Accordion>
    </section>
  );
}
