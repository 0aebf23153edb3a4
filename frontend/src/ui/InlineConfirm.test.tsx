import { MantineProvider } from "@mantine/core";
import { render, screen } from "@testing-library/react";
import userEvent from "@testing-library/user-event";
import { expect, test } from "vitest";
import { InlineConfirm } from "./InlineConfirm";

test("whoever keeps a thing by keyboard is back at the button that asked", async () => {
  const user = userEvent.setup();
  let done = 0;
  render(
    <MantineProvider>
      <InlineConfirm
        label="Delete plate"
        question="Sure?"
        onConfirm={() => {
          done += 1;
        }}
      />
    </MantineProvider>,
  );

  await user.click(screen.getByRole("button", { name: "Delete plate" }));
  await user.keyboard("{Escape}");
  expect(document.activeElement).toBe(screen.getByRole("button", { name: "Delete plate" }));
  expect(done).toBe(0);

  await user.keyboard("{Enter}{Enter}");
  expect(done).toBe(1);
});
