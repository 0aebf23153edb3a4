/** Which panel belongs to which tool: a tool of the server shows up on the map if it has one here. */

import type { ComponentType } from "react";
import { HeatMapPanel } from "./HeatMapPanel";

export const TOOL_PANELS: Readonly<Record<string, ComponentType>> = {
  heatmap: HeatMapPanel,
};
