import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { contentRange, encodedPath, PIECE, sendFile } from "./pieces";

interface Call {
  url: string;
  method: string;
  range: string | null;
  size: number;
}

/** A file of a size without its bytes. */
function sized(size: number): File {
  const file = new File([], "x.tif");
  const slice = (from: number, to: number) => ({ size: to - from }) as Blob;
  Object.defineProperties(file, { size: { value: size }, slice: { value: slice } });
  return file;
}

const answer = (status: number, body: unknown) =>
  new Response(JSON.stringify(body), { status, headers: { "Content-Type": "application/json" } });

describe("sendFile", () => {
  let calls: Call[];
  let answers: (() => Response | Promise<never>)[];

  beforeEach(() => {
    vi.useFakeTimers();
    calls = [];
    answers = [];
    vi.stubGlobal("fetch", async (url: string, options: RequestInit) => {
      const headers = new Headers(options.headers);
      const body = options.body as Blob | undefined;
      const method = options.method ?? "GET";
      calls.push({ url, method, range: headers.get("Content-Range"), size: body?.size ?? 0 });
      const next = answers.shift();
      if (!next) throw new Error("an unexpected request");
      return next();
    });
  });

  afterEach(() => {
    vi.unstubAllGlobals();
    vi.useRealTimers();
  });

  const send = async (size: number, sent: (bytes: number) => void = () => undefined) => {
    const work = sendFile(
      "files/",
      { path: "a b/x#1.tif", file: sized(size) },
      new AbortController().signal,
      sent,
    );
    const outcome = work.then(
      () => null,
      (error: Error) => error,
    );
    await vi.runAllTimersAsync();
    return outcome;
  };

  it("sends a small file in one request, its name encoded", async () => {
    answers = [() => answer(200, { received: 10, status: "complete" })];

    const failure = await send(10);

    expect(failure).toBeNull();
    expect(calls).toEqual([
      { url: "/api/v1/files/a%20b/x%231.tif/", method: "PUT", range: "bytes 0-9/10", size: 10 },
    ]);
  });

  it("sends an empty file", async () => {
    answers = [() => answer(200, { received: 0, status: "complete" })];

    await send(0);

    expect(calls[0]?.range).toBe("bytes */0");
  });

  it("asks how much of a large file is there and goes on from it", async () => {
    const sent = vi.fn();
    const total = 2 * PIECE + 5;
    answers = [
      () => answer(200, { received: PIECE, status: "uploading" }),
      () => answer(200, { received: 2 * PIECE, status: "uploading" }),
      () => answer(200, { received: total, status: "complete" }),
    ];

    await send(total, sent);

    expect(calls.map(({ range }) => range)).toEqual([
      null,
      `bytes ${PIECE}-${2 * PIECE - 1}/${total}`,
      `bytes ${2 * PIECE}-${total - 1}/${total}`,
    ]);
    expect(sent).toHaveBeenLastCalledWith(total);
  });

  it("goes where the server expects the next byte", async () => {
    answers = [
      () => answer(409, { code: "wrong_offset", message: "go on from 4", extra: { expected: 4 } }),
      () => answer(200, { received: 10, status: "complete" }),
    ];

    const failure = await send(10);

    expect(failure).toBeNull();
    expect(calls[1]?.range).toBe("bytes 4-9/10");
  });

  it("tries again after trouble on the way, but not after a refusal", async () => {
    answers = [
      () => answer(503, {}),
      () => Promise.reject(new TypeError("network")),
      () => answer(409, { code: "file_exists", message: "'x' is there already, with other bytes" }),
    ];

    const failure = await send(10);

    expect(calls).toHaveLength(3);
    expect(failure?.message).toBe("'x' is there already, with other bytes");
  });
});

describe("paths and ranges", () => {
  it("keeps slashes and encodes the rest", () => {
    expect(encodedPath("TimePoint_1/50 %.tif")).toBe("TimePoint_1/50%20%25.tif");
  });

  it("names the last byte, not the one after it", () => {
    expect(contentRange(0, 16, 32)).toBe("bytes 0-15/32");
  });
});
