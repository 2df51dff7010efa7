/** Parts of a view that follow a model on their own, because their section is not drawn again for it. */
import type { ISignal } from '@lumino/signaling';
import * as React from 'react';

/** Render again when the text that `read` returns has changed after a signal: it is cheap to read, ten times a second. */
export function useWatched(signal: ISignal<unknown, unknown>, read: () => string): void {
  const subscribe = React.useCallback(
    (onChange: () => void) => {
      signal.connect(onChange);
      return () => {
        signal.disconnect(onChange);
      };
    },
    [signal]
  );
  React.useSyncExternalStore(subscribe, read);
}
