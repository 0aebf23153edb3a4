/** Tool results as layers of the map. */

import { useEffect, useRef } from "react";
import type { ViewStore } from "../store/viewStore";
import type { ToolResult } from "./requests";

/** Colour a result's objects by it, over the range that the tool proposes. */
export function showResult(view: ViewStore, result: ToolResult): void {
  const { low = 0, high = 1 } = result.info;
  view.actions.changeObjects(result.object_type.name, {
    colour: { toolResult: result.id },
    low,
    high,
    visible: true,
  });
}

const PARAMETER = "result";

/** Show the result that a link names, once; afterwards the view itself says what is shown. */
export function useLinkedResult(view: ViewStore, results: readonly ToolResult[]): void {
  const linked = useRef(new URLSearchParams(window.location.search).get(PARAMETER));
  useEffect(() => {
    const result = results.find((r) => r.id === linked.current);
    if (result?.state !== "succeeded") return;
    linked.current = null;
    const url = new URL(window.location.href);
    url.searchParams.delete(PARAMETER);
    window.history.replaceState(window.history.state, "", url);
    showResult(view, result);
  }, [view, results]);
}
