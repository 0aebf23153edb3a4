/** Tokens for scripts and programs: made here, shown once, taken back here. */

import {
  Alert,
  Button,
  Code,
  CopyButton,
  Group,
  NativeSelect,
  PasswordInput,
  Stack,
  Text,
  TextInput,
} from "@mantine/core";
import { useMutation, useQueryClient } from "@tanstack/react-query";
import { type FormEvent, useState } from "react";
import { remove, sendJson } from "../api/client";
import { useMe, useTokens } from "../api/queries";
import type { Token } from "../api/types";
import { formatDate } from "../ui/format";
import { InlineConfirm } from "../ui/InlineConfirm";
import { ProblemNote } from "../ui/ProblemNote";
import { Loading, SidePanel } from "../ui/parts";

export function TokensPanel({ onClose }: { onClose: () => void }) {
  const queries = useQueryClient();
  const tokens = useTokens();
  const [made, setMade] = useState<Token | null>(null);
  const renew = () => queries.invalidateQueries({ queryKey: ["tokens"] });
  const revoke = useMutation({ mutationFn: (id: string) => remove(`auth/tokens/${id}/`), onSuccess: renew });
  return (
    <SidePanel title="API tokens" onClose={onClose}>
      <Stack gap="md">
        <Text size="sm" c="dimmed">
          A token lets a script do what you can do. Send it as <Code>Authorization: Bearer …</Code>
        </Text>
        {made?.token && <NewToken token={made} />}
        <TokenForm
          onMade={(token) => {
            setMade(token);
            void renew();
          }}
        />
        <ProblemNote title="The token could not be revoked" error={revoke.error} />
        {tokens.isPending && <Loading what="tokens" />}
        <ProblemNote title="The tokens could not be read" error={tokens.error} />
        {tokens.data?.length === 0 && <Text size="sm">You have no tokens.</Text>}
        {tokens.data?.map((token) => (
          <Group key={token.id} justify="space-between" wrap="nowrap">
            <div>
              <Text size="sm">{token.name || "without a name"}</Text>
              <Text size="xs" c="dimmed">
                {token.scope === "read" ? "may read" : "may read and write"} ·{" "}
                {token.expires_at ? `until ${formatDate(token.expires_at)}` : "does not expire"}
              </Text>
            </div>
            <InlineConfirm
              label={`Revoke ${token.name}`}
              question="Programs that use it stop working."
              onConfirm={() => revoke.mutate(token.id)}
            />
          </Group>
        ))}
      </Stack>
    </SidePanel>
  );
}

function NewToken({ token }: { token: Token }) {
  return (
    <Alert color="teal" variant="outline" title="Copy it now: it is not shown again" role="status">
      <Code block style={{ overflowWrap: "anywhere", whiteSpace: "pre-wrap" }}>
        {token.token}
      </Code>
      <CopyButton value={token.token ?? ""}>
        {({ copied, copy }) => (
          <Button mt="xs" variant="default" onClick={copy}>
            {copied ? "Copied" : "Copy token"}
          </Button>
        )}
      </CopyButton>
    </Alert>
  );
}

function TokenForm({ onMade }: { onMade: (token: Token) => void }) {
  const { data: me } = useMe();
  const [name, setName] = useState("");
  const [password, setPassword] = useState("");
  const [scope, setScope] = useState("read");
  const [days, setDays] = useState("30");
  const make = useMutation({
    mutationFn: () =>
      sendJson<Token>("POST", "auth/tokens/", {
        username: me?.username,
        password,
        name: name.trim(),
        scope,
        expires_days: Number(days),
      }),
    onSuccess: (token) => {
      setName("");
      setPassword("");
      onMade(token);
    },
  });
  const submit = (event: FormEvent) => {
    event.preventDefault();
    make.mutate();
  };
  return (
    <form onSubmit={submit}>
      <Stack gap="xs">
        <TextInput
          label="Name"
          description="What uses it, so that you know later"
          required
          maxLength={120}
          value={name}
          onChange={(event) => setName(event.currentTarget.value)}
        />
        <Group grow>
          <NativeSelect
            label="It may"
            value={scope}
            onChange={(event) => setScope(event.currentTarget.value)}
            data={[
              { value: "read", label: "read" },
              { value: "write", label: "read and write" },
            ]}
          />
          <NativeSelect
            label="For"
            value={days}
            onChange={(event) => setDays(event.currentTarget.value)}
            data={["1", "7", "30", "90", "366"].map((value) => ({ value, label: `${value} days` }))}
          />
        </Group>
        <PasswordInput
          label="Your password"
          autoComplete="current-password"
          required
          value={password}
          onChange={(event) => setPassword(event.currentTarget.value)}
        />
        <ProblemNote title="No token was made" error={make.error} />
        <Button type="submit" loading={make.isPending} style={{ alignSelf: "start" }}>
          Make token
        </Button>
      </Stack>
    </form>
  );
}
