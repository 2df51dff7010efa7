/** Section "Live": the current session of the active notebook's kernel, and the buttons that steer it. */
import { checkIcon, pauseIcon, runIcon, saveIcon, stepOverIcon, stopIcon } from '@jupyterlab/ui-components';
import * as React from 'react';

import { formatBytes, formatCount, formatDuration, formatValue, toNumber } from '../../chart';
import type { GpuRecord, SessionRecord } from '../../protocol';
import type { PanelModel } from '../model';
import type { Current } from '../model/session';
import { CurvesChart } from './chart';
import { TrialError } from './error';
import { Latest } from './metrics';
import { Progress } from './progress';
import { Code, Empty, Fact, Facts, Failure, IconButton, Loading, Message, StateBadge } from './state';

const LOAD_EXTENSION = '%load_ext detjupyter\n';

export function LiveView({ model }: { model: PanelModel }): JSX.Element {
  const { session, notebook, definition } = model;
  const { current } = session;
  if (current !== null) {
    return <Session model={model} current={current} />;
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
  const load = `%det_load ${entrypoint ?? 'model_def:MyTrial --path ../my_model'}`;
  return (
    <Empty title="Nothing is loaded in this kernel">
      <p>
        {definition.record !== null &&
          entrypoint === undefined &&
          'No model definition stands beside this notebook; one from elsewhere can be loaded. '}
        Run this in the notebook, and the training shows here while it goes on:
      </p>
      <Code>{`${session.loaded ? '' : LOAD_EXTENSION}${load}\n%det_train --epochs 5`}</Code>
    </Empty>
  );
}

function Session({ model, current }: { model: PanelModel; current: Current }): JSX.Element {
  const { session, state, run, steerable } = current;
  return (
    <div className="dj-Live" data-state={state} data-session={session.session_id}>
      <div className="dj-Block">
        <div className="dj-Line dj-Live-head">
          <StateBadge state={state} text={activityWords(current)} />
          <span className="dj-Live-name" title={session.entrypoint}>
            {session.entrypoint}
          </span>
        </div>
        <Progress session={session} state={state} />
        <Buttons model={model} current={current} />
        {model.session.refusal !== null && model.session.refusal.kind !== 'reload' && (
          <div className="dj-Refusal" role="alert">
            <Message error={model.session.refusal.error} />
          </div>
        )}
        {!steerable && (
          <p className="dj-Note">
            {state === 'interrupted'
              ? 'The kernel ended while this trained. What it had learned until its last checkpoint is kept.'
              : 'The kernel was restarted since. The run is kept.'}
          </p>
        )}
        {!steerable && <LoadAgain model={model} entrypoint={session.entrypoint} />}
        {steerable && state === 'ready' && session.batches_trained === 0 && (
          <>
            <p className="dj-faint">Loaded. To train it, run:</p>
            <Code>%det_train --epochs 5</Code>
          </>
        )}
      </div>
      {session.error !== null && <TrialError error={session.error} />}
      <Latest session={session} />
      {run !== null && <CurvesChart curves={model.curves} />}
      <Machine session={session} />
    </div>
  );
}

/** The lines that bring the class of the last run back into a kernel that has forgotten it. */
function LoadAgain({ model, entrypoint }: { model: PanelModel; entrypoint: string }): JSX.Element | null {
  if (model.session.state !== 'ready') {
    return null;
  }
  return <Code>{`${model.session.loaded ? '' : LOAD_EXTENSION}%det_load ${entrypoint}`}</Code>;
}

function activityWords({ session }: Current): string | undefined {
  if (session.activity === 'validating') {
    const { validation_done: done, validation_total: total } = session;
    return total !== null && total > 1 ? `Validating, ${done ?? 0} of ${total}` : 'Validating';
  }
  return session.activity === 'checkpointing' ? 'Writing a checkpoint' : undefined;
}

function Buttons({ model, current }: { model: PanelModel; current: Current }): JSX.Element {
  const { session } = model;
  const isPaused = current.state === 'paused';
  return (
    <div className="dj-Buttons" role="toolbar" aria-label="Training">
      <IconButton
        icon={isPaused ? runIcon : pauseIcon}
        label={isPaused ? 'Resume' : 'Pause'}
        title={isPaused ? 'Go on with the training' : 'Hold after the batch under way'}
        labelled
        className={isPaused ? 'dj-mod-resume' : 'dj-mod-pause'}
        disabled={!session.can(isPaused ? 'resume' : 'pause')}
        onClick={() => void session.send({ kind: isPaused ? 'resume' : 'pause' })}
      />
      <IconButton
        icon={stepOverIcon}
        label="Step"
        title="Train one more batch, then pause"
        labelled
        className="dj-mod-step"
        disabled={!session.can('step')}
        onClick={() => void session.send({ kind: 'step', batches: 1 })}
      />
      <IconButton
        icon={stopIcon}
        label="Stop"
        title="Stop the training; weights and history stay"
        labelled
        className="dj-mod-stop"
        disabled={!session.can('stop')}
        onClick={() => void session.send({ kind: 'stop' })}
      />
      <span className="dj-Buttons-gap" />
      <IconButton
        icon={checkIcon}
        label="Validate"
        title="Validate now"
        labelled
        className="dj-mod-validate"
        disabled={!session.can('validate')}
        onClick={() => void session.send({ kind: 'validate' })}
      />
      <IconButton
        icon={saveIcon}
        label="Checkpoint"
        title="Write a checkpoint now"
        labelled
        className="dj-mod-checkpoint"
        disabled={!session.can('checkpoint')}
        onClick={() => void session.send({ kind: 'checkpoint' })}
      />
    </div>
  );
}

function Machine({ session }: { session: SessionRecord }): JSX.Element {
  const { device, gpu, elapsed_s, records_per_second } = session;
  return (
    <div className="dj-Block">
      <Facts>
        <Fact name="Device">{device}</Fact>
        {gpu !== null && (
          <Fact name="GPU memory" title={gpu.name}>
            {gpuMemory(gpu)}
          </Fact>
        )}
        {gpu !== null && gpu.utilisation !== null && (
          <Fact name="GPU busy">{`${Math.round(toNumber(gpu.utilisation))} %`}</Fact>
        )}
        {records_per_second !== null && <Fact name="Records/s">{rate(toNumber(records_per_second))}</Fact>}
        {toNumber(elapsed_s) > 0 && <Fact name="Time">{formatDuration(toNumber(elapsed_s))}</Fact>}
      </Facts>
    </div>
  );
}

function gpuMemory({ memory_used_bytes, memory_total_bytes }: GpuRecord): string {
  return `${formatBytes(memory_used_bytes)} of ${formatBytes(memory_total_bytes)}`;
}

function rate(perSecond: number): string {
  return perSecond >= 100 ? formatCount(perSecond) : formatValue(perSecond);
}
