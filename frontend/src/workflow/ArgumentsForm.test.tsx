import { MantineProvider } from "@mantine/core";
import { fireEvent, render, screen } from "@testing-library/react";
import { describe, expect, it, vi } from "vitest";
import type { Entry } from "../api/types";
import { ArgumentsForm } from "./ArgumentsForm";

const step: Entry = {
  name: "illuminati",
  title: "Pyramid",
  help: "",
  version: 1,
  schema: {
    title: "Arguments",
    type: "object",
    properties: {
      correct: { type: "boolean", title: "Correct illumination", default: true },
      sites: {
        type: "integer",
        title: "Sites per job",
        description: "how many one job does",
        minimum: 1,
        default: 4,
      },
      method: { type: "string", title: "Method", enum: ["otsu", "fixed"], default: "otsu" },
      channel: { anyOf: [{ type: "string" }, { type: "null" }], title: "Channel", default: null },
    },
  },
};

function shown(value: Record<string, unknown>, faults?: unknown) {
  const onChange = vi.fn();
  render(
    <MantineProvider>
      <ArgumentsForm step={step} value={value} disabled={false} faults={faults} onChange={onChange} />
    </MantineProvider>,
  );
  return onChange;
}

describe("ArgumentsForm", () => {
  it("shows a labelled field with help for every argument", () => {
    shown({ correct: true, sites: 4, method: "otsu", channel: null });

    expect(screen.getByLabelText(/Correct illumination/)).toBeDefined();
    expect(screen.getByLabelText(/Sites per job/)).toHaveProperty("value", "4");
    expect(screen.getByText("how many one job does")).toBeDefined();
    expect(screen.getByLabelText(/Channel/)).toBeDefined();
  });

  it("tells what was changed", () => {
    const onChange = shown({ correct: true, sites: 4, method: "otsu", channel: null });

    fireEvent.change(screen.getByLabelText(/Channel/), { target: { value: "DAPI" } });

    expect(onChange).toHaveBeenLastCalledWith({ correct: true, sites: 4, method: "otsu", channel: "DAPI" });
  });

  it("shows what the server says of an argument at its field", async () => {
    shown({ sites: 4 }, [{ argument: "sites", message: "there are only 2" }]);

    expect(await screen.findByText("there are only 2")).toBeDefined();
  });
});
