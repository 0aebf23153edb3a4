/** Keeps one page's failure from taking the whole application along. */

import { Component, type ReactNode } from "react";
import { ProblemNote } from "../ui/ProblemNote";

interface State {
  error: Error | null;
}

export class ErrorBoundary extends Component<{ children: ReactNode }, State> {
  override state: State = { error: null };

  static getDerivedStateFromError(error: Error): State {
    return { error };
  }

  override render(): ReactNode {
    const { error } = this.state;
    if (!error) return this.props.children;
    return (
      <div className="page">
        <ProblemNote
          title="This page stopped working"
          error={error}
          onRetry={() => window.location.reload()}
        />
      </div>
    );
  }
}
