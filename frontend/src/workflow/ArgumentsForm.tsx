/** A step's arguments as a form made of its JSON Schema, with help and errors at each field. */

import Form from "@rjsf/mantine";
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
