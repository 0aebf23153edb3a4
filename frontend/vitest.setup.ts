/** jsdom lacks three browser interfaces that Mantine asks for at start. */

class NoResizes {
  observe(): void {}
  unobserve(): void {}
  disconnect(): void {}
}

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
