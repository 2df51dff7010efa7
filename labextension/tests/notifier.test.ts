// @vitest-environment happy-dom
import { Signal } from '@lumino/signaling';
import { afterEach, describe, expect, it, vi } from 'vitest';

import { Notifier } from '../src/model/notifier';
import type { RunsModel } from '../src/model/runs';
import { run } from './records';

type Runs = Pick<RunsModel, 'changed' | 'list'>;

function listing(): { runs: Runs; emit: (state: 'running' | 'finished') => void } {
  const runs = { list: [] as unknown } as { -readonly [Key in keyof Runs]: Runs[Key] };
  const changed = new Signal<typeof runs, void>(runs);
  runs.changed = changed as unknown as Runs['changed'];
  return {
    runs,
    emit: state => {
      runs.list = [run({ id: 'one', state })];
      changed.emit();
    }
  };
}

describe('the notifier', () => {
  afterEach(() => vi.unstubAllGlobals());

  it.each([
    ['that keeps what it is given', {}],
    ['whose storage is forbidden', { getItem: forbidden, setItem: forbidden }],
    ['whose storage is full', { setItem: forbidden }]
  ])('is switched on and off in a browser %s', async (_, broken) => {
    const shown: string[] = [];
    class Notification {
      static permission = 'granted';
      static requestPermission = (): Promise<string> => Promise.resolve('granted');
      constructor(title: string) {
        shown.push(title);
      }
    }
    vi.stubGlobal('Notification', Notification);
    const kept = new Map<string, string>();
    vi.stubGlobal('localStorage', {
      getItem: (key: string) => kept.get(key) ?? null,
      setItem: (key: string, value: string) => void kept.set(key, value),
      ...broken
    });
    const { runs, emit } = listing();
    const notifier = new Notifier(runs);
    expect(notifier.isOn).toBe(false);
    await notifier.toggle();
    expect(notifier.isOn).toBe(true);
    emit('running');
    emit('finished');
    expect(shown).toEqual(['Finished: model_def:DigitsTrial']);
    await notifier.toggle();
    expect(notifier.isOn).toBe(false);
  });
});

function forbidden(): never {
  throw new DOMException('The operation is insecure.', 'SecurityError');
}
