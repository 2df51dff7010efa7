/** The checkpoints of a run, and the line that continues it. */
import * as React from 'react';

import { formatBytes, formatCount, formatValue, toNumber } from '../../live/format';
import { continueLine } from '../../live/load';
import type { CheckpointRecord, RunRecord } from '../../protocol';
import type { PanelModel } from '../model/panel';
import { Code } from './state';
import { formatAgo, formatDate } from './time';

/** So many are listed; older ones are counted. */
const LISTED = 5;

/** The checkpoints of a run, newest first; null until they are known. They are asked for again when the run changes. */
export function useCheckpoints(model: PanelModel, run: RunRecord | null): readonly CheckpointRecord[] | null {
  const [known, setKnown] = React.useState<{ of: string; found: readonly CheckpointRecord[] } | null>(null);
  const id = run?.id ?? null;
  const updated = run?.state === 'running' ? null : (run?.updated_at ?? null);
  React.useEffect(() => {
    let isCurrent = true;
    if (id !== null) {
      model.api.checkpoints(id).then(
        found => isCurrent && setKnown({ of: id, found }),
        // the rest of the run is shown without them
        () => isCurrent && setKnown(null)
      );
    }
    return () => {
      isCurrent = false;
    };
  }, [model, id, updated]);
  return known !== null && known.of === id ? known.found : null;
}

export function Checkpoints({
  model,
  run,
  nowS
}: {
  model: PanelModel;
  run: RunRecord;
  nowS: number;
}): JSX.Element | null {
  const found = useCheckpoints(model, run);
  if (found === null || found.length === 0) {
    return null;
  }
  const older = found.length - LISTED;
  return (
    <section className="dj-Checkpoints" aria-label="Checkpoints">
      <h4>Checkpoints</h4>
      <ul>
        {found.slice(0, LISTED).map(one => (
          <li key={one.id} data-checkpoint={one.id}>
            <span className="dj-Checkpoints-line">
              <span>{`batch ${formatCount(one.batches_trained)}`}</span>
              {one.metric !== null && (
                <b title="The metric that ranks">{formatValue(toNumber(one.metric))}</b>
              )}
              <span className="dj-faint" title={formatDate(toNumber(one.created_at))}>
                {`${formatBytes(one.size_bytes)} · ${formatAgo(toNumber(one.created_at), nowS)}`}
              </span>
            </span>
            <code title={`%det_restore ${one.id}`}>{one.id}</code>
          </li>
        ))}
      </ul>
      {older > 0 && <p className="dj-faint">{`and ${formatCount(older)} older`}</p>}
      {run.recipe !== null && (
        <>
          <p className="dj-faint">To continue the run from its latest checkpoint:</p>
          <Code>{continueLine(run.id)}</Code>
        </>
      )}
    </section>
  );
}
