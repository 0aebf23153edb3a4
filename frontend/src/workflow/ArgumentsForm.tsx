/** A step's arguments as a form made of its JSON Schema, with help and errors at each field. */

import { Text } from "@mantine/core";
import Form from "@rjsf/mantine";
import type { FieldErrorProps } from "@rjsf/utils";
import validator from "@rjsf/validator-ajv8";
import { useMemo } from "react";
import type { Entry } from "../api/types";
import { formSchema, serverErrors, withoutEmpty } from "./formSchema";
import classes from "./workflow.module.css";

export interface ArgumentsFormProps {
  step: Entry;
  value: Record<string, unknown>;
  disabled: boolean;
  /** What the server said of these arguments: `[{argument, message}]`. */
  faults: unknown;
  onChange: (value: Record<string, unknown>) => void;
}

/** Errors of lists and groups of fields; single fields show their own. */
function GroupErrors({ errors, schema }: FieldErrorProps) {
  if (!errors?.length || (schema.type !== "array" && schema.type !== "object")) return null;
  return (
    <Text size="xs" c="red.4">
      {errors.map((error) => String(error)).join(" ")}
    </Text>
  );
}

const TEMPLATES = { FieldErrorTemplate: GroupErrors };
const UI = { "ui:submitButtonOptions": { norender: true } };

export function ArgumentsForm({ step, value, disabled, faults, onChange }: ArgumentsFormProps) {
  const schema = useMemo(() => formSchema(step.schema), [step.schema]);
  const extraErrors = useMemo(() => serverErrors(faults), [faults]);
  const formData = useMemo(() => withoutEmpty(value), [value]);
  if (!Object.keys(schema.properties ?? {}).length) {
    return <p className={classes.hint}>This step has no arguments.</p>;
  }
  return (
    <div className={classes.form}>
      <Form
        tagName="div"
        idPrefix={`step-${step.name}`}
        schema={schema}
        uiSchema={UI}
        templates={TEMPLATES}
        formData={formData}
        validator={validator}
        disabled={disabled}
        liveValidate
        showErrorList={false}
        noHtml5Validate
        extraErrors={extraErrors}
        onChange={({ formData: changed }) => onChange(withoutEmpty(changed ?? {}))}
      />
    </div>
  );
}
