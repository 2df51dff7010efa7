/** One run of the history: a row, and what it opens to. */
import { Dialog, showDialog } from '@jupyterlab/apputils';
import { caretDownIcon, caretRightIcon, classes, deleteIcon } from '@jupyterlab/ui-components';
import * as React from 'react';

import { formatCount, formatDuration, formatValue, toNumber } from '../../live/format';
import { warningLines } from '../../live/words';
import type { RunParent, RunRecord } from '../../protocol';
import type { PanelModel } from '../model/panel';
import { Curves } from '../model/curves';
import type { RunSource } from '../model/source';
import { CurvesChart, useSource } from './chart';
import { Checkpoints } from './checkpoints';
import { TrialError } from './error';
import { flatten, Hyperparameters } from './hyperparameters';
import { Fact, Facts, Failure, IconButton, Loading, Message, Middle, StateBadge } from './state';
import { formatAgo, formatDate } from './time';
import { classOf, moduleOf } from './titles';
import { useWatched } from './watched';
import { Warnings } from './warnings';

/** How often a run that trains in another kernel is redrawn. */
const REDRAW_MS = 2000;

interface RunProps {
  model: PanelModel;
  run: RunRecord;
  /** What tells the run from those of the same entrypoint in other directories; '' if there are none. */
  directory: string;
  /** Whether runs of another module have a class of the same name. */
  isModuleNeeded: boolean;
  isOpen: boolean;
  nowS: number;
  onToggle: (id: string) => void;
}

export const Run = React.memo(function Run(props: RunProps): JSX.Element {
  const { model, run, directory, isModuleNeeded, isOpen, nowS, onToggle } = props;
  const { best } = run;
  const Caret = isOpen ? caretDownIcon : caretRightIcon;
  const began = toNumber(run.created_at);
  return (
    <li className={classes('dj-Run', isOpen ? 'dj-mod-open' : '')} data-run={run.id} data-state={run.state}>
      <button type="button" className="dj-Run-head" aria-expanded={isOpen} onClick={() => onToggle(run.id)}>
        <Caret.react tag="span" className="dj-Run-caret" />
        <span className="dj-Run-line">
          <StateBadge state={run.state} />
          {run.starred && (
            <span className="dj-Star dj-Run-star" role="img" aria-label="starred">
              ★
            </span>
          )}
          {best !== null && (
            <span
              className="dj-Run-best"
              title={`Best ${best.name}, at batch ${formatCount(best.batches_trained)}`}
            >
              <span className="dj-Run-metric">{best.name}</span>
              <b>{formatValue(toNumber(best.value))}</b>
            </span>
          )}
        </span>
        <span className={classes('dj-Run-line', 'dj-faint', directory === '' ? '' : 'dj-mod-wraps')}>
          <span
            className="dj-Run-title"
            title={[run.name, run.definition_root, run.entrypoint].filter(text => text !== '').join('\n')}
          >
            {directory !== '' && (
              <span className="dj-Run-directory">
                <Middle text={directory} />
              </span>
            )}
            {run.name === '' ? (
              <span className="dj-Run-name">
                <span className={classes('dj-Run-module', isModuleNeeded ? 'dj-mod-needed' : '')}>
                  {moduleOf(run.entrypoint)}
                </span>
                {classOf(run.entrypoint)}
              </span>
            ) : (
              <span className="dj-Run-name dj-mod-given">{run.name}</span>
            )}
          </span>
          <span className="dj-Run-when" title={formatDate(began)}>
            {formatDuration(durationOf(run))} · {formatAgo(began, nowS)}
          </span>
        </span>
      </button>
      {isOpen && <Details model={model} run={run} nowS={nowS} />}
    </li>
  );
});

function Details({ model, run, nowS }: { model: PanelModel; run: RunRecord; nowS: number }): JSX.Element {
  const [refusal, setRefusal] = React.useState<Error | null>(null);
  const isLive = run.state === 'running' || run.state === 'paused';
  const hyperparameters = useHyperparameters(model, run);
  const rows = React.useMemo(() => flatten(hyperparameters), [hyperparameters]);
  const error = run.session?.error ?? null;
  const parent = useParent(model, run.id);

  const remove = async (): Promise<void> => {
    const { button } = await showDialog({
      title: 'Delete this run?',
      body: `${run.entrypoint}, ${formatDate(toNumber(run.created_at))}: its curves, its log and its checkpoints are deleted for good.`,
      buttons: [Dialog.cancelButton(), Dialog.warnButton({ label: 'Delete' })],
      defaultButton: 0
    });
    if (button.accept) {
      try {
        await model.runs.delete(run.id);
      } catch (error) {
        setRefusal(error as Error);
      }
    }
  };

  return (
    <div className="dj-Run-details">
      {run.session !== null && <Warnings lines={warningLines(run.session)} />}
      {error !== null && <TrialError error={error} />}
      <RunCurves model={model} run={run} />
      <Hyperparameters rows={rows} changes={run.session?.hyperparameter_changes ?? []} />
      <Checkpoints model={model} run={run} nowS={nowS} />
      {run.note !== '' && <p className="dj-Run-note">{run.note}</p>}
      <Facts>
        {run.tags.length > 0 && (
          <Fact name="Tags" wraps>
            {run.tags.join(', ')}
          </Fact>
        )}
        <Fact name="Started">{formatDate(toNumber(run.created_at))}</Fact>
        <Fact name="Trained">{`${formatCount(run.batches_trained)} batches`}</Fact>
        <Fact name="Device">{run.device}</Fact>
        <Fact name="Seed">{`${run.seed}${run.recipe?.is_seed_drawn ? ' (drawn)' : ''}`}</Fact>
        <Fact name="Definition" title={run.definition_root}>
          {run.definition}
        </Fact>
        <Fact name="Code" title={run.bundle_hash}>
          <code>{run.bundle_hash.slice(0, 12)}</code>
        </Fact>
        <Fact name="Run" title={run.id} wraps>
          <code>{run.id}</code>
        </Fact>
        {parent !== null && (
          <Fact name="Continues" title="The curves begin with those of that run" wraps>
            <code>{parent.run_id}</code>{' '}
            <span className="dj-Unbroken">{`after batch ${formatCount(parent.batches_trained)}`}</span>
          </Fact>
        )}
      </Facts>
      {refusal !== null && (
        <div className="dj-Refusal" role="alert">
          <Message error={refusal} />
        </div>
      )}
      <div className="dj-Run-actions">
        <IconButton
          icon={deleteIcon}
          label="Delete"
          title={isLive ? 'Stop the training before you delete its run' : 'Delete this run'}
          labelled
          className="dj-mod-delete"
          disabled={isLive}
          onClick={() => void remove()}
        />
      </div>
    </div>
  );
}

