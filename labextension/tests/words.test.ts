import { describe, expect, it } from 'vitest';

import { allows, commandOf, isOver, keyName, LIVE_BUTTONS } from '../live/controls';
import { gpuBusy, gpuMemory, isSlowed, STATE_WORDS, warningLines } from '../live/words';
import { BUTTONS } from '../protocol';
import { session } from './records';

describe('a busy cell', () => {
  const slowed = session({ state: 'running', slowed: true });

  it('is mentioned while it slows a training that runs', () => {
    expect(isSlowed(slowed)).toBe(true);
    expect(isSlowed({ ...slowed, slowed: false })).toBe(false);
  });

  it('is not mentioned of a training that is paused, or in which no batch ends', () => {
    expect(isSlowed({ ...slowed, state: 'paused' })).toBe(false);
    expect(isSlowed({ ...slowed, stuck: 'File "model_def.py", line 1' })).toBe(false);
  });
});

describe('the GPU', () => {
  const gpu = { name: 'H100', memory_used_bytes: 1.25e9, memory_total_bytes: 85e9, utilization: 33.6 };

  it('is described by its memory and how busy it is', () => {
    expect(`${gpuMemory(gpu)}, ${gpuBusy(gpu)}`).toBe('1.3 GB of 85.0 GB, 34%');
  });

  it('is described without how busy it is if the driver does not report it', () => {
    expect(gpuBusy({ ...gpu, utilization: null })).toBeNull();
  });
});

describe('warnings', () => {
  it('have a heading that counts them, also those that the record leaves out', () => {
    expect(warningLines(session())).toEqual([]);
    expect(warningLines(session({ warnings: ['No parameter changed.'] }))).toEqual([
      '1 warning',
      'No parameter changed.'
    ]);
    expect(warningLines(session({ warnings: ['one', 'two'], more_warnings: 3 }))).toEqual([
      '5 warnings',
      'one',
      'two',
      'and 3 more in the log'
    ]);
  });
});

it('every state has a word of its own', () => {
  expect(new Set(Object.values(STATE_WORDS)).size).toBe(Object.keys(STATE_WORDS).length);
});

describe('the buttons', () => {
  it('share one for Pause and Resume, which shows what is allowed, and Pause where neither is', () => {
    const [first] = LIVE_BUTTONS;
    expect(commandOf(first, ['resume', 'stop'])).toBe('resume');
    expect(commandOf(first, ['pause', 'stop'])).toBe('pause');
    expect(commandOf(first, [])).toBe('pause');
  });

  it('are on for what Python allows, and for nothing else', () => {
    expect(allows(['step'], 'step')).toBe(true);
    expect(allows(['step'], 'stop')).toBe(false);
  });

  it('have different keys, except for the two that share one', () => {
    const keys = LIVE_BUTTONS.map(commands => new Set(commands.map(command => BUTTONS[command].key)));
    expect(keys.every(of => of.size === 1)).toBe(true);
    expect(new Set(keys.flatMap(of => [...of])).size).toBe(LIVE_BUTTONS.length);
  });

  it('name their keys as people say them', () => {
    expect([keyName('pause'), keyName('step')]).toEqual(['Space', 'S']);
  });

  it('do not wait for an answer of what has had its effect', () => {
    expect(isOver('pause', ['resume'])).toBe(true);
    expect(isOver('pause', ['pause'])).toBe(false);
    // A validation is not allowed while it runs, so that it is not allowed does not mean that it is over.
    expect(isOver('validate', [])).toBe(false);
  });
});
