/** Dark, dense, and grey: colour is kept for data and states. */

import { type CSSVariablesResolver, createTheme, type MantineColorsTuple } from "@mantine/core";

const dark: MantineColorsTuple = [
  "#d5d7db",
  "#b9bcc2",
  "#a2a6ad",
  "#7c8088",
  "#43464c",
  "#34373c",
  "#2a2c30",
  "#1b1c1f",
  "#151618",
  "#0f1011",
];

const small = { defaultProps: { size: "xs" } };

export const theme = createTheme({
  colors: { dark },
  primaryColor: "teal",
  primaryShade: { light: 9, dark: 9 },
  fontFamily: "Inter, system-ui, -apple-system, 'Segoe UI', Roboto, sans-serif",
  fontFamilyMonospace: "ui-monospace, 'SF Mono', Menlo, Consolas, monospace",
  defaultRadius: "sm",
  headings: { fontWeight: "600", sizes: { h1: { fontSize: "1.25rem" }, h2: { fontSize: "1rem" } } },
  components: {
    Button: small,
    TextInput: small,
    Textarea: small,
    NumberInput: small,
    Select: small,
    NativeSelect: small,
    Checkbox: small,
    PasswordInput: small,
    SegmentedControl: small,
    Switch: small,
    Table: { defaultProps: { verticalSpacing: 5, horizontalSpacing: "xs", fz: "sm" } },
  },
});

// Mantine's own dimmed and error greys miss the contrast that small text needs on these backgrounds.
export const resolver: CSSVariablesResolver = () => ({
  variables: {},
  light: {},
  dark: {
    "--mantine-color-dimmed": dark[2],
    "--mantine-color-placeholder": "#989ca4",
    "--mantine-color-error": "#ff8787",
    "--mantine-color-anchor": "#63e6be",
  },
});
