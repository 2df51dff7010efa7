/** Section "Live": the current session of the active notebook's kernel, and the buttons that steer it. */
import type { LabIcon } from '@jupyterlab/ui-components';
import {
  bellIcon,
  checkIcon,
  pauseIcon,
  runIcon,
  saveIcon,
  stepOverIcon,
  stopIcon
} from '@jupyterlab/ui-components';
import * as React from 'react';

import type { LiveCommand } from '../../live/controls';
import { commandOf, LIVE_BUTTONS } from '../../live/controls';
import { rove } from '../../live/toolbar';
import { continueLine, lines, loadLine, namedConfig } from '../../live/load';
import { gpuBusy, gpuMemory, INTERRUPTED, isSlowed, SLOWED, warningLines } from '../../live/words';
import type { CommandKind, RunRecord, SessionRecord } from '../../protocol';
import { BUTTONS } from '../../protocol';
import type { Notifier } from '../model/notifier';
import type { PanelModel } from '../model/panel';
import type { Current, SessionModel } from '../model/session';
import { CurvesChart, useSource } from './chart';
import { useCheckpoints } from './checkpoints';
import { TrialError } from './error';
import { Latest } from './metrics';
import { Progress } from './progress';
import { Sessions } from './sessions';
import { Empty, Fact, Facts, Failure, IconButton, Loading, Message, StateBadge } from './state';
import { Stuck } from './stuck';
import { Suggestion } from './suggestion';
import { Warnings } from './warnings';

/** Commands whose refusal is shown where their button is: at the card, and at the checkpoints of a run. */
const ELSEWHERE: readonly CommandKind[] = ['reload', 'restore'];

const TRAIN = '%det_train --epochs 5';

export function LiveView({ model }: { model: PanelModel }): JSX.Element {
  const { session, notebook, definition } = model;
  const { current } = session;
  if (current !== null) {
    return (
      <>
        <Sessions model={session} />
        <Session model={model} current={current} />
      </>
    );
  }
  if (notebook.path === null || session.state === 'none') {
    return (
      <Empty title={notebook.path === null ? 'No notebook is open' : 'This notebook has no kernel'}>
        <p>The training of the notebook that you work in shows here.</p>
      </Empty>
    );
  }
  if (session.state === 'failed' && session.error !== null) {
    return <Failure error={session.error} onRetry={() => void session.refresh()} />;
  }
  if (session.state === 'unknown') {
    return <Loading />;
  }
  const entrypoint = definition.record?.entrypoints[0];
  const config = entrypoint === undefined ? null : (definition.record?.config ?? null);
  const load = loadLine(entrypoint ?? 'model_def:MyTrial --path ../my_model', config);
  return (
    <Empty title="Nothing is loaded in this kernel">
      <p>
        {definition.record !== null &&
          entrypoint === undefined &&
          'No model definition is in this directory; load one from another directory. '}
        To train a model and see it here, run this in the notebook:
      </p>
      <Suggestion notebook={notebook}>{lines(session.loaded, load, TRAIN)}</Suggestion>
    </Empty>
  );
}

function Session({ model, current }: { model: PanelModel; current: Current }): JSX.Element {
  const { session, state, run, steerable } = current;
  const { refusal } = model.session;
  const source = useSource(model.api, run);
  return (
    <div className="dj-Live" data-state={state} data-session={session.session_id}>
      <div className="dj-Block">
        <div className="dj-Line dj-Live-head">
          <span className="dj-Live-status">
            <StateBadge state={state} />
            <span className="dj-Live-slowed" role="status">
              {steerable && isSlowed(session) && (
                <span className="dj-Chip" title={SLOWED.title}>
                  {SLOWED.label}
                </span>
              )}
            </span>
          </span>
          <span className="dj-Live-name" title={session.entrypoint}>
            {session.entrypoint}
          </span>
          <Bell notifier={model.notifier} />
        </div>
        {/* above all that grows and shrinks, so that no button moves under the pointer */}
        <Buttons model={model} current={current} />
        {refusal !== null && !ELSEWHERE.includes(refusal.command.kind) && (
          <div className="dj-Refusal" role="alert">
            <Message error={refusal.error} />
          </div>
        )}
        {steerable && session.stuck !== null && <Stuck session={model.session} stack={session.stuck} />}
        <Progress session={session} state={state} />
        {!steerable && (
          <p className="dj-Note">
            {state === 'interrupted'
              ? INTERRUPTED
              : 'The kernel no longer has this session. The run is kept.'}
          </p>
        )}
        {!steerable && (
          <LoadAgain
            model={model}
            entrypoint={session.entrypoint}
            config={namedConfig(run?.recipe ?? null)}
            run={run}
          />
        )}
        {steerable && state === 'ready' && session.allowed.includes('train') && (
          <>
            <p className="dj-faint">
              {session.batches_trained === 0 ? 'Loaded. To train it, run:' : 'To train it further, run:'}
            </p>
            <Suggestion notebook={model.notebook} run="Train">
              {TRAIN}
            </Suggestion>
          </>
        )}
      </div>
      <Warnings lines={warningLines(session)} />
      {session.error !== null && <TrialError error={session.error} />}
      <Latest session={session} />
      {model.curvesFailure !== null && (
        <div className="dj-Block dj-Failure" role="status">
          <Message error={model.curvesFailure} />
        </div>
      )}
      {run !== null && <CurvesChart curves={model.curves} run={source} />}
      <Machine session={session} />
    </div>
  );
}

