/** Who one is, the tokens of one's programs, the API's documentation, logging out. */

import { Avatar, Menu, Text, UnstyledButton } from "@mantine/core";
import { IconBook2, IconKey, IconLogout, IconSettings } from "@tabler/icons-react";
import { useState } from "react";
import { csrfToken } from "../api/client";
import { useMe } from "../api/queries";
import { TokensPanel } from "./TokensPanel";

/** Log out by Django's own form, so that the session ends on the server. */
function logOut(): void {
  const form = document.createElement("form");
  form.method = "post";
  form.action = "/logout/";
  const field = document.createElement("input");
  field.type = "hidden";
  field.name = "csrfmiddlewaretoken";
  field.value = csrfToken();
  form.append(field);
  document.body.append(form);
  form.submit();
}

export function UserMenu() {
  const { data: me } = useMe();
  const [tokens, setTokens] = useState(false);
  const name = me?.username ?? "";
  const initials = name.slice(0, 2).toUpperCase();
  return (
    <>
      <Menu
        position="bottom-end"
        width={220}
        withinPortal={false}
        withInitialFocusPlaceholder={false}
        transitionProps={{ duration: 0 }}
      >
        <Menu.Target>
          <UnstyledButton aria-label={`${initials}, user menu of ${name}`}>
            <Avatar size={28} radius="xl" color="gray" variant="filled" alt="">
              <Text span fz={11} fw={700} c="white" aria-hidden>
                {initials}
              </Text>
            </Avatar>
          </UnstyledButton>
        </Menu.Target>
        <Menu.Dropdown>
          <Menu.Label>{me ? `Signed in as ${me.username}` : "…"}</Menu.Label>
          <Menu.Item leftSection={<IconKey size={15} />} onClick={() => setTokens(true)}>
            API tokens
          </Menu.Item>
          <Menu.Item leftSection={<IconBook2 size={15} />} component="a" href="/api/v1/docs/">
            API documentation
          </Menu.Item>
          {me?.is_staff && (
            <Menu.Item leftSection={<IconSettings size={15} />} component="a" href="/admin/">
              Administration
            </Menu.Item>
          )}
          <Menu.Divider />
          <Menu.Item leftSection={<IconLogout size={15} />} onClick={logOut}>
            Log out
          </Menu.Item>
        </Menu.Dropdown>
      </Menu>
      {tokens && <TokensPanel onClose={() => setTokens(false)} />}
    </>
  );
}
