import { expect, test } from "vitest";
import { type Answer, type QueueOptions, RequestQueue, type Wanted } from "./queue";

const wanted = (key: string): Wanted => ({ key, url: `/tiles/${key}`, kind: "image" });
const settled = () => new Promise((resolve) => setTimeout(resolve, 0));

/** A queue whose answers are given by hand, with a clock that is set by hand. */
function setUp(options: Partial<QueueOptions> = {}) {
  const asked: { key: string; signal: AbortSignal; answer: (answer: Answer) => void }[] = [];
  const loaded: string[] = [];
  const clock = { now: 0, due: [] as { at: number; run: () => void }[] };
  const queue = new RequestQueue(
    ({ key }, signal) => new Promise((answer) => asked.push({ key, signal, answer })),
    {
      limit: 2,
      renew: async () => false,
      loaded: ({ key }) => loaded.push(key),
      changed: () => {},
      now: () => clock.now,
      later: (run, ms) => clock.due.push({ at: clock.now + ms, run }),
      ...options,
    },
  );
  return { queue, asked, loaded, clock, keys: () => asked.map((a) => a.key) };
}

test("the first wanted go first, few at a time", async () => {
  const { queue, asked, keys, loaded } = setUp();

  queue.want(["a", "b", "c"].map(wanted));
  expect(keys()).toEqual(["a", "b"]);
  asked[0]?.answer({ status: "loaded", data: 1 });
  await settled();

  expect(keys()).toEqual(["a", "b", "c"]);
  expect(loaded).toEqual(["a"]);
});

test("what has come is not asked for again before the next frame", async () => {
  const { queue, asked, keys } = setUp();
  queue.want([wanted("a")]);

  asked[0]?.answer({ status: "loaded", data: 1 });
  await settled();

  expect(keys()).toEqual(["a"]);
});

test("what nobody wants any more is cancelled and makes room", () => {
  const { queue, asked, keys } = setUp();
  queue.want(["a", "b"].map(wanted));

  queue.want(["b", "c"].map(wanted));

  expect(asked[0]?.signal.aborted).toBe(true);
  expect(asked[1]?.signal.aborted).toBe(false);
  expect(keys()).toEqual(["a", "b", "c"]);
  expect(queue.counts.cancelled).toBe(1);
});

test("an answer that comes after its cancellation is dropped", async () => {
  const { queue, asked, loaded } = setUp();
  queue.want([wanted("a")]);
  queue.want([]);

  asked[0]?.answer({ status: "loaded", data: 1 });
  await settled();

  expect(loaded).toEqual([]);
});

test("an absent tile is remembered", async () => {
  const { queue, asked, keys } = setUp();
  queue.want([wanted("a")]);
  asked[0]?.answer({ status: "empty" });
  await settled();

  queue.want([wanted("a")]);

  expect(queue.isEmpty("a")).toBe(true);
  expect(keys()).toEqual(["a"]);
});

test("a failure is tried again later, each time after a longer wait, and given up in the end", async () => {
  const { queue, asked, clock } = setUp();
  const waits: number[] = [];
  for (let attempt = 0; attempt < 8; attempt++) {
    queue.want([wanted("a")]);
    expect(asked.length).toBe(attempt + 1);
    asked[attempt]?.answer({ status: "failed", reason: "the server answered 503" });
    await settled();
    queue.want([wanted("a")]);
    expect(asked.length).toBe(attempt + 1);
    const due = clock.due[attempt]?.at ?? 0;
    waits.push(due - clock.now);
    clock.now = due;
  }

  expect(waits).toEqual([...waits].sort((x, y) => x - y));
  expect(queue.isFailed("a")).toBe(true);
  expect(queue.trouble).toBe("the server answered 503");
  queue.retry();
  queue.want([wanted("a")]);
  expect(asked.length).toBe(9);
  expect(queue.trouble).toBeNull();
});

test("a refusal renews the session once for all tiles and asks again", async () => {
  let renewals = 0;
  const { queue, asked, loaded, keys } = setUp({
    renew: async () => {
      renewals++;
      return true;
    },
  });
  queue.want(["a", "b"].map(wanted));
  for (const request of asked.slice(0, 2)) request.answer({ status: "refused" });
  await settled();

  expect(renewals).toBe(1);
  expect(keys()).toEqual(["a", "b", "a", "b"]);
  for (const request of asked.slice(2)) request.answer({ status: "loaded", data: 1 });
  await settled();
  expect(loaded).toEqual(["a", "b"]);
});

test("a second refusal is a failure and not a loop", async () => {
  const { queue, asked } = setUp({ renew: async () => true });
  queue.want([wanted("a")]);
  asked[0]?.answer({ status: "refused" });
  await settled();
  asked[1]?.answer({ status: "refused" });
  await settled();

  expect(asked.length).toBe(2);
  expect(queue.trouble).toBe("Access was refused");
});

test("a fetcher that throws is a failure", async () => {
  const queue = new RequestQueue(() => Promise.reject(new Error("network down")), {
    renew: async () => false,
    loaded: () => {},
    changed: () => {},
    later: () => {},
  });

  queue.want([wanted("a")]);
  await settled();

  expect(queue.trouble).toContain("network down");
  expect(queue.inFlight).toBe(0);
});

test("a closed queue cancels and asks for nothing", () => {
  const { queue, asked, keys } = setUp();
  queue.want([wanted("a")]);

  queue.close();
  queue.want([wanted("b")]);

  expect(asked[0]?.signal.aborted).toBe(true);
  expect(keys()).toEqual(["a"]);
});
