/** The checkpoints of a run, each with a button that restores it, and the line that continues the run. */
import * as React from 'react';

import { formatBytes, formatCount, formatValue, toNumber } from '../../live/format';
import { continueLine, restoreLine } from '../../live/load';
import type { CheckpointRecord, RunRecord } from '../../protocol';
import type { PanelModel } from '../model/panel';
import type { Restored } from '../model/restoring';
import { isRestoring, offerOf, refusalOf, restore, restoredText } from '../model/restoring';
import { confirmLoss, copy, RestoreButton, RestoreLines } from './restore';
import { Code, Message, withCode } from './state';
import { formatAgo, formatDate } from './time';
import { useWatched } from './watched';

/** So many are listed at first. */
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
  const { session } = model;
  const [isLong, setLong] = React.useState(false);
  const [shownLines, setShownLines] = React.useState<string | null>(null);
  const [restored, setRestored] = React.useState<Restored | null>(null);
  const offers = found.map(one => offerOf(session, run, one, found));
  // the section of the runs is not drawn again for each state of the session
  useWatched(session.changed, () => {
    const first = found[0];
    const offer = first === undefined ? null : offerOf(session, run, first, found);
    return JSON.stringify([offer, session.underWay, refusalOf(session, found)?.message]);
  });
  const refusal = refusalOf(session, found);
  const older = found.length - LISTED;

  const onRestore = async (checkpoint: CheckpointRecord): Promise<void> => {
    setRestored(null);
    setRestored(await restore(session, model.api, checkpoint, found, confirmLoss));
  };
  const onLines = (checkpoint: CheckpointRecord, lines: string): void => {
    setShownLines(shownLines === checkpoint.id ? null : checkpoint.id);
    copy(lines);
  };

  return (
    <section className="dj-Checkpoints" aria-label="Checkpoints">
      <h4>Checkpoints</h4>
      <div role="status" className="dj-Checkpoints-said">
        {restored !== null && withCode(restoredText(restored))}
      </div>
      {refusal !== null && (
        <div className="dj-Refusal" role="alert">
          <Message error={refusal} />
        </div>
      )}
      <ul>
        {found.slice(0, isLong ? undefined : LISTED).map((one, index) => {
          const offer = offers[index] ?? null;
          const linesId = offer?.how === 'lines' && shownLines === one.id ? `dj-lines-${one.id}` : null;
          return (
            <li key={one.id} data-checkpoint={one.id}>
              <Facts checkpoint={one} nowS={nowS} />
              {offer !== null && (
                <RestoreButton
                  checkpoint={one}
                  offer={offer}
                  isPending={isRestoring(session, one)}
                  linesId={linesId}
                  onRestore={() => void onRestore(one)}
                  onLines={() => offer.how === 'lines' && onLines(one, offer.lines)}
                />
              )}
              {offer?.how === 'lines' && linesId !== null && (
                <RestoreLines id={linesId} lines={offer.lines} />
              )}
            </li>
          );
        })}
      </ul>
      {older > 0 && (
        <button
          type="button"
          className="dj-LinkButton"
          aria-expanded={isLong}
          onClick={() => setLong(!isLong)}
        >
          {isLong ? 'Show the newest only' : `Show ${formatCount(older)} older`}
        </button>
      )}
      {run.recipe !== null && (
        <>
          <p className="dj-faint">To continue the run from its latest checkpoint:</p>
          <Code>{continueLine(run.id)}</Code>
        </>
      )}
    </section>
  );
}

function Facts({ checkpoint, nowS }: { checkpoint: CheckpointRecord; nowS: number }): JSX.Element {
  const { id, batches_trained, metric, size_bytes, created_at } = checkpoint;
  const created = toNumber(created_at);
  return (
    <div className="dj-Checkpoint-facts">
      <span className="dj-Checkpoint-line">
        <span>{`batch ${formatCount(batches_trained)}`}</span>
        {metric !== null && <b title="The metric that ranks">{formatValue(toNumber(metric))}</b>}
        <span className="dj-faint" title={formatDate(created)}>
          {`${formatBytes(size_bytes)} · ${formatAgo(created, nowS)}`}
        </span>
      </span>
      <code title={restoreLine(id)}>{id}</code>
    </div>
  );
}