/** The run's hyperparameters; the list lacks them if they are many. */
function useHyperparameters(model: PanelModel, run: RunRecord): RunRecord['hyperparameters'] {
  const [fetched, setFetched] = React.useState<RunRecord | null>(null);
  const isBrief = Object.keys(run.hyperparameters).length === 0;
  React.useEffect(() => {
    let isCurrent = true;
    if (isBrief) {
      model.api.run(run.id).then(
        complete => isCurrent && setFetched(complete),
        // the rest of the run is shown without them
        () => undefined
      );
    }
    return () => {
      isCurrent = false;
    };
  }, [model, run.id, isBrief]);
  return isBrief && fetched !== null ? fetched.hyperparameters : run.hyperparameters;
}

/** The run that this one continues; null until that is known. */
function useParent(model: PanelModel, runId: string): RunParent | null {
  const [parent, setParent] = React.useState<RunParent | null>(null);
  React.useEffect(() => {
    let isCurrent = true;
    model.api.parent(runId).then(
      found => isCurrent && setParent(found),
      // the rest of the run is shown without it
      () => undefined
    );
    return () => {
      isCurrent = false;
    };
  }, [model, runId]);
  return parent;
}

/** The run's curves: those of the Live section, or else the server's decimated ones. */
function RunCurves({ model, run }: { model: PanelModel; run: RunRecord }): JSX.Element {
  const { session } = model;
  // the section of the runs is not drawn again when the Live section shows another session, whose curves these then are
  useWatched(session.changed, () => session.current?.run?.id ?? '');
  const isWatched = session.current?.run?.id === run.id;
  const source = useSource(model.api, run);
  return isWatched ? (
    <CurvesChart curves={model.curves} run={source} />
  ) : (
    <FetchedCurves model={model} run={run} source={source} />
  );
}

function FetchedCurves(props: { model: PanelModel; run: RunRecord; source: RunSource | null }): JSX.Element {
  const { model, run, source } = props;
  const curves = React.useMemo(() => new Curves(), []);
  const [state, setState] = React.useState<'loading' | 'ready' | Error>('loading');
  const [attempt, setAttempt] = React.useState(0);
  const fetchedAt = React.useRef(-Infinity);
  const isMounted = React.useRef(false);

  React.useEffect(() => {
    isMounted.current = true;
    return () => {
      isMounted.current = false;
    };
  }, []);

  React.useEffect(() => {
    const fetch = async (): Promise<void> => {
      fetchedAt.current = performance.now();
      const answer = await model.api.series(run.id).catch((error: Error) => error);
      if (!isMounted.current) {
        return;
      }
      if (answer instanceof Error) {
        setState(answer);
      } else {
        curves.apply(answer);
        setState('ready');
      }
    };
    // A fetch under way is not canceled for a newer state of the run, or a run that trains would never be drawn.
    const waitMs = Math.max(0, fetchedAt.current + REDRAW_MS - performance.now());
    const timer = window.setTimeout(() => void fetch(), waitMs);
    return () => window.clearTimeout(timer);
  }, [model, curves, run.id, run.updated_at, attempt]);

  if (state instanceof Error) {
    return <Failure error={state} onRetry={() => setAttempt(attempt + 1)} />;
  }
  if (state === 'loading') {
    return <Loading />;
  }
  return curves.isEmpty ? (
    <p className="dj-faint">No metrics were recorded.</p>
  ) : (
    <CurvesChart curves={curves} run={source} />
  );
}

/** Return the seconds of training, or, if the session did not report them, those from beginning to end. */
function durationOf(run: RunRecord): number {
  return run.session === null
    ? toNumber(run.ended_at ?? run.updated_at) - toNumber(run.created_at)
    : toNumber(run.session.elapsed_s);
}
