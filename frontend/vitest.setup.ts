/** jsdom lacks three browser interfaces that Mantine asks for at start; each test starts with an empty page. */

import { cleanup } from "@testing-library/react";
import { afterEach } from "vitest";

afterEach(cleanup);

class NoResizes {
  observe(): void {}
  unobserve(): void {}
  disconnect(): void {}
}

// Tests of tools of the build run without a page.
if (typeof window !== "undefined") {
  window.matchMedia = (query: string): MediaQueryList => ({
    matches: false,
    media: query,
    onchange: null,
    addListener: () => {},
    removeListener: () => {},
    addEventListener: () => {},
    removeEventListener: () => {},
    dispatchEvent: () => false,
  });
  window.ResizeObserver = NoResizes;
  window.HTMLElement.prototype.scrollIntoView = () => {};
}
