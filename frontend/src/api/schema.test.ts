// @vitest-environment node
import { readFileSync } from "node:fs";
import openapiTS, { astToString } from "openapi-typescript";
import { expect, it } from "vitest";

it("the API's types are those of its description (npm run schema)", async () => {
  const description = new URL("../../../docs/openapi.yaml", import.meta.url);
  const kept = readFileSync(new URL("./schema.ts", import.meta.url), "utf8");

  const made = astToString(await openapiTS(description));

  // The kept file begins with the generator's own note.
  expect(kept.endsWith(made)).toBe(true);
});
