/** The checkpoints of a run, and the lines that go on from them. */
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
      <table>
        <caption>Checkpoints</caption>
        <tbody>
          {found.slice(0, LISTED).map(one => (
            <tr key={one.id} data-checkpoint={one.id}>
              <th scope="row">{`batch ${formatCount(one.batches_trained)}`}</th>
              <td>{one.metric === null ? '' : formatValue(toNumber(one.metric))}</td>
              <td className="dj-faint">{formatBytes(one.size_bytes)}</td>
              <td className="dj-faint" title={formatDate(toNumber(one.created_at))}>
                {formatAgo(toNumber(one.created_at), nowS)}
              </td>
              <td className="dj-Checkpoints-id" title={`%det_restore ${one.id}`}>
                <code>{one.id}</code>
              </td>
            </tr>
          ))}
        </tbody>
      </table>
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
