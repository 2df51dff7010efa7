/** The checkpoints of a run, each with a button that restores it, and the line that continues the run. */
import * as React from 'react';

import { formatBytes, formatCount, formatValue, toNumber } from '../../live/format';
import { continueLine, restoreLine } from '../../live/load';
import type { CheckpointRecord, RunRecord } from '../../protocol';
import type { PanelModel } from '../model/panel';
import { confirmLoss, RestoreControl } from './restore';
import { Suggestion } from './suggestion';
import { formatAgo, formatDate } from './time';
import { useWatched } from './watched';

/** So many are listed at first, and so many more at a time. */
const LISTED = 5;
const MORE = 500;

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
  return found === null || found.length === 0 ? null : (
    <Listed model={model} run={run} nowS={nowS} found={found} />
  );
}

interface ListedProps {
  model: PanelModel;
  run: RunRecord;
  nowS: number;
  found: readonly CheckpointRecord[];
}

function Listed({ model, run, nowS, found }: ListedProps): JSX.Element {
  const { restoring } = model;
  const { pending, refusal, restored } = restoring;
  const [count, setCount] = React.useState(LISTED);
  // the section of the runs is not drawn again for each state of the session
  useWatched(restoring.changed, () =>
    JSON.stringify([
      found.slice(0, 1).map(one => restoring.offer(run, one, found)),
      restoring.pending,
      restoring.refusal?.error.message,
      restoring.restored
    ])
  );
  const older = Math.min(found.length - count, MORE);

  return (
    <section className="dj-Checkpoints" aria-label="Checkpoints">
      <h4>Checkpoints</h4>
      <ul>
        {found.slice(0, count).map(one => (
          <li key={one.id} data-checkpoint={one.id}>
            <Facts checkpoint={one} nowS={nowS} />
            <RestoreControl
              checkpoint={one}
              offer={restoring.offer(run, one, found)}
              isPending={pending === one.id}
              restored={restored?.target.id === one.id ? restored : null}
              refusal={refusal?.checkpoint === one.id ? refusal.error : null}
              onRestore={() => void restoring.restore(one, confirmLoss)}
            />
          </li>
        ))}
      </ul>
      {older > 0 && (
        <button type="button" className="dj-LinkButton" onClick={() => setCount(count + older)}>
          {`Show ${formatCount(older)} older`}
        </button>
      )}
      {older <= 0 && count > LISTED && (
        <button type="button" className="dj-LinkButton" onClick={() => setCount(LISTED)}>
          Show the newest only
        </button>
      )}
      {run.recipe !== null && (
        <>
          <p className="dj-faint">To continue the run from its latest checkpoint:</p>
          <Suggestion notebook={model.notebook}>{continueLine(run.id)}</Suggestion>
        </>
      )}
    </section>
  );
}

function Facts({ checkpoint, nowS }: { checkpoint: CheckpointRecord; nowS: number }): JSX.Element {
  const { id, batches_trained, metric, size_bytes, created_at } = checkpoint;
  const created = toNumber(created_at);
  return (
    <>
      <span className="dj-Checkpoint-facts">
        <span>{`batch ${formatCount(batches_trained)}`}</span>
        {metric !== null && <b title="The metric that ranks">{formatValue(toNumber(metric))}</b>}
        <span className="dj-faint dj-Checkpoint-when" title={formatDate(created)}>
          {`${formatBytes(size_bytes)} · ${formatAgo(created, nowS)}`}
        </span>
      </span>
      {/* the ids of a run begin alike, so what does not fit is cut there */}
      <code className="dj-Checkpoint-id" title={restoreLine(id)}>
        <bdi>{id}</bdi>
      </code>
    </>
  );
}
