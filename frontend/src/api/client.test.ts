import { afterEach, describe, expect, it, vi } from "vitest";
import { ApiError, errorOf, getAll, localPath, withQuery } from "./client";

afterEach(() => vi.unstubAllGlobals());

describe("errors", () => {
  it("keep the server's words and what is at fault", async () => {
    const body = { code: "symlink", message: "'a' is a symbolic link", extra: { files: ["a"] } };

    const error = await errorOf(new Response(JSON.stringify(body), { status: 400 }));

    expect(error).toMatchObject({ status: 400, code: "symlink", message: body.message, extra: body.extra });
  });

  it("have words even when the answer has none", async () => {
    const error = await errorOf(new Response("<html>", { status: 502 }));

    expect(error).toBeInstanceOf(ApiError);
    expect(error.message).toContain("502");
  });
});

describe("lists", () => {
  it("are read to their end, whatever host their links name", async () => {
    const asked: string[] = [];
    const pages = [
      { results: [1, 2], next: "http://inner:8000/api/v1/wells/?cursor=x" },
      { results: [3], next: null },
    ];
    vi.stubGlobal("fetch", async (url: string) => {
      asked.push(url);
      return new Response(JSON.stringify(pages.shift()));
    });

    const all = await getAll<number>("wells/?plate=p");

    expect(all).toEqual([1, 2, 3]);
    expect(asked).toEqual(["/api/v1/wells/?plate=p&page_size=1000", "/api/v1/wells/?cursor=x"]);
  });

  it("leave parameters without a value out", () => {
    expect(withQuery("jobs/", { step: "jterator", state: null })).toBe("jobs/?step=jterator");
    expect(withQuery("jobs/", {})).toBe("jobs/");
    expect(localPath("https://host/api/v1/a/?b=1")).toBe("/api/v1/a/?b=1");
  });
});
