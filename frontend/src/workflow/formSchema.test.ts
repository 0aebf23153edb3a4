import { describe, expect, it } from "vitest";
import { formSchema, serverErrors, withoutEmpty } from "./formSchema";

describe("formSchema", () => {
  it("makes one field of a value that may be missing, keeping its limits and help", () => {
    const schema = {
      title: "CorillaArguments",
      type: "object" as const,
      properties: {
        sigma: {
          anyOf: [{ type: "number" as const, minimum: 0 }, { type: "null" as const }],
          default: null,
          title: "Sigma",
          description: "in pixels",
        },
      },
    };

    const made = formSchema(schema);

    expect(made).toEqual({
      type: "object",
      properties: { sigma: { type: "number", minimum: 0, title: "Sigma", description: "in pixels" } },
    });
  });

  it("keeps a real choice", () => {
    const choice = { anyOf: [{ type: "number" as const }, { type: "string" as const }], title: "Either" };

    const made = formSchema({ type: "object", properties: { choice } });

    expect(made.properties?.choice).toEqual(choice);
  });
});

describe("withoutEmpty", () => {
  it("keeps zero, false and empty text", () => {
    expect(withoutEmpty({ a: 0, b: false, c: "", d: null, e: undefined })).toEqual({ a: 0, b: false, c: "" });
  });
});

describe("serverErrors", () => {
  it("puts each complaint at its field", () => {
    const faults = [
      { argument: "sigma", message: "too large" },
      { argument: "nuclei.channel", message: "unknown" },
    ];

    expect(serverErrors(faults)).toEqual({
      sigma: { __errors: ["too large"] },
      nuclei: { channel: { __errors: ["unknown"] } },
    });
  });
});