/** Asks for a notification of the browser when a training ends. */
function Bell({ notifier }: { notifier: Notifier }): JSX.Element {
  const { isOn, problem } = notifier;
  const title = isOn ? 'The browser notifies you when a training ends' : 'Notify me when a training ends';
  return (
    <IconButton
      icon={bellIcon}
      label="Notify when a training ends"
      title={problem ?? title}
      className="dj-Bell"
      disabled={problem !== null}
      pressed={isOn}
      onClick={() => void notifier.toggle()}
    />
  );
}

/** The lines that load the class of the last run again, with its latest checkpoint if there is one. */
function LoadAgain(props: {
  model: PanelModel;
  entrypoint: string;
  config: string | null;
  run: RunRecord | null;
}): JSX.Element | null {
  const { model, entrypoint, config, run } = props;
  const checkpoints = useCheckpoints(model, run);
  if (model.session.state !== 'ready') {
    return null;
  }
  const isContinued = run !== null && run.recipe !== null && checkpoints !== null && checkpoints.length > 0;
  const line = isContinued ? continueLine(run.id) : loadLine(entrypoint, config);
  return <Suggestion notebook={model.notebook}>{lines(model.session.loaded, line)}</Suggestion>;
}

const ICONS: Readonly<Record<LiveCommand, LabIcon>> = {
  pause: pauseIcon,
  resume: runIcon,
  step: stepOverIcon,
  stop: stopIcon,
  validate: checkIcon,
  checkpoint: saveIcon
};

function Buttons({ model, current }: { model: PanelModel; current: Current }): JSX.Element {
  const toolbar = React.useRef<HTMLDivElement>(null);
  React.useEffect(() => {
    const listeners = new AbortController();
    if (toolbar.current !== null) {
      rove(toolbar.current, listeners.signal);
    }
    return () => listeners.abort();
  }, []);
  return (
    <div ref={toolbar} className="dj-Buttons" role="toolbar" aria-label="Training">
      {LIVE_BUTTONS.map(button => (
        <CommandButton
          key={button[0]}
          session={model.session}
          kind={commandOf(button, current.session.allowed)}
        />
      ))}
    </div>
  );
}

function CommandButton({ session, kind }: { session: SessionModel; kind: LiveCommand }): JSX.Element {
  const { label, title } = BUTTONS[kind];
  return (
    <IconButton
      icon={ICONS[kind]}
      label={label}
      title={title}
      labelled
      className={`dj-mod-${kind}`}
      disabled={!session.can(kind)}
      onClick={() => void session.send({ kind })}
    />
  );
}

function Machine({ session: { device, gpu } }: { session: SessionRecord }): JSX.Element {
  const busy = gpu && gpuBusy(gpu);
  return (
    <div className="dj-Block">
      <Facts>
        <Fact name="Device">{device}</Fact>
        {gpu !== null && (
          <Fact name="GPU memory" title={gpu.name}>
            {gpuMemory(gpu)}
          </Fact>
        )}
        {busy !== null && <Fact name="GPU busy">{busy}</Fact>}
      </Facts>
    </div>
  );
}
