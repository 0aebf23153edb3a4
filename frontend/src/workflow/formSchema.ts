/** JSON Schemas of argument models, made fit for forms. */

import type { ErrorSchema, RJSFSchema } from "@rjsf/utils";

type Schema = Record<string, unknown>;

function isNull(schema: unknown): boolean {
  return (schema as Schema | undefined)?.type === "null";
}

/** "Something or nothing" becomes one field that may stay empty, instead of a choice of two forms. */
function withoutNull(schema: Schema): Schema {
  const options = schema.anyOf;
  if (!Array.isArray(options) || !options.some(isNull)) return schema;
  const rest = options.filter((option) => !isNull(option));
  const { anyOf: _anyOf, default: fallback, ...outer } = schema;
  const kept = fallback === null || fallback === undefined ? outer : { ...outer, default: fallback };
  return rest.length === 1 ? { ...(rest[0] as Schema), ...kept } : { ...kept, anyOf: rest };
}

/** Return a schema without alternatives to nothing and with a title for every field. */
export function formSchema(schema: RJSFSchema): RJSFSchema {
  const walk = (value: unknown): unknown => {
    if (Array.isArray(value)) return value.map(walk);
    if (!value || typeof value !== "object") return value;
    const changed = withoutNull(value as Schema);
    return Object.fromEntries(Object.entries(changed).map(([key, inner]) => [key, walk(inner)]));
  };
  // The model's own name and docstring are for programmers; the page says the step's title and help.
  const { title: _title, description: _description, ...fields } = walk(schema) as RJSFSchema;
  return fields;
}

/** Return arguments without empty fields, so that the step's own defaults hold for them. */
export function withoutEmpty(data: Record<string, unknown>): Record<string, unknown> {
  return Object.fromEntries(
    Object.entries(data).filter(([, value]) => value !== undefined && value !== null),
  );
}

/** Put the server's complaints ("smoothing.sigma": "…") at the fields they are about. */
export function serverErrors(faults: unknown): ErrorSchema {
  const root: Record<string, unknown> = {};
  if (!Array.isArray(faults)) return root as ErrorSchema;
  for (const { argument, message } of faults as { argument: string; message: string }[]) {
    let place = root;
    for (const part of argument.split(".")) {
      place[part] ??= {};
      place = place[part] as Record<string, unknown>;
    }
    place.__errors = [...((place.__errors as string[]) ?? []), message];
  }
  return root as ErrorSchema;
}
