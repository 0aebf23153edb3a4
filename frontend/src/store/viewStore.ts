/**
 * The store of the view. React reads it through `useView`, the renderer subscribes to it directly.
 *
 * One store per opened experiment: made by `createViewStore`, so that two experiments never share a view.
 */

import { createStore, type StoreApi } from "zustand/vanilla";
import { queryWithView } from "./address";
import {
  type ChannelView,
  INITIAL_VIEW,
  type ObjectView,
  type Position,
  type Selection,
  type ViewState,
} from "./viewState";

export interface ViewActions {
  replace: (state: ViewState) => void;
  move: (change: Partial<Position>) => void;
  changeChannel: (index: number, change: Partial<ChannelView>) => void;
  changeObjects: (type: string, change: Partial<ObjectView>) => void;
  select: (selection: Selection | null) => void;
  setSmoothing: (smoothing: boolean) => void;
}

export interface ViewStore {
  store: StoreApi<ViewState>;
  actions: ViewActions;
}

export const SMALLEST_SCALE = 1e-4;
export const LARGEST_SCALE = 64;

/** Make a store and the ways to change it. */
export function createViewStore(initial: ViewState = INITIAL_VIEW): ViewStore {
  const store = createStore<ViewState>(() => initial);
  const { setState } = store;
  const actions: ViewActions = {
    replace: (state) => setState(state, true),
    move: (change) =>
      setState(({ view }) => {
        const next = { ...view, ...change };
        next.scale = Math.min(LARGEST_SCALE, Math.max(SMALLEST_SCALE, next.scale));
        return { view: next };
      }),
    changeChannel: (index, change) =>
      setState(({ channels }) => ({
        channels: channels.map((c) => (c.index === index ? { ...c, ...change } : c)),
      })),
    changeObjects: (type, change) =>
      setState(({ objects }) => ({
        objects: objects.map((o) => (o.type === type ? { ...o, ...change } : o)),
      })),
    select: (selection) => setState({ selection }),
    setSmoothing: (smoothing) => setState({ smoothing }),
  };
  return { store, actions };
}

/**
 * Keep the address up to date with the store, at most every `wait` ms; returns how to stop.
 *
 * History is replaced and not pushed: Back leaves the page instead of undoing a hundred small moves.
 */
export function followInAddress(store: StoreApi<ViewState>, wait = 300): () => void {
  let timer: ReturnType<typeof setTimeout> | null = null;
  const write = () => {
    timer = null;
    const query = queryWithView(window.location.search, store.getState());
    window.history.replaceState(
      window.history.state,
      "",
      `${window.location.pathname}${query}${window.location.hash}`,
    );
  };
  const stop = store.subscribe(() => {
    timer ??= setTimeout(write, wait);
  });
  return () => {
    stop();
    if (timer) clearTimeout(timer);
  };
}
